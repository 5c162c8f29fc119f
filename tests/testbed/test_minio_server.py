"""The real MinIO of the testbed, as far as the product rests on how it behaves."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from apostille.parties.minio import documents
from apostille.parties.minio.settings import role_arn
from apostille_testbed.parties import party
from apostille_testbed.parties.issuers import IssuerSite
from apostille_testbed.parties.minio import MinIOParty
from self_hosted import READER, URL, issuer_site
from testbed.strict_sts_issuer import Issuer

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("minio")]

AUDIENCE = "https://minio.example:9000"
STRANGER = READER + "2"


@dataclass
class World:
    issuer: Issuer
    site: IssuerSite
    minio: MinIOParty

    def token(self, subject: str = READER, audience: Any = AUDIENCE, **changes: Any) -> str:
        return self.issuer.token(subject, audience, **changes)


@pytest.fixture(scope="module")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with issuer_site(tmp_path_factory.mktemp("issuer")) as (issuer, site), party("minio", site=site) as running:
        running.create_bucket("ledger", {"2026": b"balance"})
        yield World(issuer, site, running)


def statement(*actions: str, **changes: Any) -> dict[str, Any]:
    return {
        "Sid": "ledger-reader",
        "Effect": "Allow",
        "Action": list(actions or ("s3:ListBucket", "s3:GetObject")),
        "Resource": ["arn:aws:s3:::ledger", "arn:aws:s3:::ledger/*"],
        **changes,
    }


def claim(*subjects: str, statements: Sequence[dict[str, Any]] = ()) -> dict[str, str]:
    policies = {subject: documents.document(statements or [statement()], 1800) for subject in subjects}
    mapping = documents.provider(URL, AUDIENCE, "test", {"CLAIM_NAME": "sub"})
    return documents.render(documents.MinIOAccess(mapping, policies))


def role(*subjects: str) -> dict[str, str]:
    only = statement(Condition={"StringEquals": {documents.SUBJECT: list(subjects)}})
    mapping = documents.provider(URL, AUDIENCE, "test", {"ROLE_POLICY": "apostille-test"})
    return documents.render(documents.MinIOAccess(mapping, {"apostille-test": documents.document([only], 1800)}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"subject": STRANGER}, "None of the given policies"),
        ({"audience": "other"}, "must match configured OpenID Client ID"),
        ({"exp": int(time.time()) - 5}, "Token is expired"),
        ({"nbf": int(time.time()) + 3600}, "not valid yet"),
    ],
)
def test_what_is_rendered_is_what_it_judges_by(minio: World, changes: dict[str, Any], words: str) -> None:
    minio.minio.apply(claim(READER))
    good = minio.minio.exchange(minio.token(), RoleArn="arn:minio:iam:::role/ledger-reader")
    assert good.element("SubjectFromWebIdentityToken") == READER
    client = minio.minio.s3(minio.minio.credentials(good))
    assert client.get_object(Bucket="ledger", Key="2026")["Body"].read() == b"balance"
    refused = minio.minio.exchange(minio.token(**changes), RoleArn="arn:minio:iam:::role/ledger-reader")
    assert (refused.status, refused.element("Code")) == (400, "InvalidParameterValue")
    assert words in refused.message


def test_the_role_arn_decides_nothing_with_policies_by_subject(minio: World) -> None:
    minio.minio.apply(claim(READER))
    for given in ({}, {"RoleArn": "arn:aws:iam::123456789012:role/x"}, {"RoleArn": role_arn(AUDIENCE, "")}):
        assert minio.minio.exchange(minio.token(), **given).status == 200
        assert minio.minio.exchange(minio.token(STRANGER), **given).status == 400


def test_the_issuer_of_a_token_is_not_compared(minio: World) -> None:
    """Why one provider a server is the rule: whoever signs with a known key speaks for the provider."""
    minio.minio.apply(claim(READER))
    assert minio.minio.exchange(minio.token(iss="https://evil.example")).status == 200
    assert minio.minio.exchange(Issuer(URL, "RS256", "other").token(READER, AUDIENCE)).status == 400


def forged(secret: bytes, claims: dict[str, Any]) -> str:
    def encoded(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    head = encoded(json.dumps({"alg": "HS256", "kid": AUDIENCE}).encode())
    signed = f"{head}.{encoded(json.dumps(claims).encode())}"
    return f"{signed}.{encoded(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


@pytest.mark.parametrize("secret", ["", "minio123"])
def test_whoever_knows_the_client_secret_makes_tokens(minio: World, secret: str) -> None:
    """Why MINIO-SECRET warns: without a secret the whole world knows it."""
    claims = minio.issuer.claims(READER, AUDIENCE)
    minio.minio.apply(claim(READER), client_secret=secret)
    assert minio.minio.exchange(forged(secret.encode(), claims)).status == 200
    minio.minio.apply(claim(READER), client_secret="x" * 48)
    for known in (secret, "", AUDIENCE):
        assert minio.minio.exchange(forged(known.encode(), claims)).status == 400


def test_with_roles_a_stranger_gets_a_credential_that_may_do_nothing(minio: World) -> None:
    minio.minio.apply(role(READER))
    mine, strangers = (
        minio.minio.exchange(minio.token(subject), RoleArn=role_arn(AUDIENCE, "")) for subject in (READER, STRANGER)
    )
    assert (mine.status, strangers.status) == (200, 200)
    assert minio.minio.s3(minio.minio.credentials(mine)).list_objects_v2(Bucket="ledger")["KeyCount"] == 1
    stranger = minio.minio.s3(minio.minio.credentials(strangers))
    for call in (
        lambda: stranger.list_objects_v2(Bucket="ledger"),
        lambda: stranger.get_object(Bucket="ledger", Key="2026"),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            call()
    assert "is not defined" in minio.minio.exchange(minio.token(), RoleArn=role_arn("other", "")).message


def test_several_statements_of_one_target_add_up(minio: World) -> None:
    minio.minio.apply(claim(READER, statements=[statement("s3:ListBucket"), statement("s3:GetObject")]))
    client = minio.minio.s3(minio.minio.credentials(minio.minio.exchange(minio.token())))
    assert client.list_objects_v2(Bucket="ledger")["KeyCount"] == 1
    assert client.get_object(Bucket="ledger", Key="2026")["ContentLength"] == 7
    with pytest.raises(ClientError, match="AccessDenied"):
        client.put_object(Bucket="ledger", Key="x", Body=b"")


@pytest.mark.parametrize("documents_of", [claim, role])
def test_no_credential_is_longer_than_the_ceiling(minio: World, documents_of: Any) -> None:
    """A token's holder could otherwise ask for one of a year."""
    minio.minio.apply(documents_of(READER))
    for seconds, status in (("900", 200), ("1800", 200), ("1801", 403), ("31536000", 403)):
        answer = minio.minio.exchange(minio.token(), RoleArn=role_arn(AUDIENCE, ""), DurationSeconds=seconds)
        assert answer.status == status, seconds
    assert minio.minio.exchange(minio.token(), RoleArn=role_arn(AUDIENCE, "")).status == 200, "as SDKs ask"


def test_a_removed_policy_ends_the_exchange(minio: World) -> None:
    minio.minio.apply(claim(READER, STRANGER))
    assert minio.minio.exchange(minio.token(STRANGER)).status == 200
    minio.minio.apply(claim(READER))
    assert minio.minio.exchange(minio.token(STRANGER)).status == 400
    assert minio.minio.exchange(minio.token()).status == 200


def test_the_longest_subject_is_a_policys_name(minio: World) -> None:
    longest = "system:serviceaccount:" + "n" * 63 + ":" + "a" * (255 - 22 - 64)
    minio.minio.apply(claim(longest))
    assert minio.minio.exchange(minio.token(longest)).status == 200
    with pytest.raises(RuntimeError, match=r".+"):
        minio.minio.apply(claim(longest + "a"))


def test_a_killed_server_comes_back_with_what_it_knew(minio: World) -> None:
    minio.minio.apply(claim(READER))
    credentials = minio.minio.credentials(minio.minio.exchange(minio.token()))
    before = minio.minio.url
    minio.minio.stop()
    with pytest.raises(OSError, match=r".*"):
        minio.minio.exchange(minio.token())
    minio.minio.start()
    assert minio.minio.url == before
    assert minio.minio.s3(credentials).list_objects_v2(Bucket="ledger")["KeyCount"] == 1


def test_a_new_signing_key_is_read_when_it_is_seen(minio: World) -> None:
    minio.minio.apply(claim(READER))
    minio.issuer.rotate("key-2")
    assert minio.minio.exchange(minio.token()).status == 200
