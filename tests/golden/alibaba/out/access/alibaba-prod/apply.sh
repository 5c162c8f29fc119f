#!/bin/sh
# Needs the Alibaba Cloud CLI with credentials for account 1234567890123456 that may administer RAM.
# Other trusts of this cluster may use the same identity provider: their audiences stay.
set -eu
if aliyun ims GetOIDCProvider --OIDCProviderName cluster-a >/dev/null 2>&1; then
  aliyun ims GetOIDCProvider --OIDCProviderName cluster-a | tr '",' '\n\n' | grep -qxF -e https://alibaba-prod.sts.example || aliyun ims AddClientIdToOIDCProvider --OIDCProviderName cluster-a --ClientId https://alibaba-prod.sts.example
else
  aliyun ims CreateOIDCProvider --OIDCProviderName cluster-a --IssuerUrl https://oidc.example.com/cluster-a --ClientIds https://alibaba-prod.sts.example
fi
if aliyun ram GetRole --RoleName payments-reader >/dev/null 2>&1; then
  aliyun ram UpdateRole --RoleName payments-reader --NewAssumeRolePolicyDocument '{"Statement":[{"Action":"sts:AssumeRole","Condition":{"StringEquals":{"oidc:aud":"https://alibaba-prod.sts.example","oidc:iss":"https://oidc.example.com/cluster-a","oidc:sub":["system:serviceaccount:payments:reader","system:serviceaccount:payments:writer"]}},"Effect":"Allow","Principal":{"Federated":["acs:ram::1234567890123456:oidc-provider/cluster-a"]}}],"Version":"1"}' --NewMaxSessionDuration 3600
else
  aliyun ram CreateRole --RoleName payments-reader --AssumeRolePolicyDocument '{"Statement":[{"Action":"sts:AssumeRole","Condition":{"StringEquals":{"oidc:aud":"https://alibaba-prod.sts.example","oidc:iss":"https://oidc.example.com/cluster-a","oidc:sub":["system:serviceaccount:payments:reader","system:serviceaccount:payments:writer"]}},"Effect":"Allow","Principal":{"Federated":["acs:ram::1234567890123456:oidc-provider/cluster-a"]}}],"Version":"1"}' --MaxSessionDuration 3600
fi
if aliyun ram GetRole --RoleName payments-writer >/dev/null 2>&1; then
  aliyun ram UpdateRole --RoleName payments-writer --NewAssumeRolePolicyDocument '{"Statement":[{"Action":"sts:AssumeRole","Condition":{"StringEquals":{"oidc:aud":"https://alibaba-prod.sts.example","oidc:iss":"https://oidc.example.com/cluster-a","oidc:sub":["system:serviceaccount:payments:writer"]}},"Effect":"Allow","Principal":{"Federated":["acs:ram::1234567890123456:oidc-provider/cluster-a"]}}],"Version":"1"}' --NewMaxSessionDuration 3600
else
  aliyun ram CreateRole --RoleName payments-writer --AssumeRolePolicyDocument '{"Statement":[{"Action":"sts:AssumeRole","Condition":{"StringEquals":{"oidc:aud":"https://alibaba-prod.sts.example","oidc:iss":"https://oidc.example.com/cluster-a","oidc:sub":["system:serviceaccount:payments:writer"]}},"Effect":"Allow","Principal":{"Federated":["acs:ram::1234567890123456:oidc-provider/cluster-a"]}}],"Version":"1"}' --MaxSessionDuration 3600
fi
