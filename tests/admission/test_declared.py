"""Which bindings a pod's service account has: from the copies, or from the API server where they may be behind."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest

from apostille.admission.declared import Declared
from apostille.kube.client import ApiError
from apostille.model.identity import ServiceAccount
from apostille_testbed.client import path_of
from builders import ISSUER, allow, raw_binding, raw_trust

READER, WRITER = ServiceAccount("payments", "reader"), ServiceAccount("payments", "writer")
Json = dict[str, Any]


class ApiServer:
    """Lists and gets what is stored, and counts how often it is asked."""

    def __init__(self, *stored: Json) -> None:
        self.stored = [deepcopy(document) for document in stored]
        self.asked: list[str] = []

    async def list_all(self, path: str, chunk: int = 500, **parameters: str) -> tuple[list[Json], str]:
        self.asked.append(path)
        return [document for document in self.stored if path_of(document).startswith(path)], "1"

    async def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Json:
        self.asked.append(path)
        for document in self.stored:
            if path_of(document) == path:
                return document
        raise ApiError(404, "NotFound", f"{path} not found")


def declared(server: ApiServer, *copied: Json) -> Declared:
    """With local copies of just these."""
    made = Declared(server, "apostille-system", "apostille-admission")  # type: ignore[arg-type]
    made.issuer = ISSUER
    for document in copied:
        copy_of(made, document)
    return made


def copy_of(into: Declared, document: Json, *, gone: bool = False) -> None:
    """As the watch tells it."""
    reflector: Any = into.trusts if document["kind"] == "FederationTrust" else into.bindings
    key = (document["metadata"].get("namespace", ""), document["metadata"]["name"])
    reflector._set(key, None if gone else reflector._decode(deepcopy(document)))


async def names(of: Declared, account: ServiceAccount = READER) -> list[str]:
    return [resolved.binding.name for resolved in await of.bound_to(account)]


async def test_what_the_copies_know_is_not_asked_for() -> None:
    trust, bindings = raw_trust(), [raw_binding("b"), raw_binding("a")]
    server = ApiServer(trust, *bindings)

    assert await names(declared(server, trust, *bindings)) == ["a", "b"]
    assert server.asked == []


async def test_a_binding_that_the_copies_do_not_know_yet_is_read() -> None:
    trust, binding = raw_trust(), raw_binding()
    server = ApiServer(trust, binding)

    assert await names(declared(server, trust)) == ["s3-reader"]
    assert server.asked == ["/apis/apostille.dev/v1alpha1/namespaces/payments/workloadbindings"]
    assert await names(declared(server)) == ["s3-reader"], "nor its trust"


async def test_a_trust_that_came_to_allow_it_a_moment_ago_is_read() -> None:
    before, after = raw_trust(allow=[allow(accounts=["other"])]), raw_trust()
    server = ApiServer(after, raw_binding())

    assert await names(declared(server, before)) == ["s3-reader"]


async def test_after_an_admission_the_namespace_is_read_for_a_while() -> None:
    trust, first, second = raw_trust(), raw_binding("first"), raw_binding("second")
    server = ApiServer(trust, first, second)
    known = declared(server, trust, first)
    assert await names(known) == ["first"]

    known.admitted("elsewhere")
    assert await names(known) == ["first"]
    known.admitted("payments")
    assert await names(known) == ["first", "second"]


async def test_who_is_not_bound_has_nothing() -> None:
    trust, binding = raw_trust(), raw_binding()
    server = ApiServer(trust, binding)

    assert await names(declared(server, trust, binding), WRITER) == []
    assert await names(declared(server, trust, binding), ServiceAccount("elsewhere", "reader")) == []


@pytest.mark.parametrize(
    ("trust", "binding"),
    [
        (raw_trust(suspended=True), raw_binding()),
        (raw_trust(), raw_binding(suspended=True)),
        (raw_trust(allow=[]), raw_binding()),
        (raw_trust(audience="https://kubernetes.default.svc"), raw_binding()),
        (raw_trust("another"), raw_binding()),
    ],
    ids=["trust suspended", "binding suspended", "not allowed", "trust refused", "no trust"],
)
async def test_what_is_not_in_force_gives_nothing(trust: Json, binding: Json) -> None:
    assert await names(declared(ApiServer(trust, binding), trust, binding)) == []


async def test_changes_are_followed() -> None:
    trust, binding = raw_trust(), raw_binding(subject={"serviceAccountNames": ["reader", "writer"]})
    wide = raw_trust(allow=[allow(accounts=["reader", "writer"])])
    server = ApiServer()
    known = declared(server, wide, binding)
    assert (await names(known, READER), await names(known, WRITER)) == (["s3-reader"], ["s3-reader"])

    narrowed = raw_binding()
    copy_of(known, narrowed)
    assert (await names(known, READER), await names(known, WRITER)) == (["s3-reader"], [])

    copy_of(known, trust)
    assert await names(known) == ["s3-reader"]
    copy_of(known, narrowed, gone=True)
    assert await names(known) == []
    copy_of(known, narrowed)
    copy_of(known, trust, gone=True)
    assert await names(known) == []


async def test_another_trust_with_the_same_audience_is_noticed_when_it_comes_and_goes() -> None:
    trust, binding, other = raw_trust(), raw_binding(), raw_trust("other")
    known = declared(ApiServer(), trust, binding)
    assert await names(known) == ["s3-reader"]

    copy_of(known, other)
    assert await names(known) == [], "both are refused"

    copy_of(known, other, gone=True)
    assert await names(known) == ["s3-reader"]


async def test_the_rules_that_need_the_issuer_are_judged_again_when_it_is_known() -> None:
    trust, binding = raw_trust(audience=ISSUER.url), raw_binding()
    known = declared(ApiServer(), trust, binding)
    known.issuer = None
    assert await names(known) == ["s3-reader"]

    known.issuer = ISSUER
    assert await names(known) == []
