"""How the sidecar delivers what a binding asks for: files, endpoints on loopback, who is told.

A party says what it delivers by default (`Exchange.outputs` and their environment); the binding may add files of other
formats, or have an endpoint instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from apostille.kinds.workload_binding import DeliverySpec
from apostille.parties.party import Delivered, Exchange, Paths
from apostille_exchange.recipe import Notify, Output, Serve

# What an exchange yields: AWS' three values, one token, or the assertion, for an SDK that exchanges it.
_KEYS, _TOKEN, _ASSERTION = "keys", "token", "assertion"

# Name in spec.delivery.files[].format → (the sidecar's name, what it needs; empty: anything).
FORMATS: Mapping[str, tuple[str, str]] = {
    "AWSCredentials": ("aws-credentials", _KEYS),
    "AWSProcess": ("aws-process", _KEYS),
    "Dotenv": ("dotenv", ""),
    "JSON": ("json", ""),
    "Token": ("token", _TOKEN),
}
# Name in spec.delivery.endpoint.type → (the sidecar's name, what it needs).
SHAPES: Mapping[str, tuple[str, str]] = {
    "AWSContainerCredentials": ("aws", _KEYS),
    "AzureManagedIdentity": ("azure", _TOKEN),
    "GoogleExternalAccount": ("google", _ASSERTION),
    "Token": ("token", _TOKEN),
}
KEPT = ".kept"
SECRET = "authorization"  # noqa: S105 - a file's name
ARC_FOLDER = "tokens"
ARC_SECRET = "apostille.key"  # noqa: S105 - a file's name
CLIENT_FILE = "credentials.json"


@dataclass(frozen=True, slots=True)
class Shaped:
    """The frozen half of a delivery by the sidecar."""

    outputs: tuple[Output, ...]
    serves: tuple[Serve, ...]
    notify: Notify | None
    environment: Mapping[str, str]


def wants_sidecar(spec: DeliverySpec) -> bool:
    """Whether something is asked for that no SDK can give itself."""
    return spec.endpoint is not None or bool(spec.files) or spec.notify is not None


def shape(binding: str, spec: DeliverySpec, exchange: Exchange, delivered: Delivered, paths: Paths) -> Shaped:
    """With an endpoint the default files and the variables that name them are left out: SDKs would prefer them."""
    outputs = list(exchange.outputs)
    environment = dict(delivered.environment)
    serves: tuple[Serve, ...] = ()
    if spec.endpoint is not None:
        defaults = {output.path for output in outputs}
        environment = {name: value for name, value in environment.items() if value not in defaults}
        kind, port = SHAPES[spec.endpoint.type][0], spec.endpoint.port
        secret = f"{paths.credentials}/{SECRET}"
        if kind == "azure":
            secret = f"{paths.credentials}/{ARC_FOLDER}/{ARC_SECRET}"
        client_file = f"{paths.credentials}/{CLIENT_FILE}" if exchange.credential_file else ""
        environment |= _variables(kind, f"http://127.0.0.1:{port}/{binding}/{kind}", secret, client_file)
        serves = (Serve(kind, port, secret, file=client_file, document=exchange.credential_file),)
        outputs = [Output(f"{paths.credentials}/{KEPT}", "kept", 0o600)]
    outputs += [
        Output(f"{paths.credentials}/{file.name}", FORMATS[file.format][0], variable=file.variable)
        for file in spec.files
    ]
    notify = None
    if spec.notify is not None:
        told = spec.notify
        notify = (
            Notify(port=told.http.port, path=told.http.path)
            if told.http is not None
            else Notify(signal=told.signal.name, process=told.signal.process)
            if told.signal is not None
            else None
        )
    return Shaped(tuple(outputs), serves, notify, environment)


def problems(spec: DeliverySpec, exchange: Exchange, party: str, paths: Paths) -> Iterator[tuple[str, str]]:
    """(field below spec.delivery, what is wrong) of what cannot be delivered from this exchange."""
    yields = _KEYS if any(output.format.startswith("aws-") for output in exchange.outputs) else _TOKEN
    if exchange.credential_file:
        yields = _ASSERTION
        if spec.files:
            yield "files", "an SDK that exchanges the assertion itself leaves nothing that could be put into a file"
    if spec.endpoint is not None and SHAPES[spec.endpoint.type][1] != yields:
        fit = _fitting(SHAPES, yields)
        yield "endpoint.type", f"{spec.endpoint.type} cannot give what {party} grants; {fit} can"
    taken = {output.path for output in exchange.outputs} if spec.endpoint is None else set()
    for i, file in enumerate(spec.files):
        if FORMATS[file.format][1] not in ("", yields):
            yield (
                f"files[{i}].format",
                f"{file.format} cannot hold what {party} grants; {_fitting(FORMATS, yields)} can",
            )
        if f"{paths.credentials}/{file.name}" in taken:
            yield f"files[{i}].name", f"{file.name} is the name of the file that is delivered anyway"
        if file.variable and (file.format != "Dotenv" or yields == _KEYS):
            yield f"files[{i}].variable", "only a token in a file of the format Dotenv has a variable to be named"


def _fitting(known: Mapping[str, tuple[str, str]], yields: str) -> str:
    return ", ".join(name for name, (_, needs) in known.items() if needs in ("", yields))


def _variables(kind: str, url: str, secret: str, client_file: str) -> dict[str, str]:
    if kind == "google":
        return {"GOOGLE_APPLICATION_CREDENTIALS": client_file, "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE": client_file}
    if kind == "aws":
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": url,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": secret,
            # An endpoint without a credential must not lead an SDK on to the node's identity.
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    if kind == "azure":
        # Both together say Azure Arc, whose clients take the key from a file; App Service's take it from a variable.
        return {"IDENTITY_ENDPOINT": url, "IMDS_ENDPOINT": url}
    return {"APOSTILLE_TOKEN_URL": url, "APOSTILLE_TOKEN_SECRET_FILE": secret}


def ports(serves: Iterable[Serve]) -> set[int]:
    """What the sidecar listens on."""
    return {serve.port for serve in serves}
