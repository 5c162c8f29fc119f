"""Our judgement of MinIO's documents against a real MinIO: exchange and policy together."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from apostille.parties import shell
from apostille.parties.minio import documents
from apostille.parties.minio.documents import MinIOAccess
from apostille.parties.minio.evaluate import evaluate
from apostille.parties.minio.party import MinIO
from apostille.parties.minio.settings import role_arn
from apostille_testbed.parties import party
from apostille_testbed.parties.minio import MinIOParty
from apostille_testbed.parties.programs import program
from apostille_testbed.processes import wait_for
from real_servers import run_script
from self_hosted import FACTS, MINIO_AUDIENCE, READER, STRANGERS, URL, issuer_site, minio_binding, minio_trust
from testbed.strict_sts_issuer import Issuer

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("minio")]

PARTY = MinIO()
SUBJECTS = [READER, *STRANGERS]
TARGETS = {"ledger-reader": "ledger", "ledger-writer": "other"}


@pytest.fixture(scope="module")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Issuer, MinIOParty]]:
    with issuer_site(tmp_path_factory.mktemp("issuer")) as (issuer, site), party("minio", site=site) as running:
        for bucket in TARGETS.values():
            running.create_bucket(bucket, {"in/x": b"x"})
        yield issuer, running


def may_list(server: MinIOParty, token: str, target: str) -> bool:
    """Whether the whole way leads to the target's bucket: exchange, then a call with the credential."""
    answer = server.exchange(token, RoleArn=role_arn(MINIO_AUDIENCE, ""))
    if answer.status != 200:
        return False
    try:
        server.s3(server.credentials(answer)).list_objects_v2(Bucket=TARGETS[target])
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDenied":
            raise
        return False
    return True


def listing(target: str, **changes: Any) -> dict[str, Any]:
    """A statement of one target."""
    return {
        "Sid": target,
        "Effect": "Allow",
        "Action": ["s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{TARGETS[target]}"],
        **changes,
    }


subjects = st.one_of(
    st.sampled_from(SUBJECTS), st.lists(st.sampled_from(SUBJECTS), min_size=1, max_size=2, unique=True)
)
made_statements = st.lists(
    st.builds(
        lambda target, only: listing(
            target, **({"Condition": {"StringEquals": {documents.SUBJECT: only}}} if only else {})
        ),
        st.sampled_from(list(TARGETS)),
        st.one_of(st.none(), subjects),
    ),
    min_size=1,
    max_size=3,
)
presented = st.fixed_dictionaries(
    {
        "sub": st.sampled_from(SUBJECTS),  # no service account's name has a comma, which MinIO would split at
        "aud": st.one_of(
            st.sampled_from([MINIO_AUDIENCE, "other"]), st.lists(st.sampled_from([MINIO_AUDIENCE, "other"]), max_size=2)
        ),
    },
    optional={"azp": st.sampled_from([MINIO_AUDIENCE, "other"]), "iss": st.sampled_from([URL, "https://evil.example"])},
)


@pytest.mark.parametrize("mode", ["Claim", "Role"])
def test_any_policies_and_any_claims(minio: tuple[Issuer, MinIOParty], mode: str) -> None:
    issuer, server = minio
    mapping = {"CLAIM_NAME": "sub"} if mode == "Claim" else {"ROLE_POLICY": "one,two"}
    provider = documents.provider(URL, MINIO_AUDIENCE, "test", mapping)
    known = SUBJECTS if mode == "Claim" else ["one", "two", "three"]

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.dictionaries(st.sampled_from(known), made_statements, min_size=1, max_size=2), presented)
    def judge(policies: dict[str, list[dict[str, Any]]], claims: dict[str, Any]) -> None:
        access = MinIOAccess(provider, {name: documents.document(made, 3600) for name, made in policies.items()})
        server.apply(documents.render(access))
        token = issuer.token(claims["sub"], claims["aud"], **claims)
        for target in TARGETS:
            ours = evaluate(access, claims, target)
            event(f"{mode}: {'allowed' if ours.allowed else ours.reason}")
            assert may_list(server, token, target) == ours.allowed, f"{ours} {target}"

    judge()


@pytest.mark.parametrize("mode", ["Claim", "Role"])
def test_what_is_rendered_from_declarations(minio: tuple[Issuer, MinIOParty], mode: str) -> None:
    """Two strangers are refused, the bound identity is accepted, and not for another target."""
    issuer, server = minio
    listed = [
        {"name": name, "statements": [{"actions": ["s3:ListBucket"], "resources": [f"arn:aws:s3:::{bucket}"]}]}
        for name, bucket in TARGETS.items()
    ]
    by = minio_trust(settings={"mode": mode, "policies": listed})
    made = PARTY.access(by.view, [minio_binding().view(PARTY)], FACTS)
    server.apply(PARTY.render(made, "native"))
    for subject in SUBJECTS:
        for audience in (MINIO_AUDIENCE, "other"):
            for target in TARGETS:
                verdict = PARTY.evaluate(made, {"iss": URL, "sub": subject, "aud": [audience]}, target)
                expected = (subject, audience, target) == (READER, MINIO_AUDIENCE, "ledger-reader")
                assert verdict.allowed == expected
                assert may_list(server, issuer.token(subject, audience), target) == expected
    if mode == "Claim":
        for subject in STRANGERS:
            assert server.exchange(issuer.token(subject, MINIO_AUDIENCE)).status == 400, "refused at the exchange"
    gone = issuer.token(READER, MINIO_AUDIENCE, iat=1_600_000_000, nbf=1_600_000_000, exp=1_600_003_600)
    assert "expired" in server.exchange(gone, RoleArn=role_arn(MINIO_AUDIENCE, "")).message
    server.apply(PARTY.render(PARTY.access(by.view, (), FACTS), "native"))
    assert not may_list(server, issuer.token(READER, MINIO_AUDIENCE), "ledger-reader")


@pytest.fixture
def mc() -> Path:
    """MinIO's own command line; by its name it is built before the tests."""
    return program("mc")


@pytest.mark.usefixtures("mc")
@pytest.mark.parametrize("mode", ["Claim", "Role"])
def test_the_script_makes_what_the_documents_say(tmp_path: Path, mode: str) -> None:
    """With MinIO's own command line, twice: the first time there is nothing, the second everything."""
    made = PARTY.access(minio_trust(settings={"mode": mode}).view, [minio_binding().view(PARTY)], FACTS)
    with issuer_site(tmp_path) as (issuer, site), party("minio", site=site) as server:
        server.create_bucket(TARGETS["ledger-reader"])
        script, environment = PARTY.render(made, "cli")[shell.FILE], server.administer()

        def lets_in() -> bool:
            try:
                return may_list(server, issuer.token(READER, MINIO_AUDIENCE), "ledger-reader")
            except (OSError, HTTPException, BotoCoreError):
                return False  # it restarts, in its own time

        run_script(script, environment)
        wait_for(server.process, lets_in, 60)
        server.stop()  # where the script had to restart it twice, the second time is yet to come
        server.start()
        run_script(script, environment)
        # Of a second restart nothing could be seen: what is stored is what any start reads.
        server.stop()
        server.start()
        assert lets_in()
        assert not may_list(server, issuer.token(STRANGERS[0], MINIO_AUDIENCE), "ledger-reader")
