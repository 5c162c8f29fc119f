#!/bin/sh
# Needs the AWS CLI with credentials for account 123456789012 that may administer IAM.
# Other trusts of this cluster may use the same provider: their audiences stay.
set -eu
if aws iam get-open-id-connect-provider --open-id-connect-provider-arn arn:aws:iam::123456789012:oidc-provider/oidc.example.com/cluster-a >/dev/null 2>&1; then
  aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn arn:aws:iam::123456789012:oidc-provider/oidc.example.com/cluster-a --client-id https://aws-prod.sts.example
else
  aws iam create-open-id-connect-provider --url https://oidc.example.com/cluster-a --client-id-list https://aws-prod.sts.example
fi
if aws iam get-role --role-name payments-reader >/dev/null 2>&1; then
  aws iam update-assume-role-policy --role-name payments-reader --policy-document '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/oidc.example.com/cluster-a"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"oidc.example.com/cluster-a:aud":"https://aws-prod.sts.example","oidc.example.com/cluster-a:sub":["system:serviceaccount:orders:reader","system:serviceaccount:payments:reader"]}}}]}'
  aws iam update-role --role-name payments-reader --max-session-duration 3600
else
  aws iam create-role --role-name payments-reader --path / --assume-role-policy-document '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/oidc.example.com/cluster-a"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"oidc.example.com/cluster-a:aud":"https://aws-prod.sts.example","oidc.example.com/cluster-a:sub":["system:serviceaccount:orders:reader","system:serviceaccount:payments:reader"]}}}]}' --max-session-duration 3600
fi
if aws iam get-role --role-name payments-writer >/dev/null 2>&1; then
  aws iam update-assume-role-policy --role-name payments-writer --policy-document '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/oidc.example.com/cluster-a"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"oidc.example.com/cluster-a:aud":"https://aws-prod.sts.example","oidc.example.com/cluster-a:sub":"system:serviceaccount:payments:writer"}}}]}'
  aws iam update-role --role-name payments-writer --max-session-duration 3600
else
  aws iam create-role --role-name payments-writer --path /team/ --assume-role-policy-document '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/oidc.example.com/cluster-a"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"oidc.example.com/cluster-a:aud":"https://aws-prod.sts.example","oidc.example.com/cluster-a:sub":"system:serviceaccount:payments:writer"}}}]}' --max-session-duration 3600
fi
