#!/bin/sh
# Needs kcadm.sh (or another as KCADM), logged in (kcadm.sh config credentials) as who may change the realm.
# Clients and users that are bound no longer stay: delete them by name.
set -eu
if "${KCADM:-kcadm.sh}" get identity-provider/instances/cluster-a -r payments >/dev/null 2>&1; then
  printf '%s' '{"alias":"cluster-a","providerId":"kubernetes","enabled":true,"hideOnLogin":true,"config":{"issuer":"https://oidc.example.com/cluster-a"}}' | "${KCADM:-kcadm.sh}" update identity-provider/instances/cluster-a -r payments -f -
else
  printf '%s' '{"alias":"cluster-a","providerId":"kubernetes","enabled":true,"hideOnLogin":true,"config":{"issuer":"https://oidc.example.com/cluster-a"}}' | "${KCADM:-kcadm.sh}" create identity-provider/instances -r payments -f -
fi
if "${KCADM:-kcadm.sh}" get identity-provider/instances/cluster-a-grants -r payments >/dev/null 2>&1; then
  printf '%s' '{"alias":"cluster-a-grants","providerId":"jwt-authorization-grant","enabled":true,"hideOnLogin":true,"config":{"issuer":"https://oidc.example.com/cluster-a","useJwksUrl":"true","jwksUrl":"https://oidc.example.com/cluster-a/openid/v1/jwks","jwtAuthorizationGrantEnabled":"true","jwtAuthorizationGrantAssertionReuseAllowed":"true","jwtAuthorizationGrantMaxAllowedAssertionExpiration":"3600"}}' | "${KCADM:-kcadm.sh}" update identity-provider/instances/cluster-a-grants -r payments -f -
else
  printf '%s' '{"alias":"cluster-a-grants","providerId":"jwt-authorization-grant","enabled":true,"hideOnLogin":true,"config":{"issuer":"https://oidc.example.com/cluster-a","useJwksUrl":"true","jwksUrl":"https://oidc.example.com/cluster-a/openid/v1/jwks","jwtAuthorizationGrantEnabled":"true","jwtAuthorizationGrantAssertionReuseAllowed":"true","jwtAuthorizationGrantMaxAllowedAssertionExpiration":"3600"}}' | "${KCADM:-kcadm.sh}" create identity-provider/instances -r payments -f -
fi
id=$("${KCADM:-kcadm.sh}" get clients -r payments -q clientId=payments-reader --fields id --format csv --noquotes)
if [ -n "$id" ]; then
  printf '%s' '{"clientId":"payments-reader","enabled":true,"protocol":"openid-connect","publicClient":false,"bearerOnly":false,"clientAuthenticatorType":"federated-jwt","serviceAccountsEnabled":false,"standardFlowEnabled":false,"implicitFlowEnabled":false,"directAccessGrantsEnabled":false,"fullScopeAllowed":false,"attributes":{"jwt.credential.issuer":"cluster-a","jwt.credential.sub":"system:serviceaccount:orders:writer","access.token.lifespan":"600","oauth2.jwt.authorization.grant.enabled":"true","oauth2.device.authorization.grant.enabled":"false","oidc.ciba.grant.enabled":"false","oauth2.jwt.authorization.grant.idp":"cluster-a-grants"}}' | "${KCADM:-kcadm.sh}" update clients/"$id" -r payments -f -
else
  printf '%s' '{"clientId":"payments-reader","enabled":true,"protocol":"openid-connect","publicClient":false,"bearerOnly":false,"clientAuthenticatorType":"federated-jwt","serviceAccountsEnabled":false,"standardFlowEnabled":false,"implicitFlowEnabled":false,"directAccessGrantsEnabled":false,"fullScopeAllowed":false,"attributes":{"jwt.credential.issuer":"cluster-a","jwt.credential.sub":"system:serviceaccount:orders:writer","access.token.lifespan":"600","oauth2.jwt.authorization.grant.enabled":"true","oauth2.device.authorization.grant.enabled":"false","oidc.ciba.grant.enabled":"false","oauth2.jwt.authorization.grant.idp":"cluster-a-grants"}}' | "${KCADM:-kcadm.sh}" create clients -r payments -f -
  id=$("${KCADM:-kcadm.sh}" get clients -r payments -q clientId=payments-reader --fields id --format csv --noquotes)
fi
id=$("${KCADM:-kcadm.sh}" get users -r payments -q username=payments-reader -q exact=true --fields id --format csv --noquotes)
if [ -n "$id" ]; then
  printf '%s' '{"username":"payments-reader","enabled":true}' | "${KCADM:-kcadm.sh}" update users/"$id" -r payments -f -
else
  printf '%s' '{"username":"payments-reader","enabled":true}' | "${KCADM:-kcadm.sh}" create users -r payments -f -
  id=$("${KCADM:-kcadm.sh}" get users -r payments -q username=payments-reader -q exact=true --fields id --format csv --noquotes)
fi
"${KCADM:-kcadm.sh}" delete users/"$id"/federated-identity/cluster-a-grants -r payments >/dev/null 2>&1 || :
printf '%s' '{"identityProvider":"cluster-a-grants","userId":"system:serviceaccount:orders:writer","userName":"system:serviceaccount:orders:writer"}' | "${KCADM:-kcadm.sh}" create users/"$id"/federated-identity/cluster-a-grants -r payments -f -
