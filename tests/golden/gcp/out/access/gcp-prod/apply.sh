#!/bin/sh
# Needs gcloud with an account that may administer workload identity pools of the project and the policies of
# the service accounts. Members that are bound no longer stay: remove them by name.
set -eu
if gcloud iam workload-identity-pools describe k8s-prod --project 123456789012 --location=global >/dev/null 2>&1; then
  :
else
  gcloud iam workload-identity-pools create k8s-prod --project 123456789012 --location=global
fi
if gcloud iam workload-identity-pools providers describe cluster-a --project 123456789012 --location=global --workload-identity-pool=k8s-prod >/dev/null 2>&1; then
  printf '%s' '{"keys":[{"kty":"RSA","alg":"RS256","use":"sig","kid":"key-1","n":"AQAB","e":"AQAB"}]}' | gcloud iam workload-identity-pools providers update-oidc cluster-a --project 123456789012 --location=global --workload-identity-pool=k8s-prod --issuer-uri=https://oidc.example.com/cluster-a --allowed-audiences=https://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/k8s-prod/providers/cluster-a '--attribute-mapping=^|^google.subject='"'"'cluster-a/'"'"' + assertion['"'"'kubernetes.io'"'"']['"'"'namespace'"'"'] + '"'"'/'"'"' + assertion['"'"'kubernetes.io'"'"']['"'"'serviceaccount'"'"']['"'"'name'"'"']' '--attribute-condition=assertion.sub in ['"'"'system:serviceaccount:payments:reader'"'"', '"'"'system:serviceaccount:payments:writer'"'"']' --jwk-json-path=/dev/stdin
else
  printf '%s' '{"keys":[{"kty":"RSA","alg":"RS256","use":"sig","kid":"key-1","n":"AQAB","e":"AQAB"}]}' | gcloud iam workload-identity-pools providers create-oidc cluster-a --project 123456789012 --location=global --workload-identity-pool=k8s-prod --issuer-uri=https://oidc.example.com/cluster-a --allowed-audiences=https://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/k8s-prod/providers/cluster-a '--attribute-mapping=^|^google.subject='"'"'cluster-a/'"'"' + assertion['"'"'kubernetes.io'"'"']['"'"'namespace'"'"'] + '"'"'/'"'"' + assertion['"'"'kubernetes.io'"'"']['"'"'serviceaccount'"'"']['"'"'name'"'"']' '--attribute-condition=assertion.sub in ['"'"'system:serviceaccount:payments:reader'"'"', '"'"'system:serviceaccount:payments:writer'"'"']' --jwk-json-path=/dev/stdin
fi
gcloud iam service-accounts add-iam-policy-binding reader@my-project.iam.gserviceaccount.com --role=roles/iam.workloadIdentityUser --member=principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/k8s-prod/subject/cluster-a/payments/reader --condition=None --quiet
gcloud iam service-accounts add-iam-policy-binding reader@my-project.iam.gserviceaccount.com --role=roles/iam.workloadIdentityUser --member=principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/k8s-prod/subject/cluster-a/payments/writer --condition=None --quiet
# Grant the roles that it needs to principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/k8s-prod/subject/cluster-a/payments/reader
