#!/bin/sh
# Needs the Snowflake CLI with a connection that may administer users and authentication policies.
# Workload identities of subjects that are bound no longer stay: remove them by name.
set -eu
printf '%s' 'CREATE AUTHENTICATION POLICY IF NOT EXISTS SECURITY.POLICIES.CLUSTER_A;
ALTER AUTHENTICATION POLICY SECURITY.POLICIES.CLUSTER_A SET
  AUTHENTICATION_METHODS = ('"'"'WORKLOAD_IDENTITY'"'"')
  WORKLOAD_IDENTITY_POLICY = (ALLOWED_PROVIDERS = (OIDC) ALLOWED_OIDC_ISSUERS = ('"'"'https://oidc.example.com/cluster-a'"'"'));
' | snow sql --stdin
printf '%s' 'CREATE USER IF NOT EXISTS PAYMENTS_READER TYPE = SERVICE;
ALTER USER PAYMENTS_READER SET WORKLOAD_IDENTITY = (
  TYPE = OIDC ISSUER = '"'"'https://oidc.example.com/cluster-a'"'"'
  SUBJECT = '"'"'system:serviceaccount:payments:reader'"'"'
  OIDC_AUDIENCE_LIST = ('"'"'https://acme-prod.snowflakecomputing.com'"'"')
);
ALTER USER PAYMENTS_READER SET AUTHENTICATION POLICY SECURITY.POLICIES.CLUSTER_A FORCE;
' | snow sql --stdin
printf '%s' 'ALTER USER PAYMENTS_READER MODIFY WORKLOAD IDENTITY APOSTILLE_D4DE6EAA4CBB
  ISSUER = '"'"'https://oidc.example.com/cluster-a'"'"'
  SUBJECT = '"'"'system:serviceaccount:payments:writer'"'"'
  OIDC_AUDIENCE_LIST = ('"'"'https://acme-prod.snowflakecomputing.com'"'"');' | snow sql --stdin >/dev/null 2>&1 || printf '%s' 'ALTER USER PAYMENTS_READER ADD WORKLOAD IDENTITY APOSTILLE_D4DE6EAA4CBB
  TYPE = OIDC ISSUER = '"'"'https://oidc.example.com/cluster-a'"'"'
  SUBJECT = '"'"'system:serviceaccount:payments:writer'"'"'
  OIDC_AUDIENCE_LIST = ('"'"'https://acme-prod.snowflakecomputing.com'"'"');' | snow sql --stdin
