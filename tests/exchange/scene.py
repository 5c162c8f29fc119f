"""What the sidecar's tests share: a pod's files, a clock that stands still, a token service that obeys."""

from __future__ import annotations

import base64
import itertools
import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from apostille_exchange import instants
from apostille_exchange.clock import Clock
from apostille_exchange.exchange import Post
from apostille_exchange.log import Log
from apostille_exchange.messages import Reply, Request
from apostille_exchange.plan import PlanFile
from apostille_exchange.recipe import Admission, Output, Plan, Recipe, dumps
from apostille_exchange.run import Exchanger
from apostille_testbed.pods.volumes import File, write

ACCOUNT = "123456789012"
AUDIENCE = "https://aws-prod.sts.example"
SUBJECT = "system:serviceaccount:payments:reader"
READER = f"arn:aws:iam::{ACCOUNT}:role/payments-reader"
WRITER = f"arn:aws:iam::{ACCOUNT}:role/payments-writer"
NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
CEILING = 20.0  # seconds until a poll gives up; what is waited for takes a fraction of one

_counter = itertools.count(1)


class StillClock(Clock):
    """Moves only when told; ``chance`` is where between low and high every random number lies."""

    def __init__(self, now: float | None = None) -> None:
        self.now = float(int(time.time())) if now is None else now
        self.moment = 1000.0
        self.chance = 0.5

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.moment

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self.chance

    def advance(self, seconds: float) -> None:
        """Lets time pass."""
        self.now += seconds
        self.moment += seconds


class MemoryLog(Log):
    """Keeps the lines."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.lines: list[dict[str, Any]] = []

    def __call__(self, level: str, message: str, **fields: object) -> None:
        self.lines.append({"level": level, "message": message, **fields})

    def reasons(self) -> list[object]:
        """The reason, else the result, of every line that has one."""
        return [line.get("reason") or line.get("result") for line in self.lines if line.keys() & {"reason", "result"}]


def token(audience: str | list[str] = AUDIENCE, **claims: Any) -> str:
    """An unsigned token as the kubelet would write it; no two are alike."""
    body = {
        "aud": audience if isinstance(audience, list) else [audience],
        "sub": SUBJECT,
        "jti": f"jti-{next(_counter)}",
    }
    parts = ({"alg": "RS256", "kid": "k"}, body | claims)
    head = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return f"{head}.c2lnbmF0dXJlLW9mLXRoZS1hcGktc2VydmVy"


def recipe(binding: str = "s3-files", role: str = READER, seconds: int = 3600, **more: str) -> Recipe:
    """A recipe of the AWS grant."""
    return Recipe(binding, {"roleARN": role, "roleSessionName": f"payments.{binding}", **more}, seconds)


def ended(binding: str = "s3-files") -> Recipe:
    """A recipe that says that all is over."""
    return Recipe(binding, ended=True)


def plan_text(*recipes: Recipe) -> str:
    """The annotation with these recipes."""
    return dumps(Plan({each.binding: "0123456789abcdef" for each in recipes}, {each.binding: each for each in recipes}))


class PodFiles:
    """The volumes of one pod, written as the kubelet writes them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.plan = directory / "etc" / "plan"
        self.credentials = directory / "run"
        self.credentials.mkdir(parents=True)

    def put_plan(self, *recipes: Recipe) -> None:
        """Swaps the downward-API volume."""
        self.put_plan_text(plan_text(*recipes))

    def put_plan_text(self, text: str) -> None:
        """Swaps the downward-API volume for one with any content."""
        write(self.plan.parent, {"plan": File(text.encode(), 0o644)})

    def put_token(self, text: str, binding: str = "s3-files") -> None:
        """Swaps the projected volume."""
        write(self.token(binding).parent, {"token": File(text.encode(), 0o644)})

    def token(self, binding: str = "s3-files") -> Path:
        return self.directory / "tokens" / binding / "token"

    def output(self, binding: str = "s3-files") -> Path:
        return self.credentials / binding / "credentials"

    def admission(self, binding: str = "s3-files", **changes: Any) -> Admission:
        """What the pod was admitted for."""
        fields: dict[str, Any] = {
            "binding": binding,
            "grant": "AWSWebIdentity",
            "endpoint": "https://sts.eu-west-1.amazonaws.com/",
            "audience": AUDIENCE,
            "token": str(self.token(binding)),
            "outputs": (Output(str(self.output(binding)), "aws-credentials", 0o640),),
            "session_seconds": 3600,
        }
        return Admission(**fields | changes)


def success(form: Mapping[str, str], expires: float, **changes: str) -> Reply:
    """STS' reply to a form; a change replaces the text of an element."""
    number = next(_counter)
    account, role = form["RoleArn"].split(":")[4], form["RoleArn"].rpartition("/")[2]
    texts = {
        "AccessKeyId": f"ASIA{number:016}",
        "SecretAccessKey": f"secret/{number:033}",
        "SessionToken": f"session+{number:056}",
        "Expiration": instants.text(expires),
        "Arn": f"arn:aws:sts::{account}:assumed-role/{role}/{form['RoleSessionName']}",
        "SubjectFromWebIdentityToken": SUBJECT,
        "Audience": AUDIENCE,
    } | changes
    element = {name: f"<{name}>{text}</{name}>" for name, text in texts.items()}
    secret = "".join(element[name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"))
    body = (
        f'<AssumeRoleWithWebIdentityResponse xmlns="{NAMESPACE}"><AssumeRoleWithWebIdentityResult>'
        f"<Credentials>{secret}</Credentials>{element['SubjectFromWebIdentityToken']}{element['Audience']}"
        f"<AssumedRoleUser>{element['Arn']}<AssumedRoleId>AROA:x</AssumedRoleId></AssumedRoleUser>"
        "</AssumeRoleWithWebIdentityResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>"
        "</AssumeRoleWithWebIdentityResponse>"
    )
    return Reply(200, {"content-type": "text/xml"}, body.encode())


def refusal(code: str, message: str = "", status: int = 400, **headers: str) -> Reply:
    """STS' error reply."""
    error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    body = f'<ErrorResponse xmlns="{NAMESPACE}">{error}</ErrorResponse>'
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {"content-type": "text/xml"} | named, body.encode())


Answer = Reply | Exception | Callable[[Mapping[str, str]], Reply]


class Pod:
    """A pod with its sidecar in this process. Exchanges run when `tick` starts them, or on `finish` where `slow`.

    ``post`` sends requests for real; without it `answers` are taken, then good ones made up.
    """

    def __init__(
        self, directory: Path, *bindings: str, slow: bool = False, post: Post | None = None, **changes: Any
    ) -> None:
        self.files = PodFiles(directory)
        self.clock = StillClock()
        self.log = MemoryLog(self.clock)
        self.forms: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.answers: deque[Answer] = deque()
        self._slow = slow
        self._real = post
        self._waiting: deque[Callable[[], None]] = deque()
        self._bindings = bindings or ("s3-files",)
        self._changes = changes
        self.restart()

    def restart(self) -> None:
        """A new process in the same pod."""
        admissions = [self.files.admission(binding, **self._changes) for binding in self._bindings]
        plan = PlanFile(str(self.files.plan))
        self.exchanger = Exchanger(plan, admissions, self.clock, self.log, self._post, self._start)

    def tick(self, seconds: float = 0.0) -> int:
        """Lets time pass, then one look; returns the number of requests that it led to."""
        before = len(self.forms)
        self.clock.advance(seconds)
        self.exchanger.tick()
        return len(self.forms) - before

    def run(self, seconds: float, step: float = 1.0) -> int:
        """Ticks for a while; returns the number of requests."""
        return sum(self.tick(step) for _ in range(int(seconds / step)))

    def finish(self) -> None:
        """Completes the oldest exchange that is under way."""
        self._waiting.popleft()()

    def content(self, binding: str = "s3-files") -> str:
        """The credentials file; empty when there is none."""
        path = self.files.output(binding)
        return path.read_text() if path.exists() else ""

    def _start(self, work: Callable[[], None]) -> None:
        if self._slow:
            self._waiting.append(work)
        else:
            work()

    def _post(self, request: Request, ca: str) -> Reply:
        form = {name: str(value) for name, value in request.fields.items()}
        self.forms.append(form)
        self.paths.append(request.endpoint.path)
        if self._real is not None:
            return self._real(request, ca)
        answer = self.answers.popleft() if self.answers else self.grant
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Reply) else answer(form)

    def grant(self, form: Mapping[str, str]) -> Reply:
        """A good reply for as long as was asked."""
        return success(form, self.clock.now + int(form["DurationSeconds"]))


def started(directory: Path, *bindings: str, **options: Any) -> Pod:
    """A pod with plan and tokens in place, not looked at yet."""
    pod = Pod(directory, *bindings, **options)
    names = bindings or ("s3-files",)
    pod.files.put_plan(*(recipe(name) for name in names))
    for name in names:
        pod.files.put_token(token(), name)
    return pod
