"""The sidecar's grants against strict judges of Anthropic, OpenAI and Kernel, by what is rendered for them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from apostille.core.pod_plan import pod_plan
from apostille.parties.oauth.party import OAuth
from apostille_exchange import transport
from apostille_exchange.assertion import Assertion
from apostille_exchange.grants import load
from apostille_exchange.grants.grant import Ask, Site
from apostille_exchange.messages import endpoint
from apostille_exchange.recipe import Output, Recipe
from apostille_testbed.parties.presets.party import PresetParty
from exchange.scene import Pod
from oauth_declarations import oauth_binding, oauth_trust
from real_servers import facts
from self_hosted import READER, URL
from testbed.strict_sts_issuer import Issuer

PARTY = OAuth()
VENDORS = {"Anthropic": "anthropic", "OpenAI": "openai", "Kernel": "kernel"}
RULES = {"Anthropic": {"rule-api.json": "fdrl_1"}, "OpenAI": {}, "Kernel": {"rule-api.json": "rule_1"}}
UID = "uid-1"


class PresetPod(Pod):
    """A pod whose sidecar asks the judge; only its clock is ours."""

    def __init__(self, profile: str, directory: Path, party: PresetParty, issuer: Issuer, **settings: Any) -> None:
        self.party, self.issuer = party, issuer
        by = oauth_trust(
            profile, settings={"tokenEndpoint": party.endpoint, "caBundle": party.ca.read_text(), **settings}
        )
        uids = {"reader": UID} if by.party.pins_instances(by.view.settings) else None
        self.access = PARTY.access(by.view, [oauth_binding().view(PARTY, uids)], facts(URL, issuer.jwks))
        party.apply(PARTY.render(self.access, "native"), RULES[profile])
        made = pod_plan(by, oauth_binding(delivery={"mode": "Sidecar"}))
        admission, recipe = made.frozen.admission, made.live.recipe
        assert admission is not None
        assert recipe is not None
        self.recipe: Recipe = recipe
        self.audience = admission.audience
        self.path = directory / "run" / "api" / "token"
        changes = {
            name: getattr(admission, name)
            for name in ("grant", "endpoint", "audience", "ca", "session_seconds", "settings")
        }
        output = Output(str(self.path), "token", 0o640)
        super().__init__(directory, "api", post=transport.post, outputs=(output,), **changes)
        self.files.put_plan(recipe)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """A good token's, as the API server writes them."""
        bound = {"namespace": "payments", "serviceaccount": {"name": "reader", "uid": UID}}
        return self.issuer.claims(READER, self.audience, **{"jti": "one", "kubernetes.io": bound} | changes)

    def try_with(self, token: str) -> bool:
        """One exchange with this assertion, by a process that knows of no other; whether it was granted."""
        for left in self.path.parent.glob("*"):
            left.unlink()
        self.files.put_token(token, "api")
        self.restart()
        self.tick()
        return self.path.exists()


@contextmanager
def preset(profile: str) -> Iterator[tuple[PresetParty, Issuer]]:
    issuer = Issuer(URL, "RS256")
    party = PresetParty(VENDORS[profile], lambda: issuer.jwks)
    party.start()
    try:
        yield party, issuer
    finally:
        party.close()


def faults(pod: PresetPod) -> Mapping[str, tuple[str, bool]]:
    """cloud-trust §18.4: a token with one fault → whether it is one."""
    now, issuer = int(time.time()), pod.issuer
    other = {"namespace": "orders", "serviceaccount": {"name": "reader", "uid": "uid-2"}}
    return {
        "none": (issuer.sign(pod.claims()), False),
        "wrong issuer": (issuer.sign(pod.claims(iss="https://evil.example")), True),
        "issuer with a slash": (issuer.sign(pod.claims(iss=URL + "/")), True),
        "another's subject": (
            issuer.sign(pod.claims(sub="system:serviceaccount:orders:reader", **{"kubernetes.io": other})), True),
        "expired": (issuer.sign(pod.claims(exp=now - 60)), True),
        "not yet": (issuer.sign(pod.claims(nbf=now + 300, iat=now + 300)), True),
        "unsigned": (issuer.unsigned(pod.claims()), True),
        "public key as a secret": (issuer.symmetric(pod.claims()), True),
        "unknown key": (issuer.sign(pod.claims(), {"alg": "RS256", "kid": "another"}), True),
        "no key id": (issuer.sign(pod.claims(), {"alg": "RS256"}), True),
        "changed after signing": (issuer.sign(pod.claims())[:-12] + "AAAAAAAAAAAA", True),
        "further claims": (issuer.sign(pod.claims(groups=["admin"])), False),
    }  # fmt: skip


@pytest.mark.parametrize("profile", VENDORS)
def test_the_negative_matrix(profile: str, tmp_path: Path) -> None:
    with preset(profile) as (party, issuer):
        pod = PresetPod(profile, tmp_path, party, issuer)
        for fault, (token, refused) in faults(pod).items():
            assert pod.try_with(token) is not refused, f"{fault}: {party.record[-1]}"
            assert token not in str(pod.log.lines)


@pytest.mark.parametrize("profile", VENDORS)
def test_a_key_rotation_is_followed(profile: str, tmp_path: Path) -> None:
    with preset(profile) as (party, issuer):
        pod = PresetPod(profile, tmp_path, party, issuer)
        old = issuer.sign(pod.claims())
        assert pod.try_with(old)
        issuer.rotate("key-2")
        assert not pod.try_with(old)
        assert pod.try_with(issuer.sign(pod.claims(jti="two")))


@pytest.mark.parametrize("profile", VENDORS)
@pytest.mark.parametrize("audience", [["own"], ["other"], ["own", "other"], ["other", "own"]])
def test_audiences_are_judged_as_by_our_evaluation(profile: str, audience: list[str], tmp_path: Path) -> None:
    with preset(profile) as (party, issuer):
        pod = PresetPod(profile, tmp_path, party, issuer)
        audiences = [pod.audience if one == "own" else "https://other.example" for one in audience]
        claims = pod.claims(aud=audiences)
        verdict = PARTY.evaluate(pod.access, claims, "api")
        assert _straight(pod, issuer.sign(claims)) is verdict.allowed
        sent = pod.try_with(issuer.sign(claims))
        assert sent is (audiences == [pod.audience]), "it sends no token of several audiences"


def test_anthropic_takes_an_assertion_once_where_it_is_told_to(tmp_path: Path) -> None:
    with preset("Anthropic") as (party, issuer):
        pod = PresetPod("Anthropic", tmp_path, party, issuer, singleUse=True)
        token = issuer.sign(pod.claims())
        assert pod.try_with(token)
        assert not pod.try_with(token)
        assert party.record[-1] == "the token was used"


def test_an_instance_that_was_made_anew_is_refused(tmp_path: Path) -> None:
    with preset("Anthropic") as (party, issuer):
        pod = PresetPod("Anthropic", tmp_path, party, issuer, pinInstances=True)
        anew = {"namespace": "payments", "serviceaccount": {"name": "reader", "uid": "uid-2"}}
        assert pod.try_with(issuer.sign(pod.claims()))
        assert not pod.try_with(issuer.sign(pod.claims(**{"kubernetes.io": anew})))
        assert party.record[-1] == "the condition does not hold"


@pytest.mark.parametrize("profile", VENDORS)
def test_another_rule_or_account_is_not_granted(profile: str, tmp_path: Path) -> None:
    with preset(profile) as (party, issuer):
        pod = PresetPod(profile, tmp_path, party, issuer)
        name = "serviceAccountID" if profile == "OpenAI" else "ruleID"
        pod.recipe = Recipe("api", {**pod.recipe.parameters, name: "another"}, 3600)
        pod.files.put_plan(pod.recipe)
        assert not pod.try_with(issuer.sign(pod.claims()))


def _straight(pod: PresetPod, token: str) -> bool:
    """The same request without the sidecar's own check of the audience."""
    admission = pod.files.admission("api", **pod._changes)
    ask = Ask(Site(admission, endpoint(admission.endpoint)), pod.recipe.parameters, 900, Assertion(token, "s", "j"))
    reply = transport.post(load(admission.grant).request(ask), admission.ca)
    assert reply.status == 200 or list(json.loads(reply.body)) == ["error"], "it says no more"
    return reply.status == 200
