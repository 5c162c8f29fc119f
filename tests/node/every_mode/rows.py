"""Every party in every way to deliver: its container, the program in it, and what that prints when it got in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from node.every_mode.programs.values import (
    ACCOUNT,
    ALIBABA_ACCOUNT,
    ALIBABA_ROLE,
    APPLICATION,
    LATER,
    OBJECT,
    OTHER,
    PASSWORD,
    PRINCIPAL,
    ROLE,
    SUBSCRIPTION,
    USER,
)

JOBS, LIVES = "modes", "lives"
"""Namespaces: of the Jobs, one a mode, and of the pod that lives through renewals to the end of its bindings."""

MODES = ("SDK", "Sidecar", "Init", "TokenOnly")


@dataclass(frozen=True)
class Row:
    """A container of a mode's Job, which calls once.

    ``program``: module and function of `programs`. ``says``: what it prints, with ``{mode}`` and ``{binding}`` left to
    be filled in.
    """

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
    def binding(self) -> str:
        """The name of the one that it has its credential by."""
        return f"{self.party}-{self.mode}".lower()

    @property
    def expected(self) -> str:
        """What it prints."""
        return self.says.format(mode=self.mode.lower(), binding=self.binding)

    @property
    def arguments(self) -> Sequence[str]:
        """Of `programs.run`."""
        return ["once", *self.program.split(".")]

    @property
    def environment(self) -> dict[str, str]:
        """What the pod's author gives it: without an SDK in between, where the assertion lies."""
        found = f"/var/run/secrets/apostille.dev/{self.binding}/token"
        return {"TOKEN": found} if self.mode == "TokenOnly" else {}


@dataclass(frozen=True)
class Long:
    """A container that calls again and again until its credential is gone; ``says`` each answer that it gets."""

    party: str
    sdk: str
    program: str
    says: tuple[str, ...]
    mode: str = "Auto"
    endpoint: tuple[str, int] | None = None

    @property
    def name(self) -> str:
        """Of its container."""
        return f"{self.party}-{self.sdk}".lower()

    @property
    def binding(self) -> str:
        """The name of the one that it has its credential by."""
        return self.party.lower()

    @property
    def delivery(self) -> dict[str, Any]:
        """Besides the mode."""
        return {"endpoint": {"type": self.endpoint[0], "port": self.endpoint[1]}} if self.endpoint else {}

    @property
    def arguments(self) -> Sequence[str]:
        """Of `programs.run`."""
        return ["on", *self.program.split(".")]

    @property
    def environment(self) -> dict[str, str]:
        """Nothing: it finds what it needs."""
        return {}


def _session(role: str, name: str) -> str:
    return f"arn:aws:sts::{ACCOUNT}:assumed-role/{role.rpartition('/')[2]}/{name}"


_ALIBABA = f"acs:ram::{ALIBABA_ACCOUNT}:assumed-role/{ALIBABA_ROLE.rpartition('/')[2]}"
_AFTER_EXCHANGE = ("Sidecar", "Init")
_SUBJECT = f"api system:serviceaccount:{JOBS}:{{mode}}"
_AWS = (("boto3", "aws.sdk"), ("go", "aws.go"), ("node", "aws.node"))


def _from_files(party: str, sdk: str, module: str, says: str) -> Sequence[Row]:
    return [Row(party, mode, sdk, f"{module}.from_file", says) for mode in _AFTER_EXCHANGE]


ROWS: tuple[Row, ...] = (
    Row("Alibaba", "SDK", "credentials", "alibaba.sdk", f"{_ALIBABA}/{JOBS}.{{binding}}"),
    Row("Alibaba", "TokenOnly", "credentials", "alibaba.by_hand", f"{_ALIBABA}/by-hand"),
    *(
        Row("AWS", mode, sdk, program, _session(ROLE, f"{JOBS}.{{binding}}"))
        for mode in ("SDK", *_AFTER_EXCHANGE)
        for sdk, program in _AWS
    ),
    Row("AWS", "TokenOnly", "boto3", "aws.by_hand", _session(ROLE, "by-hand")),
    Row("Azure", "SDK", "azure-identity", "azure.sdk", SUBSCRIPTION),
    *_from_files("Azure", "requests", "azure", SUBSCRIPTION),
    Row("Azure", "TokenOnly", "azure-identity", "azure.by_hand", SUBSCRIPTION),
    Row("Databricks", "SDK", "databricks-sdk", "databricks.sdk", APPLICATION),
    *_from_files("Databricks", "databricks-sdk", "databricks", APPLICATION),
    Row("Databricks", "TokenOnly", "databricks-sdk", "databricks.by_hand", APPLICATION),
    Row("GCP", "SDK", "google-auth", "gcp.sdk", OBJECT),
    *_from_files("GCP", "google-auth", "gcp", OBJECT),
    Row("GCP", "TokenOnly", "google-auth", "gcp.by_hand", OBJECT),
    Row("HCP", "SDK", "requests", "hcp.sdk", PRINCIPAL),
    *_from_files("HCP", "requests", "hcp", PRINCIPAL),
    Row("HCP", "TokenOnly", "requests", "hcp.by_hand", PRINCIPAL),
    *_from_files("Keycloak", "pyjwt", "keycloak", "{mode}"),
    Row("Keycloak", "TokenOnly", "pyjwt", "keycloak.by_hand", "{mode}"),
    Row("MinIO", "SDK", "boto3", "minio.sdk", OBJECT),
    Row("MinIO", "TokenOnly", "boto3", "minio.by_hand", OBJECT),
    *_from_files("OAuth", "requests", "hydra", _SUBJECT),
    Row("OAuth", "TokenOnly", "requests", "hydra.by_hand", _SUBJECT),
    Row("Snowflake", "SDK", "connector", "snowflake.sdk", USER),
    Row("Snowflake", "TokenOnly", "connector", "snowflake.by_hand", USER),
    *_from_files("Vault", "hvac", "vault", PASSWORD),
    Row("Vault", "TokenOnly", "hvac", "vault.by_hand", PASSWORD),
)

_SESSIONS = tuple(_session(role, f"{LIVES}.aws") for role in (ROLE, OTHER))
_CLIENTS = tuple(f"{client} system:serviceaccount:{LIVES}:{LIVES}" for client in (LIVES, LATER))
_AWS_ENDPOINT, _AZURE_ENDPOINT = ("AWSContainerCredentials", 2773), ("AzureManagedIdentity", 2774)

LONG: tuple[Long, ...] = (
    *(Long("AWS", sdk, program, _SESSIONS, endpoint=_AWS_ENDPOINT) for sdk, program in _AWS),
    Long("Azure", "azure-identity", "azure.endpoint", (SUBSCRIPTION,), endpoint=_AZURE_ENDPOINT),
    Long("Databricks", "databricks-sdk", "databricks.from_file", (APPLICATION,), "Sidecar"),
    Long("GCP", "google-auth", "gcp.from_file", (OBJECT,), "Sidecar"),
    Long("HCP", "requests", "hcp.from_file", (PRINCIPAL,), "Sidecar"),
    Long("Keycloak", "pyjwt", "keycloak.from_file", (LIVES,)),
    Long("OAuth", "requests", "hydra.from_file", _CLIENTS),
    Long("Vault", "hvac", "vault.from_file", (PASSWORD,)),
)
