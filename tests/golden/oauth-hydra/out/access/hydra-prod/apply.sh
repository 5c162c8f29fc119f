#!/bin/sh
# Needs curl, and HYDRA_ADMIN_URL: where Ory Hydra's admin API is.
# Trusts that are not among these stay, and one that is there keeps its scopes: delete such by id first (GET
# admin/trust/grants/jwt-bearer/issuers). Hydra deletes the key with them, and what else it trusted by that key: run this
# afterwards.
set -eu
: "${HYDRA_ADMIN_URL:?}"
if curl -fsS "$HYDRA_ADMIN_URL"/admin/clients/payments >/dev/null 2>&1; then
  printf '%s' '{"client_id":"payments","grant_types":["urn:ietf:params:oauth:grant-type:jwt-bearer"],"response_types":[],"token_endpoint_auth_method":"none","scope":"ledger.read","jwt_bearer_grant_access_token_lifespan":"3600s"}' | curl -fsS -o /dev/null -X PUT -H 'Content-Type: application/json' -d @- "$HYDRA_ADMIN_URL"/admin/clients/payments
else
  printf '%s' '{"client_id":"payments","grant_types":["urn:ietf:params:oauth:grant-type:jwt-bearer"],"response_types":[],"token_endpoint_auth_method":"none","scope":"ledger.read","jwt_bearer_grant_access_token_lifespan":"3600s"}' | curl -fsS -o /dev/null -H 'Content-Type: application/json' -d @- "$HYDRA_ADMIN_URL"/admin/clients
fi
code=$(printf '%s' '{"issuer":"https://oidc.example.com/cluster-a","subject":"system:serviceaccount:payments:reader","allow_any_subject":false,"scope":["ledger.read"],"jwk":{"use":"sig","kty":"RSA","kid":"key-1","alg":"RS256","n":"sXch3qKx","e":"AQAB"},"expires_at":"2099-12-31T23:59:59Z"}' | curl -sS -o /dev/null -w '%{http_code}' -H 'Content-Type: application/json' -d @- "$HYDRA_ADMIN_URL"/admin/trust/grants/jwt-bearer/issuers)
case "$code" in 201|409) ;; *) echo "Hydra answers $code" >&2; exit 1 ;; esac
code=$(printf '%s' '{"issuer":"https://oidc.example.com/cluster-a","subject":"system:serviceaccount:payments:writer","allow_any_subject":false,"scope":["ledger.read"],"jwk":{"use":"sig","kty":"RSA","kid":"key-1","alg":"RS256","n":"sXch3qKx","e":"AQAB"},"expires_at":"2099-12-31T23:59:59Z"}' | curl -sS -o /dev/null -w '%{http_code}' -H 'Content-Type: application/json' -d @- "$HYDRA_ADMIN_URL"/admin/trust/grants/jwt-bearer/issuers)
case "$code" in 201|409) ;; *) echo "Hydra answers $code" >&2; exit 1 ;; esac
