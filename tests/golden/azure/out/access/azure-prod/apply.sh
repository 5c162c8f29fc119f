#!/bin/sh
# Needs az, signed in to tenant 11111111-2222-3333-4444-555555555555 with the right to change the identities' federated credentials.
# Credentials that are bound no longer stay: delete them by name. Entra takes minutes until a new one counts.
set -eu
az identity federated-credential create --name payments-reader-24d2caa2 --subscription 99999999-8888-7777-6666-555555555555 --resource-group rg --identity-name reader --issuer https://oidc.example.com/cluster-a --subject system:serviceaccount:payments:reader --audiences api://AzureADTokenExchange
if az ad app federated-credential show --id dddddddd-0000-0000-0000-000000000000 --federated-credential-id payments-reader-24d2caa2 >/dev/null 2>&1; then
  az ad app federated-credential update --id dddddddd-0000-0000-0000-000000000000 --federated-credential-id payments-reader-24d2caa2 --parameters '{"name":"payments-reader-24d2caa2","issuer":"https://oidc.example.com/cluster-a","subject":"system:serviceaccount:payments:reader","audiences":["api://AzureADTokenExchange"]}'
else
  az ad app federated-credential create --id dddddddd-0000-0000-0000-000000000000 --parameters '{"name":"payments-reader-24d2caa2","issuer":"https://oidc.example.com/cluster-a","subject":"system:serviceaccount:payments:reader","audiences":["api://AzureADTokenExchange"]}'
fi
