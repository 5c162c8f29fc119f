"""Names of what is at the parties, as the declarations and the programs in the pods have them."""

ACCOUNT = "123456789012"
ROLE, OTHER = (f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ("reader", "archive"))

ALIBABA_ACCOUNT, ALIBABA_REGION = "1234567890123456", "eu-central-1"
ALIBABA_ROLE = f"acs:ram::{ALIBABA_ACCOUNT}:role/reader"

TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "aaaaaaaa-0000-0000-0000-000000000000"
SUBSCRIPTION = "99999999-8888-7777-6666-555555555555"

DATABRICKS = "https://dbc-a1b2345c-d6e7.cloud.databricks.com"
APPLICATION = "bbbbbbbb-0000-0000-0000-000000000000"

PROJECT = "33333333-2222-1111-0000-555555555555"
PRINCIPAL, PROVIDER = "payments-reader", "cluster-a"

NUMBER, POOL = "123456789012", "k8s-prod"
EMAIL = "reader@my-project.iam.gserviceaccount.com"
BUCKET, OBJECT = "ledger", "2026/11.csv"

HYDRA, HYDRA_ADMIN = "https://hydra.test", "https://hydra.test:4445"
LATER = "later"
KEYCLOAK, REALM = "https://keycloak.test", "payments"
MINIO = "https://minio.test"

SNOWFLAKE, USER = "acme-prod", "PAYMENTS_READER"

VAULT, MOUNT, VAULT_ROLE = "https://vault.test", "jwt-cluster-a", "reader"
PASSWORD = "correct horse"
