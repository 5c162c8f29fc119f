"""Why a pod has the identity that it has, or none: from what was read in a cluster to an answer for people.

The same judgement as the controller's and the webhooks' (resolve, pod_plan, inject), so that no two of them disagree.
Whoever may not read a FederationTrust is answered from the status of the binding, and told what that leaves open.
"""
