"""The grants of Google Cloud and Entra against the strict parties, and replies that no party should send."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest

from apostille_exchange import errors, messages
from apostille_exchange.assertion import Assertion
from apostille_exchange.credential import Credential
from apostille_exchange.errors import ExchangeError
from apostille_exchange.grants import load
from apostille_exchange.grants.grant import Ask, Further, Site
from apostille_exchange.messages import Reply, Request
from apostille_exchange.recipe import Admission, RecipeError
from testbed import entra_world, google_world
from testbed.negative_matrix import SUBJECT

GOOGLE, ENTRA = load("GoogleSTS"), load("EntraClientAssertion")
STS = "https://sts.googleapis.com/v1/token"
IMPERSONATION = "https://iamcredentials.googleapis.com/"
PROVIDER = f"//iam.googleapis.com/{google_world.PROVIDER}"
READER = {"serviceAccount": google_world.READER}
LOGIN = f"https://login.microsoftonline.com/{entra_world.TENANT}/oauth2/v2.0/token"
CLIENT = {"clientID": entra_world.MANAGED, "scope": entra_world.SCOPE}


def google_ask(token: str, parameters: dict[str, str], seconds: int = 900) -> Ask:
    endpoints = {"impersonation": IMPERSONATION} if parameters else {}
    admission = Admission(
        "b",
        "GoogleSTS",
        STS,
        google_world.AUDIENCE,
        "/t",
        (),
        3600,
        endpoints=endpoints,
        settings={"provider": PROVIDER},
    )
    GOOGLE.admit(admission)
    GOOGLE.check(parameters, "where")
    read = {name: messages.endpoint(url) for name, url in endpoints.items()}
    return Ask(Site(admission, messages.endpoint(STS), read), parameters, seconds, Assertion(token, SUBJECT, "jti"))


def entra_ask(token: str, **changes: str) -> Ask:
    admission = Admission("b", "EntraClientAssertion", LOGIN, entra_world.AUDIENCE, "/t", (), 86400)
    ENTRA.check(CLIENT | changes, "where")
    return Ask(Site(admission, messages.endpoint(LOGIN)), CLIENT | changes, 900, Assertion(token, SUBJECT, "jti"))


def send(party: Any, request: Request) -> Reply:
    """What the sidecar's transport does, at the party's own address."""
    assert request.endpoint.host in party.hosts
    connection = http.client.HTTPSConnection(
        "127.0.0.1", party.port, timeout=20, context=ssl.create_default_context(cafile=str(party.ca))
    )
    try:
        headers = {"Content-Type": request.media_type, **request.headers}
        connection.request("POST", request.endpoint.path, request.body(), headers)
        response = connection.getresponse()
        body = response.read()
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, body)
    finally:
        connection.close()


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[google_world.World]:
    with google_world.world(tmp_path_factory.mktemp("google")) as running:
        yield running


@pytest.fixture(scope="module")
def entra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[entra_world.World]:
    with entra_world.world(tmp_path_factory.mktemp("entra")) as running:
        yield running


def through_google(running: google_world.World, ask: Ask) -> Credential:
    got = GOOGLE.read(send(running.google, GOOGLE.request(ask)), ask)
    if isinstance(got, Further):
        got = GOOGLE.read_further(send(running.google, got.request), ask, got)
    assert isinstance(got, Credential)
    return got


def test_direct_access(google: google_world.World) -> None:
    got = through_google(google, google_ask(google.token(), {}))
    holder = google.google.holder(got.values["token"])
    assert holder is not None
    assert google_world.PRINCIPAL in holder.members
    assert holder.scopes == {"https://www.googleapis.com/auth/cloud-platform"}
    assert 3590 < got.expires - time.time() <= 3600


def test_impersonation(google: google_world.World) -> None:
    got = through_google(google, google_ask(google.token(), READER))
    holder = google.google.holder(got.values["token"])
    assert holder is not None
    assert holder.service_account == google_world.READER
    assert 890 < got.expires - time.time() <= 900
    assert "ya29" not in repr(got)


@pytest.mark.parametrize(
    ("changes", "parameters", "reason", "permanent"),
    [
        ({"iss": "https://other.example"}, {}, errors.ISSUER_UNKNOWN, True),
        ({"audience": ["other"]}, {}, errors.AUDIENCE_MISMATCH, True),
        ({"name": "stranger"}, {}, errors.CONDITION_REJECTED, True),
        ({"exp": 1}, {}, errors.TOKEN_EXPIRED, True),
        ({}, {"serviceAccount": "writer@my-project.iam.gserviceaccount.com"}, errors.SUBJECT_MISMATCH, True),
    ],
)
def test_googles_refusals(
    google: google_world.World, changes: dict[str, Any], parameters: dict[str, str], reason: str, permanent: bool
) -> None:
    token = google.token(**changes)
    with pytest.raises(ExchangeError) as refused:
        through_google(google, google_ask(token, parameters))
    assert (refused.value.reason, refused.value.permanent) == (reason, permanent)
    assert token not in str(refused.value)


def test_entra_gives_a_token_of_the_scope(entra: entra_world.World) -> None:
    ask = entra_ask(entra.token())
    got = ENTRA.read(send(entra.entra, ENTRA.request(ask)), ask)
    assert isinstance(got, Credential)
    assert entra.entra.holder(got.values["token"]) == (entra_world.MANAGED, entra_world.SCOPE)
    assert 86000 < got.expires - time.time() <= 86400


@pytest.mark.parametrize(
    ("changes", "parameters", "reason", "permanent"),
    [
        ({"iss": "https://other.example"}, {}, errors.ISSUER_UNKNOWN, False),
        ({"audience": ["other"]}, {}, errors.AUDIENCE_MISMATCH, False),
        ({"subject": "system:serviceaccount:a:b"}, {}, errors.SUBJECT_MISMATCH, False),
        ({"exp": 1}, {}, errors.TOKEN_EXPIRED, True),
        ({}, {"clientID": "cccccccc-0000-0000-0000-000000000000"}, errors.TARGET_MISSING, True),
    ],
)
def test_entras_refusals(
    entra: entra_world.World, changes: dict[str, Any], parameters: dict[str, str], reason: str, permanent: bool
) -> None:
    ask = entra_ask(entra.token(**changes), **parameters)
    with pytest.raises(ExchangeError) as refused:
        ENTRA.read(send(entra.entra, ENTRA.request(ask)), ask)
    assert (refused.value.reason, refused.value.permanent) == (reason, permanent)
    assert ask.assertion.token not in str(refused.value)


def reply(document: dict[str, Any], status: int = 200) -> Reply:
    return Reply(status, {"content-type": "application/json"}, json.dumps(document).encode())


FEDERATED = {
    "access_token": "ya29.d.federated", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    "token_type": "Bearer", "expires_in": 3599,
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [{"issued_token_type": "urn:ietf:params:oauth:token-type:jwt"}, {"issued_token_type": None}, {"access_token": None},
     {"token_type": "DPoP"}, {"expires_in": -1}, {"access_token": "a.b.c12345"}],
)  # fmt: skip
def test_googles_replies_that_are_none(changes: dict[str, Any]) -> None:
    found = {name: value for name, value in (FEDERATED | changes).items() if value is not None}
    with pytest.raises(ExchangeError) as refused:
        GOOGLE.read(reply(found), google_ask("a.b.c12345", {}))
    assert refused.value.reason == errors.BAD_REPLY


@pytest.mark.parametrize(
    "document",
    [{}, {"accessToken": "ya29.d.federated", "expireTime": "2030-01-01T00:00:00Z"},
     {"accessToken": "ya29.c.impersonated"}, {"accessToken": "ya29.c.impersonated", "expireTime": "soon"},
     {"accessToken": "a b", "expireTime": "x"}],
)  # fmt: skip
def test_impersonations_replies_that_are_none(document: dict[str, Any]) -> None:
    ask = google_ask("a.b.c12345", READER)
    further = GOOGLE.read(reply(FEDERATED), ask)
    assert isinstance(further, Further)
    with pytest.raises(ExchangeError) as refused:
        GOOGLE.read_further(reply(document), ask, further)
    assert refused.value.reason == errors.BAD_REPLY


def test_a_pod_that_was_admitted_for_no_service_account_never_becomes_one() -> None:
    ask = google_ask("a.b.c12345", {})
    followed = Ask(ask.site, READER, 900, ask.assertion)
    with pytest.raises(ExchangeError) as refused:
        GOOGLE.read(reply(FEDERATED), followed)
    assert (refused.value.reason, refused.value.permanent) == (errors.MISCONFIGURED, True)


@pytest.mark.parametrize(
    ("grant", "parameters", "field"),
    [
        (GOOGLE, {"serviceAccount": "reader"}, "serviceAccount"),
        (GOOGLE, {"serviceAccount": "a/b:x@p.iam.gserviceaccount.com"}, "serviceAccount"),
        (GOOGLE, {"scope": "x"}, "scope"),
        (ENTRA, {"scope": CLIENT["scope"]}, "clientID"),
        (ENTRA, CLIENT | {"scope": "https://storage.azure.com/user"}, "scope"),
        (ENTRA, CLIENT | {"scope": "https://a/.default https://b/.default"}, "scope"),
        (ENTRA, CLIENT | {"resource": "x"}, "resource"),
    ],
)
def test_parameters(grant: Any, parameters: dict[str, str], field: str) -> None:
    with pytest.raises(RecipeError, match=rf"where\.{field}"):
        grant.check(parameters, "where")


@pytest.mark.parametrize("provider", ["", "x", PROVIDER.replace("123456789012", "my-project"), PROVIDER + "/x"])
def test_the_provider_is_part_of_the_admission(provider: str) -> None:
    with pytest.raises(RecipeError, match=r"settings\.provider"):
        GOOGLE.admit(Admission("b", "GoogleSTS", STS, "a", "/t", (), 3600, settings={"provider": provider}))
