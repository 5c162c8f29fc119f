#!/bin/sh
# Needs the HCP CLI with a profile that may administer the project's service principals.
# The CLI changes no provider: what differs is deleted and made anew, and nothing is exchanged meanwhile.
set -eu
if hcp iam workload-identity-providers read iam/project/99999999-8888-7777-6666-555555555555/service-principal/payments-reader/workload-identity-provider/cluster-a >/dev/null 2>&1; then
  hcp iam workload-identity-providers delete --quiet iam/project/99999999-8888-7777-6666-555555555555/service-principal/payments-reader/workload-identity-provider/cluster-a
  hcp iam workload-identity-providers create-oidc cluster-a --service-principal=iam/project/99999999-8888-7777-6666-555555555555/service-principal/payments-reader --issuer=https://oidc.example.com/cluster-a --allowed-audience=https://api.cloud.hashicorp.com/iam/project/99999999-8888-7777-6666-555555555555 '--conditional-access=jwt_claims.sub == `system:serviceaccount:payments:reader` or jwt_claims.sub == `system:serviceaccount:payments:writer`' '--description=Apostille: service accounts of a Kubernetes cluster'
else
  hcp iam workload-identity-providers create-oidc cluster-a --service-principal=iam/project/99999999-8888-7777-6666-555555555555/service-principal/payments-reader --issuer=https://oidc.example.com/cluster-a --allowed-audience=https://api.cloud.hashicorp.com/iam/project/99999999-8888-7777-6666-555555555555 '--conditional-access=jwt_claims.sub == `system:serviceaccount:payments:reader` or jwt_claims.sub == `system:serviceaccount:payments:writer`' '--description=Apostille: service accounts of a Kubernetes cluster'
fi
