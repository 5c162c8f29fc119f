"""Every party in every way to deliver: what is declared, what a container runs, what it prints when it got in."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apostille_testbed.node import sdks
from apostille_testbed.node.everybody import HYDRA_ADMIN, Parties, url

JOBS, LIVES = "modes", "lives"
"""Namespaces: of the Jobs, one a mode, and of the pod that lives through renewals to the end of its bindings."""

MODES = ("SDK", "Sidecar", "Init", "TokenOnly")
LIFE = 45
"""Seconds that the credentials of the pod that lives are for, where that can be had."""
MARK = "> "
"""Before what a program says: its SDK may write warnings."""

ACCOUNT = "123456789012"
ROLE, OTHER = (f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ("reader", "archive"))
TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "aaaaaaaa-0000-0000-0000-000000000000"
SUBSCRIPTION = "99999999-8888-7777-6666-555555555555"
IDENTITY = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/reader"
)
DATABRICKS = "https://dbc-a1b2345c-d6e7.cloud.databricks.com"
APPLICATION = "bbbbbbbb-0000-0000-0000-000000000000"
PROJECT = "33333333-2222-1111-0000-555555555555"
POOL = "projects/123456789012/locations/global/workloadIdentityPools/k8s-prod/providers/cluster-a"
EMAIL = "reader@my-project.iam.gserviceaccount.com"
MOUNT, REALM = "jwt-cluster-a", "payments"
BUCKET, OBJECT = "ledger", "2026/11.csv"
PASSWORD = "correct horse"
USER = "PAYMENTS_READER"


@dataclass(frozen=True)
class Declared:
    """A party in declarations: the trust's settings, and (its name in ``allow``, the binding's member) of a target."""

    settings: Callable[[Parties], dict[str, Any]]
    target: Callable[[str], tuple[str, dict[str, Any]]]
    """By mode."""


def _fixed(name: str, member: str) -> Callable[[str], tuple[str, dict[str, Any]]]:
    return lambda mode: (name, {member: name})


def _server(of: str, **settings: Any) -> Callable[[Parties], dict[str, Any]]:
    return lambda parties: {**settings, "caBundle": parties[of].ca.read_text()}


def _just(**settings: Any) -> Callable[[Parties], dict[str, Any]]:
    return lambda parties: settings


def _google(mode: str) -> tuple[str, dict[str, Any]]:
    # The sidecar's credential is a federated one, the others go on to a service account.
    name = "direct" if mode in ("Sidecar", "Lives") else EMAIL
    return name, {"serviceAccount": name}


def _by_mode(name: str, member: str) -> Callable[[str], tuple[str, dict[str, Any]]]:
    """One of its own for the pod that lives: what it gives has a short life."""
    return lambda mode: _fixed(LIVES if mode == "Lives" else name, member)(mode)


def _keycloak(mode: str) -> tuple[str, dict[str, Any]]:
    return mode.lower(), {"client": mode.lower()}


_POLICY = {
    "name": "ledger-reader",
    "statements": [{"actions": ["s3:ListBucket"], "resources": [f"arn:aws:s3:::{BUCKET}"]}],
}
_HYDRA_CLIENTS = [{"name": name, "clientID": name, "scopes": ["read"]} for name in ("api", LIVES)]
_VAULT_ROLES = [{"name": name, "policies": ["reader"]} for name in ("reader", LIVES)]

PARTIES: Mapping[str, Declared] = {
    "AWS": Declared(_just(accountID=ACCOUNT, region="eu-west-1"), _fixed(ROLE, "roleARN")),
    "Azure": Declared(
        _just(tenantID=TENANT, identities=[{"clientID": CLIENT, "resource": IDENTITY}]), _fixed(CLIENT, "clientID")
    ),
    "Databricks": Declared(
        _just(accountID=TENANT, host=DATABRICKS, servicePrincipals=[{"applicationID": APPLICATION, "id": "70"}]),
        _fixed(APPLICATION, "applicationID"),
    ),
    "GCP": Declared(
        _just(projectNumber="123456789012", pool="k8s-prod", provider="cluster-a", projectID="my-project"), _google
    ),
    "HCP": Declared(_just(projectID=PROJECT, provider="cluster-a"), _fixed("payments-reader", "servicePrincipal")),
    "Keycloak": Declared(_server("keycloak", address=url("keycloak"), realm=REALM), _keycloak),
    "MinIO": Declared(_server("minio", endpoint=url("minio"), policies=[_POLICY]), _fixed("ledger-reader", "policy")),
    "OAuth": Declared(
        _server("hydra", profile="Hydra", tokenEndpoint=f"{url('hydra')}/oauth2/token", targets=_HYDRA_CLIENTS),
        _by_mode("api", "name"),
    ),
    "Snowflake": Declared(_just(account="acme-prod"), _fixed(USER, "user")),
    "Vault": Declared(
        _server("vault", address=url("vault"), mount=MOUNT, roles=_VAULT_ROLES),
        _by_mode("reader", "role"),
    ),
}
"""By the kind of the relying party."""


def trust(kind: str, parties: Parties) -> dict[str, Any]:
    """Of everything here at one party."""
    declared = PARTIES[kind]
    modes = sorted({row.mode for row in ROWS if row.party == kind})
    spec: dict[str, Any] = {
        "relyingParty": {"type": kind, kind.lower(): declared.settings(parties)},
        "enforcement": {"mode": "Enforce"},
        "allow": [_allowed(JOBS, mode.lower(), declared.target(mode)[0]) for mode in modes],
    }
    if any(one.party == kind for one in LONG):
        spec["allow"].append(_allowed(LIVES, LIVES, declared.target("Lives")[0]))
    if kind == "AWS":
        spec["audience"] = "https://modes.sts.example"
        spec["allow"].append(_allowed(LIVES, LIVES, OTHER))
    if kind == "OAuth":
        # Hydra takes the address that it was started with.
        spec["audience"] = parties["hydra"].token_endpoint
    return _object("FederationTrust", kind.lower(), "", spec)


def _allowed(namespace: str, account: str, target: str) -> dict[str, Any]:
    return {"namespace": namespace, "serviceAccounts": [account], "targets": [target]}


def bindings() -> list[dict[str, Any]]:
    """One a party and mode, and one a party that lives."""
    made: dict[str, dict[str, Any]] = {}
    for row in ROWS:
        name = f"{row.party}-{row.mode}".lower()
        binding = made.setdefault(name, _binding(name, JOBS, row.mode, row.party, row.mode.lower(), row.mode))
        binding["spec"]["delivery"]["containers"]["include"].append(row.name)
    for long in LONG:
        name = long.party.lower()
        binding = made.setdefault(
            f"{LIVES}/{name}", _binding(name, LIVES, "Lives", long.party, LIVES, long.mode, **long.delivery)
        )
        binding["spec"]["delivery"]["containers"]["include"].append(long.name)
    return list(made.values())


def _binding(
    name: str, namespace: str, target: str, party: str, account: str, mode: str, **delivery: Any
) -> dict[str, Any]:
    member = PARTIES[party].target(target)[1]
    spec = {
        "trustRef": {"name": party.lower()},
        "subject": {"serviceAccountNames": [account]},
        "target": {party.lower(): member},
        "delivery": {"mode": mode, "containers": {"include": []}, **delivery},
    }
    return _object("WorkloadBinding", name, namespace, spec)


def _object(kind: str, name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "apostille.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def prepare(parties: Parties) -> None:
    """What is there at the parties before anybody is let in."""
    parties["entra"].permit(CLIENT, SUBSCRIPTION)
    parties["google"].create_bucket(BUCKET, [OBJECT], [f"serviceAccount:{EMAIL}"])
    parties["databricks"].policies.add_principal(70, APPLICATION)
    parties["minio"].create_bucket(BUCKET, {OBJECT: b"balance"})
    parties["vault"].write_secret("payments", {"password": PASSWORD})
    parties["vault"].write_policy("reader", 'path "secret/data/payments" { capabilities = ["read"] }')


def _changed(files: Mapping[str, str], prefix: str, change: Callable[[dict[str, Any]], Any]) -> dict[str, str]:
    made = dict(files)
    for name in files:
        if name.startswith(prefix):
            document = json.loads(files[name])
            change(document)
            made[name] = json.dumps(document)
    return made


def _at_keycloak(parties: Parties, files: Mapping[str, str]) -> None:
    short = {"access.token.lifespan": str(LIFE)}
    changed = _changed(files, f"client-{LIVES}", lambda document: document["attributes"].update(short))
    parties["keycloak"].apply(REALM, changed, address=url("keycloak"))


def _at_hydra(parties: Parties, files: Mapping[str, str]) -> None:
    short = {"jwt_bearer_grant_access_token_lifespan": f"{LIFE}s"}
    parties["hydra"].apply(_changed(files, f"client-{LIVES}", lambda document: document.update(short)))


def _at_vault(parties: Parties, files: Mapping[str, str]) -> None:
    parties["vault"].apply(
        MOUNT, _changed(files, f"role-{LIVES}", lambda document: document.update({"token_ttl": LIFE}))
    )


AT_THE_PARTY: Mapping[str, Callable[[Parties, Mapping[str, str]], None]] = {
    "AWS": lambda parties, files: parties["aws"].iam.load_files(files, source="aws"),
    "Azure": lambda parties, files: parties["entra"].directory.apply(files),
    "Databricks": lambda parties, files: parties["databricks"].policies.load(files),
    "GCP": lambda parties, files: parties["google"].pools.apply(files),
    "HCP": lambda parties, files: parties["hcp"].providers.load(files),
    "Keycloak": _at_keycloak,
    "MinIO": lambda parties, files: parties["minio"].apply(files),
    "OAuth": _at_hydra,
    "Snowflake": lambda parties, files: parties["snowflake"].account.load(files),
    "Vault": _at_vault,
}
"""What a platform team's pipeline does with the rendered documents. Short lives are the administrators' wish."""


def _caller(argv: tuple[str, ...]) -> str:
    return f"""
import subprocess
def call():
    done = subprocess.run({list(argv)!r}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout.strip()
"""


_BOTO3 = """
import boto3
from botocore.config import Config
once = Config(retries={"total_max_attempts": 1})
def call():
    return boto3.Session().client("sts", config=once).get_caller_identity()["Arn"]
"""
_GO, _NODE = _caller(sdks.GO), _caller(sdks.NODE)

_KEYS = """
import boto3
def keys(got):
    names = {"access_key_id": "AccessKeyId", "secret_access_key": "SecretAccessKey", "session_token": "SessionToken"}
    return {f"aws_{name}": got[key] for name, key in names.items()}
"""
_AWS_BY_HAND = f"""{_KEYS}
def call():
    asks = dict(RoleArn="{ROLE}", RoleSessionName="by-hand", WebIdentityToken=token())
    got = boto3.client("sts", region_name="eu-west-1").assume_role_with_web_identity(**asks)["Credentials"]
    return boto3.client("sts", region_name="eu-west-1", **keys(got)).get_caller_identity()["Arn"]
"""

_MINIO = f"""
import boto3
def listed(client):
    return client.list_objects_v2(Bucket="{BUCKET}")["Contents"][0]["Key"]
def call():
    return listed(boto3.client("s3"))
"""
_MINIO_BY_HAND = f"""{_KEYS}{_MINIO}
def call():
    asks = dict(RoleArn="arn:minio:iam:::role/by-hand", RoleSessionName="by-hand", WebIdentityToken=token())
    at = dict(endpoint_url="{url("minio")}", region_name="us-east-1")
    got = boto3.client("sts", **at).assume_role_with_web_identity(**asks)["Credentials"]
    return listed(boto3.client("s3", **at, **keys(got)))
"""

_GOOGLE = f"""
import google.auth, google.oauth2.credentials
from google.auth import identity_pool
from google.auth.transport.requests import AuthorizedSession
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
def listed(credentials):
    reply = AuthorizedSession(credentials).get("https://storage.googleapis.com/storage/v1/b/{BUCKET}/o")
    reply.raise_for_status()
    return reply.json()["items"][0]["name"]
"""
_GOOGLE_SDK = f"""{_GOOGLE}
def call():
    return listed(google.auth.default(scopes=[SCOPE])[0])
"""
_GOOGLE_FILE = f"""{_GOOGLE}
def call():
    return listed(google.oauth2.credentials.Credentials(file("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE")))
"""
_GOOGLE_BY_HAND = f"""{_GOOGLE}
def call():
    return listed(identity_pool.Credentials(
        audience="//iam.googleapis.com/{POOL}", subject_token_type="urn:ietf:params:oauth:token-type:jwt",
        token_url="https://sts.googleapis.com/v1/token", credential_source={{"file": TOKEN}}, scopes=[SCOPE],
        service_account_impersonation_url=
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{EMAIL}:generateAccessToken",
    ))
"""

_AZURE = """
import requests
from azure.identity import ClientAssertionCredential, DefaultAzureCredential, ManagedIdentityCredential
def read(token):
    url = "https://management.azure.com/subscriptions?api-version=2022-12-01"
    reply = requests.get(url, headers={"Authorization": "Bearer " + token}, timeout=30)
    reply.raise_for_status()
    return reply.json()["value"][0]["subscriptionId"]
def asked(credential):
    return read(credential.get_token("https://management.azure.com/.default").token)
"""
_AZURE_SDK = f"""{_AZURE}
def call():
    return asked(DefaultAzureCredential())
"""
_AZURE_ENDPOINT = f"""{_AZURE}
def call():
    return asked(ManagedIdentityCredential(retry_total=0))
"""
_AZURE_FILE = f"""{_AZURE}
def call():
    return read(file("AZURE_ACCESS_TOKEN_FILE"))
"""
_AZURE_BY_HAND = f"""{_AZURE}
def call():
    return asked(ClientAssertionCredential("{TENANT}", "{CLIENT}", token))
"""

_DATABRICKS = """
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
def who(**settings):
    return WorkspaceClient(**settings).current_user.me().user_name
"""
_DATABRICKS_SDK = f"""{_DATABRICKS}
call = who
"""
_DATABRICKS_FILE = f"""{_DATABRICKS}
def call():
    return who(token=file("DATABRICKS_TOKEN_FILE"))
"""
_DATABRICKS_BY_HAND = f"""{_DATABRICKS}
def call():
    by_hand = Config(host="{DATABRICKS}", client_id="{APPLICATION}", auth_type="file-oidc", oidc_token_filepath=TOKEN)
    return who(config=by_hand)
"""

# HCP has no SDK for Python: the request that hcp-sdk-go makes (auth/workload).
_HCP = """
import requests
HCP = "https://api.cloud.hashicorp.com"
def who(token):
    bearer = {"Authorization": "Bearer " + token}
    reply = requests.get(HCP + "/iam/2019-12-10/caller-identity", headers=bearer, timeout=30)
    reply.raise_for_status()
    return reply.json()["principal"]["service"]["name"]
def exchanged(resource, path):
    asks = {"jwt_token": open(path).read()}
    reply = requests.post(HCP + "/2019-12-10/" + resource + "/exchange-token", json=asks, timeout=30)
    reply.raise_for_status()
    return reply.json()["access_token"]
"""
_HCP_SDK = f"""{_HCP}
import json
def call():
    workload = json.loads(file("HCP_CRED_FILE"))["workload"]
    return who(exchanged(workload["provider_resource_name"], workload["file"]["path"]))
"""
_HCP_FILE = f"""{_HCP}
def call():
    return who(file("HCP_TOKEN_FILE"))
"""
_HCP_BY_HAND = f"""{_HCP}
def call():
    principal = "iam/project/{PROJECT}/service-principal/payments-reader"
    return who(exchanged(principal + "/workload-identity-provider/cluster-a", TOKEN))
"""

# As a service that trusts the realm does it: by the realm's keys.
_KEYCLOAK = f"""
import jwt, requests
ISSUER = "{url("keycloak")}/realms/{REALM}"
keys = jwt.PyJWKClient(ISSUER + "/protocol/openid-connect/certs")
def client(token):
    key = keys.get_signing_key_from_jwt(token)
    return jwt.decode(token, key, ["RS256"], issuer=ISSUER, options={{"verify_aud": False}})["azp"]
"""
_KEYCLOAK_FILE = f"""{_KEYCLOAK}
def call():
    return client(file("KEYCLOAK_TOKEN_FILE"))
"""
_KEYCLOAK_BY_HAND = f"""{_KEYCLOAK}
def call():
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    form = dict(grant_type="client_credentials", client_assertion_type=kind, client_assertion=token())
    reply = requests.post(ISSUER + "/protocol/openid-connect/token", form, timeout=30)
    reply.raise_for_status()
    return client(reply.json()["access_token"])
"""

# As a service that trusts Hydra does it: it asks what the token is (RFC 7662).
_HYDRA = f"""
import requests
def subject(token):
    asks = "{url("hydra")}:{HYDRA_ADMIN}/admin/oauth2/introspect"
    said = requests.post(asks, {{"token": token}}, timeout=30).json()
    assert said["active"], "Hydra does not know the token"
    return said["sub"]
"""
_HYDRA_FILE = f"""{_HYDRA}
def call():
    return subject(file("OAUTH_TOKEN_FILE"))
"""
_HYDRA_BY_HAND = f"""{_HYDRA}
def call():
    kind = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    form = dict(grant_type=kind, assertion=token(), client_id="api", scope="read")
    reply = requests.post("{url("hydra")}/oauth2/token", form, timeout=30)
    reply.raise_for_status()
    return subject(reply.json()["access_token"])
"""

_SNOWFLAKE = """
import snowflake.connector
def who(**settings):
    return snowflake.connector.connect(**settings).cursor().execute("select current_user()").fetchone()[0]
"""
_SNOWFLAKE_SDK = f"""{_SNOWFLAKE}
call = who
"""
_SNOWFLAKE_BY_HAND = f"""{_SNOWFLAKE}
def call():
    kind = dict(authenticator="WORKLOAD_IDENTITY", workload_identity_provider="OIDC")
    return who(account="acme-prod", token=token(), **kind)
"""

_VAULT = """
import hvac
def secret(client):
    read = client.secrets.kv.v2.read_secret_version(path="payments", raise_on_deleted_version=True)
    return read["data"]["data"]["password"]
"""
_VAULT_FILE = f"""{_VAULT}
def call():
    return secret(hvac.Client(token=file("VAULT_TOKEN_FILE")))
"""
_VAULT_BY_HAND = f"""{_VAULT}
def call():
    client = hvac.Client(url="{url("vault")}")
    client.auth.jwt.jwt_login(role="reader", jwt=token(), path="{MOUNT}")
    return secret(client)
"""


@dataclass(frozen=True)
class Row:
    """A container of a mode's Job. ``says``: what it prints, with the names of mode and binding filled in."""

    party: str
    mode: str
    sdk: str
    program: str
    says: str

    @property
    def name(self) -> str:
        """Of its container."""
        return f"{self.party}-{self.sdk}".lower()

    @property
    def expected(self) -> str:
        """What it prints."""
        return self.says.format(mode=self.mode.lower(), binding=f"{self.party}-{self.mode}".lower())


_SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/{JOBS}.{{binding}}"
_SUBJECT = f"system:serviceaccount:{JOBS}:{{mode}}"
_BY_HAND = f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/by-hand"
_AFTER_EXCHANGE = ("Sidecar", "Init")

ROWS: tuple[Row, ...] = (
    *(
        Row("AWS", mode, sdk, program, _SESSION)
        for mode in ("SDK", *_AFTER_EXCHANGE)
        for sdk, program in (("boto3", _BOTO3), ("go", _GO), ("node", _NODE))
    ),
    Row("AWS", "TokenOnly", "boto3", _AWS_BY_HAND, _BY_HAND),
    Row("Azure", "SDK", "azure-identity", _AZURE_SDK, SUBSCRIPTION),
    *(Row("Azure", mode, "requests", _AZURE_FILE, SUBSCRIPTION) for mode in _AFTER_EXCHANGE),
    Row("Azure", "TokenOnly", "azure-identity", _AZURE_BY_HAND, SUBSCRIPTION),
    Row("Databricks", "SDK", "databricks-sdk", _DATABRICKS_SDK, APPLICATION),
    *(Row("Databricks", mode, "databricks-sdk", _DATABRICKS_FILE, APPLICATION) for mode in _AFTER_EXCHANGE),
    Row("Databricks", "TokenOnly", "databricks-sdk", _DATABRICKS_BY_HAND, APPLICATION),
    Row("GCP", "SDK", "google-auth", _GOOGLE_SDK, OBJECT),
    *(Row("GCP", mode, "google-auth", _GOOGLE_FILE, OBJECT) for mode in _AFTER_EXCHANGE),
    Row("GCP", "TokenOnly", "google-auth", _GOOGLE_BY_HAND, OBJECT),
    Row("HCP", "SDK", "requests", _HCP_SDK, "payments-reader"),
    *(Row("HCP", mode, "requests", _HCP_FILE, "payments-reader") for mode in _AFTER_EXCHANGE),
    Row("HCP", "TokenOnly", "requests", _HCP_BY_HAND, "payments-reader"),
    *(Row("Keycloak", mode, "pyjwt", _KEYCLOAK_FILE, "{mode}") for mode in _AFTER_EXCHANGE),
    Row("Keycloak", "TokenOnly", "pyjwt", _KEYCLOAK_BY_HAND, "{mode}"),
    Row("MinIO", "SDK", "boto3", _MINIO, OBJECT),
    Row("MinIO", "TokenOnly", "boto3", _MINIO_BY_HAND, OBJECT),
    *(Row("OAuth", mode, "requests", _HYDRA_FILE, _SUBJECT) for mode in _AFTER_EXCHANGE),
    Row("OAuth", "TokenOnly", "requests", _HYDRA_BY_HAND, _SUBJECT),
    Row("Snowflake", "SDK", "connector", _SNOWFLAKE_SDK, USER),
    Row("Snowflake", "TokenOnly", "connector", _SNOWFLAKE_BY_HAND, USER),
    *(Row("Vault", mode, "hvac", _VAULT_FILE, PASSWORD) for mode in _AFTER_EXCHANGE),
    Row("Vault", "TokenOnly", "hvac", _VAULT_BY_HAND, PASSWORD),
)


@dataclass(frozen=True)
class Long:
    """A container that calls without a pause until its credential is ``gone``; ``says`` each answer that it gets."""

    party: str
    sdk: str
    program: str
    gone: str
    says: tuple[str, ...]
    mode: str = "Auto"
    endpoint: tuple[str, int] | None = None

    @property
    def name(self) -> str:
        """Of its container."""
        return f"{self.party}-{self.sdk}".lower()

    @property
    def delivery(self) -> dict[str, Any]:
        """Besides the mode."""
        return {"endpoint": {"type": self.endpoint[0], "port": self.endpoint[1]}} if self.endpoint else {}


_ENDED = """
import urllib.error, urllib.request
def ended(url, authorization):
    try:
        urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": authorization}))
    except urllib.error.HTTPError as error:
        return error.code == 503 and b"BindingEnded" in error.read()
"""
_AWS_GONE = f"""{_ENDED}
def gone():
    return ended(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"], file("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"))
"""
_AZURE_GONE = f"""{_ENDED}
def gone():
    key = open("/var/opt/azcmagent/tokens/apostille.key").read()
    return ended(os.environ["IDENTITY_ENDPOINT"], "Basic " + key)
"""


def _file_gone(variable: str) -> str:
    return f"def gone():\n    return not os.path.exists(os.environ[{variable!r}])\n"


_SESSIONS = tuple(f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{LIVES}.aws" for role in ("reader", "archive"))
_AWS_ENDPOINT = ("AWSContainerCredentials", 2773)
_AZURE_PORT = ("AzureManagedIdentity", 2774)

LONG: tuple[Long, ...] = (
    *(
        Long("AWS", sdk, program, _AWS_GONE, _SESSIONS, endpoint=_AWS_ENDPOINT)
        for sdk, program in (("boto3", _BOTO3), ("go", _GO), ("node", _NODE))
    ),
    Long("Azure", "azure-identity", _AZURE_ENDPOINT, _AZURE_GONE, (SUBSCRIPTION,), endpoint=_AZURE_PORT),
    Long(
        "Databricks", "databricks-sdk", _DATABRICKS_FILE, _file_gone("DATABRICKS_TOKEN_FILE"), (APPLICATION,), "Sidecar"
    ),
    Long("GCP", "google-auth", _GOOGLE_FILE, _file_gone("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE"), (OBJECT,), "Sidecar"),
    Long("HCP", "requests", _HCP_FILE, _file_gone("HCP_TOKEN_FILE"), ("payments-reader",), "Sidecar"),
    Long("Keycloak", "pyjwt", _KEYCLOAK_FILE, _file_gone("KEYCLOAK_TOKEN_FILE"), (LIVES,)),
    Long("OAuth", "requests", _HYDRA_FILE, _file_gone("OAUTH_TOKEN_FILE"), (f"system:serviceaccount:{LIVES}:{LIVES}",)),
    Long("Vault", "hvac", _VAULT_FILE, _file_gone("VAULT_TOKEN_FILE"), (PASSWORD,)),
)

_HELPERS = """
import os, time
TOKEN = {token!r}
def token():
    return open(TOKEN).read()
def file(variable):
    return open(os.environ[variable]).read().strip()
"""
_SAYS = f"""
def say(text):
    print({MARK!r} + text, flush=True)
"""
_ONCE = "say(call())\n"
_ON = """
calls, last = 0, None
while True:
    try:
        said = call()
    except Exception as error:
        for _ in range(50):
            if calls and gone():
                say("gone")
                raise SystemExit(0)
            time.sleep(0.1)
        say(f"failed after {calls} calls: {error!r}")
        raise SystemExit(1)
    calls += 1
    if said != last:
        say(said)
        last = said
    time.sleep(0.2)
"""
"""A credential that is gone is no failure; before that not one call may fail."""


def program(of: Row | Long) -> str:
    """What the container runs."""
    if isinstance(of, Row):
        token = f"/var/run/secrets/apostille.dev/{of.party}-{of.mode}/token".lower()
        return _HELPERS.format(token=token) + _SAYS + of.program + _ONCE
    return _HELPERS.format(token="") + _SAYS + of.program + of.gone + _ON


def subjects(kind: str) -> list[str]:
    """Who is bound at a party."""
    accounts = {(JOBS, row.mode.lower()) for row in ROWS if row.party == kind}
    accounts |= {(LIVES, LIVES) for long in LONG if long.party == kind}
    return [f"system:serviceaccount:{namespace}:{name}" for namespace, name in sorted(accounts)]
