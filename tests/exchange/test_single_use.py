"""Assertions that a party takes once: none is presented twice, the kubelet's next one is waited for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from apostille_exchange import errors
from apostille_exchange.errors import ExchangeError
from apostille_exchange.messages import Reply
from apostille_exchange.recipe import Output, Recipe
from exchange.scene import Pod, token

PARAMETERS = {"clientID": "payments"}


class Once:
    """A party that keeps every assertion that it saw."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.presented_twice = 0

    def __call__(self, form: Mapping[str, str]) -> Reply:
        if form["assertion"] in self.seen:
            self.presented_twice += 1
            return _reply(400, error="jti_known", error_description="The jti was already used.")
        self.seen.add(form["assertion"])
        return _reply(200, access_token=f"access-token-{len(self.seen)}", token_type="bearer", expires_in=1000)


def _reply(status: int, **members: object) -> Reply:
    return Reply(status, {"content-type": "application/json"}, json.dumps(members).encode())


class OncePod(Pod):
    """A pod whose sidecar uses the grant; ``party`` answers."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.party = Once()
        self.tokens = 0
        output = Output(str(directory / "run" / "api" / "token"), "token")
        super().__init__(
            directory, "api", grant="JWTBearer", endpoint="https://hydra.example/oauth2/token", outputs=(output,),
            settings=settings,
        )  # fmt: skip
        self.path = Path(output.path)
        self.files.put_plan(Recipe("api", PARAMETERS, 3600))
        self.new_token()

    def new_token(self) -> None:
        """What the kubelet brings."""
        self.tokens += 1
        self.files.put_token(token(jti=f"jti-{self.tokens}"), "api")

    def grant(self, form: Mapping[str, str]) -> Reply:
        answer = self.party(form)
        if answer.status == 200:
            document = json.loads(answer.body)
            return Reply(200, answer.headers, json.dumps(document).encode(), self.clock.now)
        return answer


def test_an_assertion_is_presented_once_and_the_next_when_it_is_there(tmp_path: Path) -> None:
    pod = OncePod(tmp_path, singleUse="true")
    pod.tick()
    assert pod.path.read_text() == "access-token-1"
    assert pod.run(990) == 0, "due at two thirds of its life, but the assertion was used"
    pod.new_token()
    assert pod.tick(1) == 1
    assert pod.path.read_text() == "access-token-2"
    assert pod.party.presented_twice == 0


def test_a_credential_that_is_fresh_is_not_replaced_by_every_new_assertion(tmp_path: Path) -> None:
    pod = OncePod(tmp_path, singleUse="true")
    pod.tick()
    pod.new_token()
    assert pod.run(500) == 0
    assert pod.run(300) == 1


def test_after_a_restart_the_party_says_that_it_was_used_and_that_is_asked_once(tmp_path: Path) -> None:
    pod = OncePod(tmp_path, singleUse="true")
    pod.tick()
    pod.path.unlink()
    pod.path.with_name(pod.path.name + ".stamp").unlink(missing_ok=True)
    pod.restart()
    assert pod.run(600) == 1
    assert pod.party.presented_twice == 1
    assert errors.ASSERTION_USED in pod.log.reasons()
    pod.new_token()
    pod.tick(1)
    assert pod.path.read_text() == "access-token-2"


def test_an_assertion_that_never_arrived_is_presented_again(tmp_path: Path) -> None:
    pod = OncePod(tmp_path, singleUse="true")
    pod.answers.append(ExchangeError(errors.UNREACHABLE, "refused"))
    pod.tick()
    assert not pod.path.exists()
    pod.run(10)
    assert pod.path.read_text() == "access-token-1"
    assert pod.party.presented_twice == 0


def test_another_target_waits_for_the_next_assertion(tmp_path: Path) -> None:
    pod = OncePod(tmp_path, singleUse="true")
    pod.tick()
    pod.files.put_plan(Recipe("api", {"clientID": "other"}, 3600))
    assert pod.run(60) == 0
    pod.new_token()
    assert pod.tick(1) == 1
    assert pod.forms[-1]["client_id"] == "other"


def test_elsewhere_the_same_assertion_serves_again(tmp_path: Path) -> None:
    pod = OncePod(tmp_path)
    pod.tick()
    assert pod.run(800) > 0
