#!/bin/sh
# Needs the Databricks CLI as an account administrator; DATABRICKS_HOST is the account console's URL.
# Policies of subjects that are bound no longer stay: delete them by their ids.
set -eu
: "${DATABRICKS_HOST:?}"
: "${DATABRICKS_ACCOUNT_ID:?}"
if databricks account service-principal-federation-policy get 1234567890123456 payments-reader-c6c65abfe0 >/dev/null 2>&1; then
  databricks account service-principal-federation-policy update 1234567890123456 payments-reader-c6c65abfe0 --json '{"description":"Apostille: service account payments/reader","oidc_policy":{"issuer":"https://oidc.example.com/cluster-a","audiences":["https://dbc-a1b2345c-d6e7.cloud.databricks.com"],"subject":"system:serviceaccount:payments:reader","subject_claim":"sub"}}'
else
  databricks account service-principal-federation-policy create 1234567890123456 --policy-id payments-reader-c6c65abfe0 --json '{"description":"Apostille: service account payments/reader","oidc_policy":{"issuer":"https://oidc.example.com/cluster-a","audiences":["https://dbc-a1b2345c-d6e7.cloud.databricks.com"],"subject":"system:serviceaccount:payments:reader","subject_claim":"sub"}}'
fi
if databricks account service-principal-federation-policy get 1234567890123456 payments-writer-2203f85140 >/dev/null 2>&1; then
  databricks account service-principal-federation-policy update 1234567890123456 payments-writer-2203f85140 --json '{"description":"Apostille: service account payments/writer","oidc_policy":{"issuer":"https://oidc.example.com/cluster-a","audiences":["https://dbc-a1b2345c-d6e7.cloud.databricks.com"],"subject":"system:serviceaccount:payments:writer","subject_claim":"sub"}}'
else
  databricks account service-principal-federation-policy create 1234567890123456 --policy-id payments-writer-2203f85140 --json '{"description":"Apostille: service account payments/writer","oidc_policy":{"issuer":"https://oidc.example.com/cluster-a","audiences":["https://dbc-a1b2345c-d6e7.cloud.databricks.com"],"subject":"system:serviceaccount:payments:writer","subject_claim":"sub"}}'
fi
