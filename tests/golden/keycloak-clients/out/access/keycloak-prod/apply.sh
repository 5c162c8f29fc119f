#!/bin/sh
# Needs kcadm.sh (or another as KCADM), logged in (kcadm.sh config credentials) as who may change the realm.
# Clients and users that are bound no longer stay: delete them by name.
set -eu
if "${KCADM:-kcadm.sh}" get identity-provider/instances/cluster-a -r payments >/dev/null 2>&1; then
  printf '%s' '{"alias":"cluster-a","providerId":"kubernetes","enabled":true,"hideOnLogin":true,"config":{"issuer":"https://oidc.example.com/cluster-a"}}' | "${KCADM:-kcadm.sh}" update identity-provider/instances/cluster-a -r payments -f -
else
  printf '%s' '{"alias":"cluster-a","providerId":"kubernetes","enabled":true,"hideOnLogin":true,"config":{"issuer":"https://oidc.example.com/cluster-a"}}' | "${KCADM:-kcadm.sh}" create identity-provider/instances -r payments -f -
fi
id=$("${KCADM:-kcadm.sh}" get clients -r payments -q clientId=orders-writer --fields id --format csv --noquotes)
if [ -n "$id" ]; then
  printf '%s' '{"clientId":"orders-writer","enabled":true,"protocol":"openid-connect","publicClient":false,"bearerOnly":false,"clientAuthenticatorType":"federated-jwt","serviceAccountsEnabled":true,"standardFlowEnabled":false,"implicitFlowEnabled":false,"directAccessGrantsEnabled":false,"fullScopeAllowed":false,"attributes":{"jwt.credential.issuer":"cluster-a","jwt.credential.sub":"system:serviceaccount:orders:writer","access.token.lifespan":"600","oauth2.jwt.authorization.grant.enabled":"false","oauth2.device.authorization.grant.enabled":"false","oidc.ciba.grant.enabled":"false"}}' | "${KCADM:-kcadm.sh}" update clients/"$id" -r payments -f -
else
  printf '%s' '{"clientId":"orders-writer","enabled":true,"protocol":"openid-connect","publicClient":false,"bearerOnly":false,"clientAuthenticatorType":"federated-jwt","serviceAccountsEnabled":true,"standardFlowEnabled":false,"implicitFlowEnabled":false,"directAccessGrantsEnabled":false,"fullScopeAllowed":false,"attributes":{"jwt.credential.issuer":"cluster-a","jwt.credential.sub":"system:serviceaccount:orders:writer","access.token.lifespan":"600","oauth2.jwt.authorization.grant.enabled":"false","oauth2.device.authorization.grant.enabled":"false","oidc.ciba.grant.enabled":"false"}}' | "${KCADM:-kcadm.sh}" create clients -r payments -f -
  id=$("${KCADM:-kcadm.sh}" get clients -r payments -q clientId=orders-writer --fields id --format csv --noquotes)
fi
id=$("${KCADM:-kcadm.sh}" get clients -r payments -q clientId=payments-reader --fields id --format csv --noquotes)
if [ -n "$id" ]; then
  printf '%s' '{"clientId":"payments-reader","enabled":true,"protocol":"openid-connect","publicClient":false,"bearerOnly":false,"clientAuthenticatorType":"federated-jwt","serviceAccountsEnabled":true,"standardFlowEnabled":false,"implicitFlowEnabled":false,"directAccessGrantsEnabled":false,"fullScopeAllowed":false,"attributes":{"jwt.credential.issuer":"cluster-a","jwt.credential.sub":"system:serviceaccount:payments:reader","access.token.lifespan":"600","oauth2.jwt.authorization.grant.enabled":"false","oauth2.device.authorization.grant.enabled":"false","oidc.ciba.grant.enabled":"false"}}' | "${KCADM:-kcadm.sh}" update clients/"$id" -r payments -f -
else
  printf '%s' '{"clientId":"payments-reader","enabled":true,"protocol":"openid-connect","publicClient":false,"bearerOnly":false,"clientAuthenticatorType":"federated-jwt","serviceAccountsEnabled":true,"standardFlowEnabled":false,"implicitFlowEnabled":false,"directAccessGrantsEnabled":false,"fullScopeAllowed":false,"attributes":{"jwt.credential.issuer":"cluster-a","jwt.credential.sub":"system:serviceaccount:payments:reader","access.token.lifespan":"600","oauth2.jwt.authorization.grant.enabled":"false","oauth2.device.authorization.grant.enabled":"false","oidc.ciba.grant.enabled":"false"}}' | "${KCADM:-kcadm.sh}" create clients -r payments -f -
  id=$("${KCADM:-kcadm.sh}" get clients -r payments -q clientId=payments-reader --fields id --format csv --noquotes)
fi
