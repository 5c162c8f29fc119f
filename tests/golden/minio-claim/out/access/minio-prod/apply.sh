#!/bin/sh
# Needs mc with an alias of the server, MC_ALIAS, whose credentials may administer it.
# A new provider gets a client secret that is shown nowhere: nobody signs with it. The server restarts.
set -eu
: "${MC_ALIAS:?}"
printf '%s' '{"Version":"2012-10-17","Statement":[{"Sid":"ledger-reader","Effect":"Allow","Action":["s3:ListBucket"],"Resource":["arn:aws:s3:::ledger"]},{"Sid":"ledger-reader","Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::ledger/*"]},{"Sid":"apostille-ceiling","Effect":"Deny","Action":["sts:AssumeRoleWithWebIdentity"],"Condition":{"NumericGreaterThan":{"sts:DurationSeconds":[3600]}}}]}' | mc admin policy create "$MC_ALIAS" system:serviceaccount:orders:reader /dev/stdin
printf '%s' '{"Version":"2012-10-17","Statement":[{"Sid":"ledger-reader","Effect":"Allow","Action":["s3:ListBucket"],"Resource":["arn:aws:s3:::ledger"]},{"Sid":"ledger-reader","Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::ledger/*"]},{"Sid":"apostille-ceiling","Effect":"Deny","Action":["sts:AssumeRoleWithWebIdentity"],"Condition":{"NumericGreaterThan":{"sts:DurationSeconds":[3600]}}}]}' | mc admin policy create "$MC_ALIAS" system:serviceaccount:payments:reader /dev/stdin
printf '%s' '{"Version":"2012-10-17","Statement":[{"Sid":"ledger-writer","Effect":"Allow","Action":["s3:PutObject"],"Resource":["arn:aws:s3:::ledger/incoming/*"]},{"Sid":"apostille-ceiling","Effect":"Deny","Action":["sts:AssumeRoleWithWebIdentity"],"Condition":{"NumericGreaterThan":{"sts:DurationSeconds":[3600]}}}]}' | mc admin policy create "$MC_ALIAS" system:serviceaccount:payments:writer /dev/stdin
if mc --json idp openid info "$MC_ALIAS" | grep '"config_url"' >/dev/null 2>&1; then
  mc idp openid update "$MC_ALIAS" claim_name=sub client_id=https://minio.example:9000 config_url=https://oidc.example.com/cluster-a/.well-known/openid-configuration display_name=minio-prod
else
  mc idp openid add "$MC_ALIAS" claim_name=sub client_id=https://minio.example:9000 config_url=https://oidc.example.com/cluster-a/.well-known/openid-configuration display_name=minio-prod client_secret="$(head -c 48 /dev/urandom | base64 | tr -d "\n")"
fi
tries=12
until mc --json admin service restart "$MC_ALIAS"; do
  tries=$((tries - 1))
  [ "$tries" -gt 0 ] || exit 1
  sleep 5
done
