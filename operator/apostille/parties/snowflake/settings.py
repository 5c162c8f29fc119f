"""What a trust and a binding say about Snowflake."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta, Struct, field

from apostille.model.fields import doc

# ORGANISATION-ACCOUNT, or a locator with its region and cloud (Snowflake "Account identifiers").
ACCOUNT = "^[A-Za-z0-9]+([-_.][A-Za-z0-9]+)*$"
# As Snowflake stores an identifier that was not quoted (Snowflake "Identifier requirements").
IDENTIFIER = "^[A-Z_][A-Z0-9_]{0,254}$"
_QUALIFIED = "^[A-Z_][A-Z0-9_]{0,254}([.][A-Z_][A-Z0-9_]{0,254}){2}$"

UserName = Annotated[str, Meta(pattern=IDENTIFIER, max_length=255)]


class SnowflakeTrust(Struct, frozen=True, forbid_unknown_fields=True):
    """The Snowflake account whose service users accept this cluster's tokens."""

    account: Annotated[
        str,
        doc(
            "account is the account's identifier, ORGANISATION-ACCOUNT such as acme-prod, or a locator with its region "
            "such as xy12345.eu-central-1; without https:// and without snowflakecomputing.com.",
            max_length=255,
            min_length=1,
        ),
    ]
    authentication_policy: Annotated[
        str,
        doc(
            "authenticationPolicy is DATABASE.SCHEMA.NAME, in capitals, of an authentication policy that keeps the "
            "bound users to this issuer; none is rendered when omitted.",
            max_length=768,
            pattern=f"^$|{_QUALIFIED}",
        ),
    ] = field(name="authenticationPolicy", default="")

    @property
    def url(self) -> str:
        """The account's URL; an underscore of its name is a dash in the host's."""
        return f"https://{self.account.replace('_', '-').lower()}.snowflakecomputing.com"


class SnowflakeTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """The Snowflake user that the workload takes on."""

    user: Annotated[UserName, doc("user is the name of a service user as Snowflake stores it, in capitals.")]


def is_account(text: str) -> bool:
    """Whether it is an account's identifier, and not a URL or a host name."""
    return re.fullmatch(ACCOUNT, text) is not None and not re.search(r"\.snowflakecomputing\.(com|cn)$", text.lower())
