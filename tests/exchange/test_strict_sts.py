"""The sidecar's exchange at the strict STS, which judges by signature and rendered trust; time stands still for us."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apostille_exchange import transport
from exchange.scene import Pod, recipe
from testbed.strict_sts_world import AUDIENCE, ROLE, SUBJECT, World, policy, provider, role, world


@pytest.fixture(scope="module")
def sts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("sts"), key_cooldown=0.0) as running:
        yield running


@pytest.fixture(autouse=True)
def _fresh(sts: World) -> Iterator[None]:
    yield
    sts.aws.outage(False)
    sts.aws.start()
    sts.aws.iam.apply_provider(provider())
    sts.aws.iam.apply_role(role())


@pytest.fixture
def pod(sts: World, tmp_path: Path) -> Pod:
    made = Pod(tmp_path, post=transport.post, endpoint=sts.aws.url + "/", ca=str(sts.aws.ca), audience=AUDIENCE)
    made.files.put_plan(recipe(role=ROLE))
    made.files.put_token(sts.token(jti="jti-1"))
    return made


def codes(sts: World, since: int) -> list[str]:
    """What STS decided."""
    return [exchange.code for exchange in sts.aws.exchanges[since:]]


def test_a_token_of_the_cluster_becomes_a_session(sts: World, pod: Pod) -> None:
    before = len(sts.aws.exchanges)
    pod.tick()
    seen = sts.aws.exchanges[before:]
    assert [(each.code, each.subject, each.audience, each.role) for each in seen] == [
        ("OK", SUBJECT, (AUDIENCE,), ROLE)
    ]
    line = pod.log.lines[-1]
    assert (line["result"], line["jti"], line["sub"]) == ("Exchanged", "jti-1", SUBJECT)
    assert "aws_access_key_id = ASIA" in pod.content()


Fault = Callable[[World, Pod], None]


def _wrong_subject(sts: World, pod: Pod) -> None:
    pod.files.put_token(sts.token("system:serviceaccount:payments:other"))


def _wrong_signature(sts: World, pod: Pod) -> None:
    good, other = sts.token(), sts.token(jti="other")
    pod.files.put_token(good.rpartition(".")[0] + "." + other.rpartition(".")[2])


def _expired(sts: World, pod: Pod) -> None:
    pod.files.put_token(sts.token(exp=1_700_000_000, iat=1_699_999_000, nbf=1_699_999_000))


def _unknown_issuer(sts: World, pod: Pod) -> None:
    pod.files.put_token(sts.issuer.sign(sts.issuer.claims(SUBJECT, AUDIENCE, iss="https://cluster-b.issuer.example")))


def _unknown_key(sts: World, pod: Pod) -> None:
    pod.files.put_token(
        sts.issuer.sign(sts.issuer.claims(SUBJECT, AUDIENCE), {"alg": sts.issuer.algorithm, "kid": "nobody's"})
    )


def _audience_not_registered(sts: World, pod: Pod) -> None:
    sts.aws.iam.apply_provider(provider(ClientIDList=["https://other.example"]))


def _audience_not_in_policy(sts: World, pod: Pod) -> None:
    condition = {"StringEquals": {"cluster-a.issuer.example:aud": "x", "cluster-a.issuer.example:sub": SUBJECT}}
    sts.aws.iam.apply_role(role(AssumeRolePolicyDocument=policy(condition)))


def _no_such_role(sts: World, pod: Pod) -> None:
    pod.files.put_plan(recipe(role=ROLE.replace("payments-reader", "nobody")))


@pytest.mark.parametrize(
    ("fault", "reason", "code", "status"),
    [
        (_wrong_subject, "ConditionRejected", "AccessDenied", 403),
        (_audience_not_in_policy, "ConditionRejected", "AccessDenied", 403),
        (_no_such_role, "ConditionRejected", "AccessDenied", 403),
        (_audience_not_registered, "AudienceMismatch", "InvalidIdentityToken", 400),
        (_wrong_signature, "SignatureInvalid", "InvalidIdentityToken", 400),
        (_unknown_issuer, "IssuerUnknown", "InvalidIdentityToken", 400),
        (_unknown_key, "KeyUnavailable", "InvalidIdentityToken", 400),
        (_expired, "TokenExpired", "ExpiredTokenException", 400),
    ],
)
def test_each_refusal_is_named_and_heals(
    sts: World, pod: Pod, fault: Fault, reason: str, code: str, status: int
) -> None:
    fault(sts, pod)
    pod.tick()
    line = pod.log.lines[-1]
    assert (line["reason"], line["code"], line["status"]) == (reason, code, status)
    assert pod.content() == ""
    sts.aws.iam.apply_provider(provider())
    sts.aws.iam.apply_role(role())
    pod.files.put_plan(recipe(role=ROLE))
    pod.files.put_token(sts.token())
    pod.run(120)
    assert pod.log.lines[-1]["result"] == "Exchanged"
    assert pod.content() != ""


def test_a_role_that_allows_less_than_the_ceiling_is_a_matter_of_configuration(sts: World, tmp_path: Path) -> None:
    pod = Pod(
        tmp_path,
        post=transport.post,
        endpoint=sts.aws.url + "/",
        ca=str(sts.aws.ca),
        audience=AUDIENCE,
        session_seconds=7200,
    )
    pod.files.put_plan(recipe(role=ROLE, seconds=7200))
    pod.files.put_token(sts.token())
    pod.tick()
    line = pod.log.lines[-1]
    assert (line["reason"], line["code"]) == ("Misconfigured", "ValidationError")
    assert "MaxSessionDuration" in line["detail"]


def test_throttling_backs_off_and_succeeds(sts: World, pod: Pod) -> None:
    before = len(sts.aws.exchanges)
    sts.aws.fail_next(2, "Throttling")
    pod.run(10)
    assert codes(sts, before) == ["Throttling", "Throttling", "OK"]
    assert pod.log.reasons() == ["RateLimited", "RateLimited", "Exchanged"]


def test_an_issuer_that_could_not_be_read_is_asked_for_again(sts: World, pod: Pod) -> None:
    sts.aws.fail_next(1, "IDPCommunicationError")
    pod.run(5)
    assert pod.log.reasons() == ["KeyUnavailable", "Exchanged"]


def test_an_outage_at_renewal_keeps_the_credential_and_ends_with_the_outage(sts: World, pod: Pod) -> None:
    pod.tick()
    before = pod.content()
    sts.aws.outage(True)
    pod.run(2700, 10)
    assert pod.log.lines[-1]["reason"] == "Unavailable"
    assert pod.content() == before
    sts.aws.outage(False)
    pod.run(62)
    # Our clock is ahead of STS by now; what STS grants is still within the life that was left.
    assert pod.log.lines[-1]["result"] == "Exchanged"
    assert pod.content() not in ("", before)


def test_a_restart_of_the_party_is_bridged(sts: World, pod: Pod) -> None:
    pod.tick()
    before = pod.content()
    sts.aws.stop()
    pod.files.put_plan(recipe(role=ROLE, seconds=1800))
    pod.run(30)
    assert pod.log.lines[-1]["reason"] == "Unreachable"
    assert pod.content() == before
    sts.aws.start()
    pod.run(62)
    assert pod.log.lines[-1]["result"] == "Exchanged"
    assert pod.content() not in ("", before)


def test_a_rotated_cluster_key_needs_nothing_but_the_kubelets_new_token(sts: World, pod: Pod) -> None:
    pod.tick()
    sts.issuer.rotate("key-2")
    pod.files.put_token(sts.token(jti="jti-2"))
    pod.tick(2500)
    assert (pod.log.lines[-1]["result"], pod.log.lines[-1]["jti"]) == ("Exchanged", "jti-2")
