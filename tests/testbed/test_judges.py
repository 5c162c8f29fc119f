"""Databricks, HCP and Snowflake judge strictly: the negative matrix, then what is each vendor's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apostille_testbed.parties.databricks import PolicyError
from apostille_testbed.parties.hcp import ProviderError
from apostille_testbed.parties.snowflake import SQLError
from testbed.judges_world import (
    ACCOUNT,
    PRINCIPAL,
    PROVIDER,
    SNOWFLAKE_AUDIENCE,
    SQL,
    URL,
    World,
    policy,
    provider,
    world,
)
from testbed.negative_matrix import ACCEPTED, REFUSED, SUBJECT, rotated

pytestmark = pytest.mark.xdist_group("bexpr")
NAMES = ("databricks", "hcp", "snowflake")


@pytest.fixture(scope="module", params=NAMES)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world for the tests that change nothing in it."""
    with world(request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture(params=NAMES)
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A world for one test."""
    with world(request.param, tmp_path) as running:
        yield running


@pytest.fixture
def databricks(tmp_path: Path) -> Iterator[World]:
    with world("databricks", tmp_path) as running:
        yield running


@pytest.fixture
def hcp(tmp_path: Path) -> Iterator[World]:
    with world("hcp", tmp_path) as running:
        yield running


@pytest.fixture
def snowflake(tmp_path: Path) -> Iterator[World]:
    with world("snowflake", tmp_path) as running:
        yield running


@pytest.mark.parametrize("fault", REFUSED)
def test_refused(shared: World, fault: str) -> None:
    token = REFUSED[fault](shared.issuer, shared.audience)
    answer = shared.exchange(token)
    assert not answer.credential
    assert answer.code
    assert not token or token not in str(answer.document), "what is refused is not quoted"


@pytest.mark.parametrize("kind", ACCEPTED)
def test_accepted(shared: World, kind: str) -> None:
    assert shared.exchange(ACCEPTED[kind](shared.issuer, shared.audience)).credential


def test_a_token_ends(own: World) -> None:
    token = own.token()
    own.clock.ahead = 3590
    assert own.exchange(token).credential
    own.clock.ahead = 3601
    assert not own.exchange(token).credential


@pytest.mark.parametrize("name", ["databricks", "hcp"])
def test_whose_credentials_are_to_be_short_lived_gets_such(name: str, tmp_path: Path) -> None:
    with world(name, tmp_path, short={SUBJECT: 45}) as one:
        assert one.exchange(one.token()).document["expires_in"] == 45


def test_keys_rotate_and_a_withdrawn_one_ends(own: World) -> None:
    old = own.token()
    assert own.exchange(old).credential
    rotated(own.issuer)
    own.clock.ahead = 10
    assert own.exchange(own.token()).credential
    assert own.exchange(old).credential
    del own.issuer.jwks[0]
    own.clock.ahead = 400
    assert not own.exchange(old).credential
    assert own.exchange(own.token()).credential


def test_no_keys_no_credential(own: World) -> None:
    own.keys.stop()
    assert not own.exchange(own.token()).credential
    own.keys.start()
    assert own.exchange(own.token()).credential


def test_an_outage_and_a_restart(own: World) -> None:
    own.party.outage(True)
    status, _ = own.call("POST", "/session/v1/login-request")
    assert status == 503
    own.party.outage(False)
    own.party.stop()
    with pytest.raises(ConnectionRefusedError):
        own.exchange(own.token())
    own.party.start()
    assert own.exchange(own.token()).credential


def test_who_asked_is_recorded_without_a_token(own: World) -> None:
    token = own.token()
    own.exchange(token)
    own.exchange(own.token("system:serviceaccount:evil:x"))
    seen = own.party.logins if own.name == "snowflake" else own.party.exchanges
    assert [(one.code == "OK", one.subject) for one in seen] == [
        (True, SUBJECT),
        (False, "system:serviceaccount:evil:x"),
    ]
    assert token not in repr(seen)


# Databricks


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"client_id": None}, 401, "invalid_client"),
        ({"client_id": "bbbbbbbb-bbbb-cccc-dddd-eeeeeeeeeeee"}, 401, "invalid_client"),
        ({"grant_type": "client_credentials"}, 400, "unsupported_grant_type"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:access_token"}, 400, "invalid_request"),
        ({"scope": "sql"}, 400, "invalid_scope"),
        ({"scope": None}, 400, "invalid_scope"),
        ({"resource": "x"}, 400, "invalid_request"),
    ],
)
def test_databricks_requests(databricks: World, changes: dict[str, Any], status: int, code: str) -> None:
    answer = databricks.exchange(databricks.token(), **changes)
    assert (answer.status, answer.code) == (status, code)


def test_a_databricks_token_lives_no_longer_than_the_assertion_and_names_its_principal(databricks: World) -> None:
    now = int(databricks.clock())
    answer = databricks.exchange(databricks.token(exp=now + 600))
    assert 590 <= answer.document["expires_in"] <= 600
    bearer = {"Authorization": f"Bearer {answer.credential}"}
    assert databricks.call("GET", "/api/2.0/preview/scim/v2/Me", **bearer)[1]["id"] == "7"
    databricks.clock.ahead = 601
    assert databricks.call("GET", "/api/2.0/preview/scim/v2/Me", **bearer)[0] == 401


def test_without_audiences_a_policy_accepts_the_accounts_id(databricks: World) -> None:
    databricks.party.policies.create(7, "payments-reader", policy(audiences=None))
    assert not databricks.exchange(databricks.token()).credential
    assert databricks.exchange(databricks.token(audience=[ACCOUNT])).credential


@pytest.mark.parametrize(
    ("sp", "name", "document", "code"),
    [
        (8, "p", policy(), "RESOURCE_DOES_NOT_EXIST"),
        (7, "P", policy(), "INVALID_PARAMETER_VALUE"),
        (7, "p", policy(subject=None), "INVALID_PARAMETER_VALUE"),
        (7, "p", policy(issuer="http://x.example"), "INVALID_PARAMETER_VALUE"),
        (7, "p", policy(jwks_json="{}"), "INVALID_PARAMETER_VALUE"),
        (7, "p", {}, "INVALID_PARAMETER_VALUE"),
        (7, "p", policy() | {"x": 1}, "INVALID_PARAMETER_VALUE"),
    ],
)
def test_databricks_policies(databricks: World, sp: int, name: str, document: dict[str, Any], code: str) -> None:
    with pytest.raises(PolicyError, match=code):
        databricks.party.policies.create(sp, name, document)


def test_databricks_takes_twenty_policies(databricks: World) -> None:
    for i in range(19):
        databricks.party.policies.create(7, f"p{i}", policy())
    with pytest.raises(PolicyError, match="RESOURCE_LIMIT_EXCEEDED"):
        databricks.party.policies.create(7, "p20", policy())
    databricks.party.policies.create(7, "p1", policy())


# HCP


@pytest.mark.parametrize(
    ("statement", "admitted"),
    [
        (f'jwt_claims.sub == "{SUBJECT}"', True),
        (f"jwt_claims.sub == `x` or jwt_claims.sub == `{SUBJECT}`", True),
        ('jwt_claims["kubernetes.io"].namespace == "payments"', True),
        ('jwt_claims["kubernetes.io"].pod.name == "payments"', False),
        ("jwt_claims.sub matches `payments:rea`", True),
        ("jwt_claims.missing != `x`", True),
        ("jwt_claims.missing is empty", True),
        ("jwt_claims.missing == `x`", False),
        ("jwt_claims.aud == `x`", False),
    ],
)
def test_statements_are_judged_by_the_vendors_library(hcp: World, statement: str, admitted: bool) -> None:
    hcp.party.providers.create(PRINCIPAL, provider(statement))
    answer = hcp.exchange(hcp.token(**{"kubernetes.io": {"namespace": "payments"}}))
    assert bool(answer.credential) is admitted
    assert answer.status == (200 if admitted else 403)


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"provider": PROVIDER + "-x"}, 404), ({"scope": "x"}, 400), ({"jwt_token": 1}, 400)],
)
def test_hcp_requests(hcp: World, changes: dict[str, Any], status: int) -> None:
    assert hcp.exchange(hcp.token(), **changes).status == status


def test_hcp_says_who_a_credential_is_until_it_ends(hcp: World) -> None:
    bearer = {"Authorization": f"Bearer {hcp.exchange(hcp.token()).credential}"}
    status, caller = hcp.call("GET", "/iam/2019-12-10/caller-identity", **bearer)
    assert (status, caller["principal"]["service"]["resource_name"]) == (200, PRINCIPAL)
    hcp.clock.ahead = 3601
    assert hcp.call("GET", "/iam/2019-12-10/caller-identity", **bearer)[0] == 401


@pytest.mark.parametrize(
    "document",
    [
        provider("jwt_claims.sub = `x`"),
        provider("x"),
        provider("jwt_claims.sub == `" + "x" * 500 + "`"),
        provider("jwt_claims.sub in [`a`]"),
        provider(issuer_uri="http://x.example"),
        provider(allowed_audiences=[""]),
        provider(jwks="x"),
        provider() | {"name": "ab"},
        {"name": "cluster-a"},
    ],
)
def test_hcp_providers(hcp: World, document: dict[str, Any]) -> None:
    with pytest.raises(ProviderError):
        hcp.party.providers.create(PRINCIPAL, document)


# Snowflake


@pytest.mark.parametrize(
    "changes",
    [
        {"ACCOUNT_NAME": "acme-test"},
        {"AUTHENTICATOR": "OAUTH"},
        {"PROVIDER": "AWS"},
        {"LOGIN_NAME": "somebody"},
    ],
)
def test_snowflake_logins(snowflake: World, changes: dict[str, Any]) -> None:
    answer = snowflake.exchange(snowflake.token(), **changes)
    assert (answer.status, answer.code, answer.document["message"]) == (200, "390144", "JWT token is invalid.")
    assert snowflake.party.logins[-1].detail


def test_a_snowflake_login_name_may_be_given(snowflake: World) -> None:
    assert snowflake.exchange(snowflake.token(), LOGIN_NAME="payments_reader").credential


def test_without_a_list_snowflake_accepts_what_it_accepts_of_everybody(snowflake: World) -> None:
    plain = f"(TYPE = OIDC ISSUER = '{URL}' SUBJECT = '{SUBJECT}')"
    snowflake.party.account.execute(f"ALTER USER PAYMENTS_READER SET WORKLOAD_IDENTITY = {plain};")
    assert not snowflake.exchange(snowflake.token()).credential
    assert snowflake.exchange(snowflake.token(audience=["snowflakecomputing.com"])).credential


@pytest.mark.parametrize(
    ("methods", "providers", "issuers", "admitted"),
    [
        ("'WORKLOAD_IDENTITY'", "OIDC", f"'{URL}'", True),
        ("'ALL'", "ALL", "'ALL'", True),
        ("'PASSWORD'", "OIDC", f"'{URL}'", False),
        ("'WORKLOAD_IDENTITY'", "AWS", f"'{URL}'", False),
        ("'WORKLOAD_IDENTITY'", "OIDC", f"'{URL}/'", False),
    ],
)
def test_snowflake_authentication_policies(
    snowflake: World, methods: str, providers: str, issuers: str, admitted: bool
) -> None:
    snowflake.party.account.execute(
        "CREATE AUTHENTICATION POLICY IF NOT EXISTS sec.policies.wif;\n"
        f"ALTER AUTHENTICATION POLICY sec.policies.wif SET AUTHENTICATION_METHODS = ({methods})\n"
        f"  WORKLOAD_IDENTITY_POLICY = (ALLOWED_PROVIDERS = ({providers}) ALLOWED_OIDC_ISSUERS = ({issuers}));\n"
        "ALTER USER payments_reader SET AUTHENTICATION POLICY SEC.POLICIES.WIF FORCE;"
    )
    assert bool(snowflake.exchange(snowflake.token()).credential) is admitted


@pytest.mark.parametrize(
    ("script", "match"),
    [
        ("CREATE USER PAYMENTS_READER;", "already exists"),
        ("ALTER USER NOBODY SET COMMENT = 'x';", "does not exist"),
        ("CREATE USER X WORKLOAD_IDENTITY = (TYPE = OIDC ISSUER = 'https://x' SUBJECT = 'y');", "not SERVICE"),
        ("CREATE USER X TYPE = SERVICE WORKLOAD_IDENTITY = (TYPE = AWS ARN = 'x');", "invalid property"),
        ("CREATE USER X TYPE = SERVICE WORKLOAD_IDENTITY = (TYPE = OIDC ISSUER = 'x' SUBJECT = 'y');", "https"),
        (SQL.replace("PAYMENTS_READER", "OTHER"), "already in use"),
        ("ALTER USER PAYMENTS_READER ADD WORKLOAD IDENTITY DEFAULT TYPE = OIDC;", "reserved"),
        ("DROP USER PAYMENTS_READER;", "does not run"),
        ("CREATE USER X TYPE = SERVICE", "semicolon"),
        ("CREATE USER X TYPE = (;", "syntax|unexpected|missing"),
        ("CREATE USER X COMMENT = 'it's';", "syntax"),
    ],
)
def test_snowflake_statements(snowflake: World, script: str, match: str) -> None:
    before = dict(snowflake.party.account.users)
    with pytest.raises(SQLError, match=match):
        snowflake.party.account.execute(script)
    assert snowflake.party.account.users == before


def test_snowflake_users_have_several_identities(snowflake: World) -> None:
    snowflake.party.account.execute(
        f"ALTER USER PAYMENTS_READER ADD WORKLOAD IDENTITY SECOND TYPE = OIDC ISSUER = '{URL}' "
        f"SUBJECT = 'system:serviceaccount:payments:o''neil' OIDC_AUDIENCE_LIST = ('{SNOWFLAKE_AUDIENCE}');"
    )
    assert snowflake.exchange(snowflake.token()).credential
    assert snowflake.exchange(snowflake.token("system:serviceaccount:payments:o'neil")).credential
