"""What a trust and a binding say about Vault."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta, Struct, field

from apostille.model.fields import ATOMIC, doc

# Lower case: Vault lowers the names of roles, and two spellings would be one role. A key of a ConfigMap as well.
ROLE_NAME = "^([a-z0-9]|[a-z0-9][a-z0-9._-]{0,126}[a-z0-9])$"
_PATH = "^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$"

RoleName = Annotated[str, Meta(pattern=ROLE_NAME, max_length=128)]


class VaultRole(Struct, frozen=True, forbid_unknown_fields=True):
    """A role of the auth method and what its tokens may do."""

    name: Annotated[RoleName, doc("name of the role, as bindings and spec.allow name it.")]
    policies: Annotated[
        tuple[Annotated[str, doc("Name of a Vault policy.", max_length=128, min_length=1)], ...],
        doc("policies are the Vault policies of the role's tokens, besides `default`.", min_length=1, max_length=32),
        ATOMIC,
    ]


class VaultTrust(Struct, frozen=True, forbid_unknown_fields=True):
    """The Vault server, and the JWT auth method there that accepts this cluster's tokens."""

    address: Annotated[
        str,
        doc(
            "address is the server's https URL without a path, such as https://vault.example:8200.",
            max_length=512,
            min_length=1,
        ),
    ]
    ca_bundle: Annotated[
        str,
        doc(
            "caBundle holds, in PEM, the authorities that may have signed the server's certificate; the system's when "
            "omitted.",
            max_length=16384,
        ),
    ] = field(name="caBundle", default="")
    namespace: Annotated[
        str,
        doc("namespace is the Vault namespace that holds the auth method; the root when omitted.", max_length=256,
            pattern=f"^$|{_PATH}"),
    ] = ""  # fmt: skip
    mount: Annotated[
        str, doc("mount is the path of the JWT auth method, without `auth/`.", max_length=128, pattern=_PATH)
    ] = "jwt"
    roles: Annotated[
        tuple[VaultRole, ...],
        doc(
            "roles says what the tokens of a role may do. A role that is bound but not listed here keeps the policies "
            "that it has in Vault.",
            max_length=64,
        ),
        ATOMIC,
    ] = ()

    pin_instances: Annotated[
        bool,
        doc(
            "pinInstances also binds the UIDs of the service accounts: one that was deleted and made anew under the "
            "same name is refused until the documents are applied again."
        ),
    ] = field(name="pinInstances", default=False)

    @property
    def api(self) -> str:
        """The root of its API, namespace included."""
        return f"{self.address.rstrip('/')}/v1/" + (f"{self.namespace}/" if self.namespace else "")

    @property
    def method(self) -> str:
        """The auth method as a URL."""
        return f"{self.api}auth/{self.mount}"


class VaultTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """The Vault role that the workload logs in with."""

    role: Annotated[RoleName, doc("role is the role's name in lower case.")]


def is_role_name(name: str) -> bool:
    """Whether a target in ``spec.allow`` can be a role's name."""
    return re.fullmatch(ROLE_NAME[1:-1], name) is not None
