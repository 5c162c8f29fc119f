"""What a sidecar may do and what it is to do.

Two documents, on purpose (a pod's annotations can be changed by whoever may patch pods, its spec cannot):

* ``Admission`` is frozen in the pod's *spec* as an argument of the container: endpoint, CA, audience, paths, ceilings.
* ``Recipe`` comes from the annotation ``apostille.dev/plan`` and may only name a target, choose shorter lifetimes,
  or say that the binding has ended.

This module owns both types; the operator imports it, it imports nothing of the operator.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

TYPE_CHECKING = False  # importing typing would cost half a MiB in every pod
if TYPE_CHECKING:
    from typing import Any

FORMAT = 1
PROGRAM = "apostille-exchange"
# Azure Arc's clients take a key from this directory and no other (azure-identity, azure_arc.py); containers see there
# what the sidecar writes into the binding's own.
ARC_DIRECTORY = "/var/opt/azcmagent/tokens"
MAX_DOCUMENT_BYTES = 256 * 1024  # Kubernetes allows 256 KiB for all annotations of an object together


class RecipeError(ValueError):
    """A document that this version cannot follow; the message names the field and never a secret."""


@dataclass(frozen=True, slots=True)
class Output:
    """One credential file: absolute ``path``, ``format`` (``aws-credentials``), ``mode`` (permission bits).

    ``variable`` is the name that a format with variables gives to a token.
    """

    path: str
    format: str
    mode: int = 0o644
    variable: str = ""


@dataclass(frozen=True, slots=True)
class Serve:
    """One endpoint on loopback: ``shape`` as `apostille_exchange.endpoint.shapes` knows it, and the secret's file.

    ``document`` is the JSON of a client's credential file, to which the endpoint's URL and secret are added as its
    source when it is written to ``file``; both empty where clients have no such file.
    """

    shape: str
    port: int
    secret: str
    mode: int = 0o644
    file: str = ""
    document: str = ""


@dataclass(frozen=True, slots=True)
class Notify:
    """Who is told of every new credential: a server on the pod's loopback, or the processes of one name by a signal.

    Exactly one of ``port`` (with ``path``) and ``signal`` (a name such as ``HUP``, with ``process``) is set.
    """

    port: int = 0
    path: str = "/"
    signal: str = ""
    process: str = ""


@dataclass(frozen=True, slots=True)
class Admission:
    """What the pod was admitted for; immutable for the pod's life.

    ``grant`` names a module of ``apostille_exchange.grants``; ``endpoint`` is the only URL an assertion is sent to,
    ``endpoints`` are further ones by the grant's own names, for what follows (impersonation, revocation);
    ``settings`` are the grant's own that a recipe cannot change; ``ca`` is a PEM bundle or the path of one, empty for
    the system's; ``session_seconds`` is the ceiling of a credential's life; ``within_assertion``: neither may it
    outlive the assertion.
    """

    binding: str
    grant: str
    endpoint: str
    audience: str
    token: str
    outputs: tuple[Output, ...]
    session_seconds: int
    ca: str = ""
    endpoints: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    within_assertion: bool = False
    serves: tuple[Serve, ...] = ()
    notify: Notify | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to do now. ``parameters`` are the grant's own (an AWS role ARN …); ``ended`` means: drop and revoke."""

    binding: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    session_seconds: int = 3600
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The annotation ``apostille.dev/plan``: per binding the digest of what was frozen, and a recipe where needed."""

    digests: Mapping[str, str]
    recipes: Mapping[str, Recipe]


def dumps_admission(admission: Admission) -> str:
    """The deterministic one-line JSON of an admission."""
    document: dict[str, Any] = {
        "binding": admission.binding,
        "grant": admission.grant,
        "endpoint": admission.endpoint,
        "audience": admission.audience,
        "token": admission.token,
        "outputs": [
            {"path": o.path, "format": o.format, "mode": o.mode, **({"variable": o.variable} if o.variable else {})}
            for o in admission.outputs
        ],
        "sessionSeconds": admission.session_seconds,
    }
    if admission.ca:
        document["ca"] = admission.ca
    if admission.endpoints:
        document["endpoints"] = dict(sorted(admission.endpoints.items()))
    if admission.settings:
        document["settings"] = dict(sorted(admission.settings.items()))
    if admission.within_assertion:
        document["withinAssertion"] = True
    if admission.serves:
        document["serves"] = [
            {"shape": s.shape, "port": s.port, "secret": s.secret, "mode": s.mode}
            | ({"file": s.file, "document": s.document} if s.file else {})
            for s in admission.serves
        ]
    if (notify := admission.notify) is not None:
        document["notify"] = (
            {"signal": notify.signal, "process": notify.process}
            if notify.signal
            else {"port": notify.port, "path": notify.path}
        )
    return _compact(document)


def loads_admission(text: str) -> Admission:
    """Raises RecipeError naming the field that is missing or of the wrong type."""
    document = _object(text, "admission")
    outputs = _get(document, "outputs", list, "admission")
    return Admission(
        binding=_get(document, "binding", str, "admission"),
        grant=_get(document, "grant", str, "admission"),
        endpoint=_get(document, "endpoint", str, "admission"),
        audience=_get(document, "audience", str, "admission"),
        token=_get(document, "token", str, "admission"),
        outputs=tuple(
            Output(
                path=_get(o, "path", str, f"admission.outputs[{i}]"),
                format=_get(o, "format", str, f"admission.outputs[{i}]"),
                mode=_get(o, "mode", int, f"admission.outputs[{i}]"),
                variable=_get(o, "variable", str, f"admission.outputs[{i}]", ""),
            )
            for i, o in enumerate(outputs)
        ),
        session_seconds=_get(document, "sessionSeconds", int, "admission"),
        ca=_get(document, "ca", str, "admission", ""),
        endpoints=_texts(document, "endpoints", "admission", {}),
        settings=_texts(document, "settings", "admission", {}),
        within_assertion=_get(document, "withinAssertion", bool, "admission", False),
        serves=tuple(
            Serve(
                shape=_get(s, "shape", str, f"admission.serves[{i}]"),
                port=_port(s, f"admission.serves[{i}]"),
                secret=_get(s, "secret", str, f"admission.serves[{i}]"),
                mode=_get(s, "mode", int, f"admission.serves[{i}]"),
                file=_get(s, "file", str, f"admission.serves[{i}]", ""),
                document=_get(s, "document", str, f"admission.serves[{i}]", ""),
            )
            for i, s in enumerate(_get(document, "serves", list, "admission", []))
        ),
        notify=_notify(document["notify"]) if document.get("notify") is not None else None,
    )


def _notify(document: Any) -> Notify:
    where = "admission.notify"
    if isinstance(document, dict) and "signal" in document:
        return Notify(signal=_get(document, "signal", str, where), process=_get(document, "process", str, where))
    return Notify(port=_port(document, where), path=_get(document, "path", str, where))


def _port(document: Any, where: str) -> int:
    port: int = _get(document, "port", int, where)
    if not 0 < port < 65536:
        raise RecipeError(f"{where}.port: must be between 1 and 65535")
    return port


def run_arguments(admissions: Iterable[Admission], plan_file: str, *more: str) -> list[str]:
    """The container's arguments: frozen in the pod's spec, which nobody can change while the pod lives.

    ``more`` are further options of ``run``.
    """
    given = (f"--admission={dumps_admission(admission)}" for admission in admissions)
    return ["run", "--plan", plan_file, *more, *given]


def ready_arguments(admissions: Iterable[Admission]) -> list[str]:
    """The command of the startup probe: succeeds once every output has been written."""
    return [PROGRAM, "ready", *(output.path for admission in admissions for output in admission.outputs)]


def dumps(plan: Plan) -> str:
    """The deterministic one-line JSON of a plan."""
    bindings: dict[str, Any] = {}
    for name in sorted(plan.digests):
        entry: dict[str, Any] = {"digest": plan.digests[name]}
        if (recipe := plan.recipes.get(name)) is not None:
            entry["recipe"] = (
                {"ended": True}
                if recipe.ended
                else {"parameters": dict(sorted(recipe.parameters.items())), "sessionSeconds": recipe.session_seconds}
            )
        bindings[name] = entry
    return _compact({"format": FORMAT, "bindings": bindings})


def loads(text: str) -> Plan:
    """Raises RecipeError for anything but a plan of this format; unknown fields are ignored (a newer operator)."""
    document = _object(text, "plan")
    if (version := document.get("format")) != FORMAT:
        raise RecipeError(f"plan.format: {version!r} is not {FORMAT}: operator and sidecar differ in version")
    digests: dict[str, str] = {}
    recipes: dict[str, Recipe] = {}
    for name, entry in _get(document, "bindings", dict, "plan").items():
        where = f"plan.bindings.{name}"
        digests[name] = _get(entry, "digest", str, where)
        if (raw := entry.get("recipe")) is None:
            continue
        where += ".recipe"
        if _get(raw, "ended", bool, where, False):
            recipes[name] = Recipe(binding=name, ended=True)
            continue
        parameters = _texts(raw, "parameters", where)
        recipes[name] = Recipe(
            binding=name, parameters=parameters, session_seconds=_get(raw, "sessionSeconds", int, where)
        )
    return Plan(digests=digests, recipes=recipes)


def _compact(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def _object(text: str, where: str) -> dict[str, Any]:
    if len(text) > MAX_DOCUMENT_BYTES:
        raise RecipeError(f"{where}: longer than {MAX_DOCUMENT_BYTES} characters")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{where}: not JSON ({error})") from None
    if not isinstance(document, dict):
        raise RecipeError(f"{where}: must be a JSON object")
    return document


def _texts(document: Any, key: str, where: str, default: Any = None) -> dict[str, str]:
    found: dict[str, str] = _get(document, key, dict, where, default)
    if not all(isinstance(value, str) for value in found.values()):
        raise RecipeError(f"{where}.{key}: every value must be a string")
    return found


def _get(document: Any, key: str, kind: type, where: str, default: Any = None) -> Any:
    if not isinstance(document, dict):
        raise RecipeError(f"{where}: must be a JSON object")
    value = document.get(key, default)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise RecipeError(f"{where}.{key}: must be a {kind.__name__}")
    return value
