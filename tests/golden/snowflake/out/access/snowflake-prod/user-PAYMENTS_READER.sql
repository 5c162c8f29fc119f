CREATE USER IF NOT EXISTS PAYMENTS_READER TYPE = SERVICE;
ALTER USER PAYMENTS_READER SET WORKLOAD_IDENTITY = (
  TYPE = OIDC ISSUER = 'https://oidc.example.com/cluster-a'
  SUBJECT = 'system:serviceaccount:payments:reader'
  OIDC_AUDIENCE_LIST = ('https://acme-prod.snowflakecomputing.com')
);
ALTER USER PAYMENTS_READER ADD WORKLOAD IDENTITY APOSTILLE_D4DE6EAA4CBB
  TYPE = OIDC ISSUER = 'https://oidc.example.com/cluster-a'
  SUBJECT = 'system:serviceaccount:payments:writer'
  OIDC_AUDIENCE_LIST = ('https://acme-prod.snowflakecomputing.com');
ALTER USER PAYMENTS_READER SET AUTHENTICATION POLICY SECURITY.POLICIES.CLUSTER_A FORCE;
