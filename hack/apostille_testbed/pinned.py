"""Kubernetes and Helm, pinned to one version each, and which of their programs are used."""

from __future__ import annotations

KUBERNETES = "v1.37.2"
"""The version of all of Kubernetes; no other is used."""

CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager")
"""What a control plane needs, in the order in which it is best built."""

NODE = ("kube-proxy", "kube-scheduler", "kubelet")
"""What a node needs besides."""

PROGRAMS = (*CONTROL_PLANE, *NODE)
"""All of its programs that are used."""

HELM = "v3.22.0"
