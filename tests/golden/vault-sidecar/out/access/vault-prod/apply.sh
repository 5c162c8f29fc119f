#!/bin/sh
# Needs vault (or bao, as VAULT) with a token that may administer the JWT auth method.
# Roles that are bound no longer stay: delete them by name.
set -eu
: "${VAULT_ADDR:?}"
if "${VAULT:-vault}" read -namespace=team/payments sys/auth/jwt-cluster-a >/dev/null 2>&1; then
  :
else
  "${VAULT:-vault}" auth enable -namespace=team/payments -path=jwt-cluster-a jwt
fi
printf '%s' '{"oidc_discovery_url":"https://oidc.example.com/cluster-a","bound_issuer":"https://oidc.example.com/cluster-a","jwt_supported_algs":["RS256"],"default_role":""}' | "${VAULT:-vault}" write -namespace=team/payments auth/jwt-cluster-a/config -
printf '%s' '{"role_type":"jwt","user_claim":"sub","user_claim_json_pointer":false,"groups_claim":"","bound_audiences":["https://vault.example:8200/v1/team/payments/auth/jwt-cluster-a"],"bound_subject":"system:serviceaccount:orders:reader","bound_claims":{},"bound_claims_type":"string","clock_skew_leeway":0,"expiration_leeway":0,"not_before_leeway":0,"token_type":"service","token_ttl":600,"token_max_ttl":1800,"token_period":0,"token_num_uses":0}' | "${VAULT:-vault}" write -namespace=team/payments auth/jwt-cluster-a/role/orders -
printf '%s' '{"role_type":"jwt","user_claim":"sub","user_claim_json_pointer":false,"groups_claim":"","bound_audiences":["https://vault.example:8200/v1/team/payments/auth/jwt-cluster-a"],"bound_subject":"","bound_claims":{"sub":["system:serviceaccount:payments:reader","system:serviceaccount:payments:writer"]},"bound_claims_type":"string","clock_skew_leeway":0,"expiration_leeway":0,"not_before_leeway":0,"token_type":"service","token_ttl":600,"token_max_ttl":1800,"token_period":0,"token_num_uses":0,"token_policies":["payments-ro"]}' | "${VAULT:-vault}" write -namespace=team/payments auth/jwt-cluster-a/role/payments-reader -
