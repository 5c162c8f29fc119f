#!/bin/sh
# Needs mc with an alias of the server, MC_ALIAS, whose credentials may administer it.
# A new provider gets a client secret that is shown nowhere: nobody signs with it. The server restarts.
set -eu
: "${MC_ALIAS:?}"
printf '%s' '{"Version":"2012-10-17","Statement":[{"Sid":"ledger-reader","Effect":"Allow","Action":["s3:ListBucket"],"Resource":["arn:aws:s3:::ledger"],"Condition":{"StringEquals":{"jwt:sub":["system:serviceaccount:orders:reader","system:serviceaccount:payments:reader"]}}},{"Sid":"ledger-reader","Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::ledger/*"],"Condition":{"StringEquals":{"jwt:sub":["system:serviceaccount:orders:reader","system:serviceaccount:payments:reader"]}}},{"Sid":"ledger-writer","Effect":"Allow","Action":["s3:PutObject"],"Resource":["arn:aws:s3:::ledger/incoming/*"],"Condition":{"StringEquals":{"jwt:sub":["system:serviceaccount:payments:writer"]}}},{"Sid":"apostille-ceiling","Effect":"Deny","Action":["sts:AssumeRoleWithWebIdentity"],"Condition":{"NumericGreaterThan":{"sts:DurationSeconds":[3600]}}}]}' | mc admin policy create "$MC_ALIAS" apostille-minio-prod /dev/stdin
if mc --json idp openid info "$MC_ALIAS" | grep '"config_url"' >/dev/null 2>&1; then
  mc idp openid update "$MC_ALIAS" client_id=https://minio.sts.example config_url=https://oidc.example.com/cluster-a/.well-known/openid-configuration display_name=minio-prod role_policy=apostille-minio-prod
else
  mc idp openid add "$MC_ALIAS" client_id=https://minio.sts.example config_url=https://oidc.example.com/cluster-a/.well-known/openid-configuration display_name=minio-prod role_policy=apostille-minio-prod client_secret="$(head -c 48 /dev/urandom | base64 | tr -d "\n")"
fi
tries=12
until mc --json admin service restart "$MC_ALIAS"; do
  tries=$((tries - 1))
  [ "$tries" -gt 0 ] || exit 1
  sleep 5
done
