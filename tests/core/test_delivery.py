"""Endpoints, further files and who is told: from a binding to what is frozen in the pod, and what is refused."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import jsonpatch
import pytest

from apostille.core.inject import inject
from apostille.core.judge import judge_binding
from apostille.core.settings import InjectionSettings
from apostille.model import names
from apostille_exchange.recipe import Notify, loads_admission
from builders import CONTEXT, binding, plan, pod, trust
from oauth_declarations import keycloak_binding, keycloak_trust, oauth_binding, oauth_trust
from samples.gcp import gcp_binding, gcp_trust
from self_hosted import vault_binding, vault_trust

AWS = {"type": "AWSContainerCredentials"}
TOKEN = {"type": "Token"}
DIRECTORY = f"{names.CREDENTIALS_DIRECTORY}/s3-reader"


def asking(**delivery: Any) -> Any:
    """A binding of AWS that asks for this."""
    return binding(delivery=delivery)


def injected(raw: dict[str, Any], *of: Any, **settings: Any) -> dict[str, Any]:
    """The pod after the webhook, and after it once more."""
    chosen = InjectionSettings(**settings)
    made = inject(raw, [plan(one) for one in of], chosen)
    assert not made.denial, made.denial
    after: dict[str, Any] = jsonpatch.apply_patch(deepcopy(raw), list(made.operations))
    assert inject(after, [plan(one) for one in of], chosen).operations == ()
    return after


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container.get("env", ())}


def test_an_endpoint_takes_the_files_place() -> None:
    made = plan(asking(endpoint=AWS))
    admission = made.frozen.admission
    assert made.frozen.delivery == "Sidecar"
    assert admission is not None
    assert [(serve.shape, serve.port, serve.secret) for serve in admission.serves] == [
        ("aws", names.ENDPOINT_PORT, f"{DIRECTORY}/authorization")
    ]
    assert [(output.path, output.format) for output in admission.outputs] == [(f"{DIRECTORY}/.kept", "kept")]
    assert made.frozen.environment == {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{names.ENDPOINT_PORT}/s3-reader/aws",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": f"{DIRECTORY}/authorization",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_STS_REGIONAL_ENDPOINTS": "regional",
    }


def test_what_the_sidecar_gets_and_what_the_application_sees() -> None:
    files = [{"format": "Dotenv", "name": "aws.env"}]
    after = injected(pod(securityContext={"fsGroup": 2000}), asking(endpoint=AWS | {"port": 2000}, files=files))
    (sidecar,) = after["spec"]["initContainers"]
    (app,) = after["spec"]["containers"]
    (text,) = [word for word in sidecar["args"] if word.startswith("--admission=")]
    admission = loads_admission(text.removeprefix("--admission="))
    assert [serve.mode for serve in admission.serves] == [0o640]
    assert {output.path: output.mode for output in admission.outputs} == {
        f"{DIRECTORY}/.kept": 0o600,
        f"{DIRECTORY}/aws.env": 0o640,
    }
    assert sidecar["startupProbe"]["exec"]["command"][2:] == [f"{DIRECTORY}/.kept", f"{DIRECTORY}/aws.env"]
    assert f"--state={names.STATE_FILE}" in sidecar["args"]
    assert "ports" not in sidecar
    assert environment(app)["AWS_CONTAINER_CREDENTIALS_FULL_URI"] == "http://127.0.0.1:2000/s3-reader/aws"
    assert all("apostille-token" not in mount["name"] for mount in app["volumeMounts"])


def test_the_secret_is_in_no_variable_annotation_or_argument() -> None:
    after = injected(pod(), asking(endpoint=AWS))
    values = [value for value in environment(after["spec"]["containers"][0]).values() if "authorization" in value]
    assert values == [f"{DIRECTORY}/authorization"]


def test_further_files_lie_beside_the_usual_one() -> None:
    made = plan(asking(mode="Sidecar", files=[{"format": "AWSProcess", "name": "process.json"}]))
    assert made.frozen.admission is not None
    assert [(output.path, output.format) for output in made.frozen.admission.outputs] == [
        (f"{DIRECTORY}/credentials", "aws-credentials"),
        (f"{DIRECTORY}/process.json", "aws-process"),
    ]
    assert made.frozen.environment["AWS_SHARED_CREDENTIALS_FILE"] == f"{DIRECTORY}/credentials"


@pytest.mark.parametrize(
    ("notify", "made"),
    [
        ({"http": {"port": 8080, "path": "/-/reload"}}, Notify(port=8080, path="/-/reload")),
        ({"signal": {"name": "HUP", "process": "nginx"}}, Notify(signal="HUP", process="nginx")),
    ],
)
def test_who_is_told_is_frozen(notify: dict[str, Any], made: Notify) -> None:
    admission = plan(asking(notify=notify)).frozen.admission
    assert admission is not None
    assert admission.notify == made


def test_a_signal_that_reaches_nobody_is_warned_of() -> None:
    asked = plan(asking(notify={"signal": {"name": "HUP", "process": "nginx"}}))
    assert any("shareProcessNamespace" in text for text in inject(pod(), [asked], InjectionSettings()).warnings)
    assert inject(pod(shareProcessNamespace=True), [asked], InjectionSettings()).warnings == ()


@pytest.mark.parametrize(
    ("delivery", "field"),
    [
        ({"mode": "SDK", "endpoint": AWS}, "spec.delivery.endpoint"),
        ({"mode": "SDK", "files": [{"format": "JSON", "name": "x"}]}, "spec.delivery.files"),
        ({"mode": "SDK", "notify": {"http": {"port": 1}}}, "spec.delivery.notify"),
        ({"endpoint": TOKEN}, "spec.delivery.endpoint.type"),
        ({"endpoint": {"type": "AzureManagedIdentity"}}, "spec.delivery.endpoint.type"),
        ({"files": [{"format": "JSON", "name": "x"}, {"format": "Token", "name": "y"}]},
         "spec.delivery.files[1].format"),
        ({"files": [{"format": "JSON", "name": "credentials"}]}, "spec.delivery.files[0].name"),
        ({"files": [{"format": "JSON", "name": "x", "variable": "V"}]}, "spec.delivery.files[0].variable"),
        ({"files": [{"format": "Dotenv", "name": "x", "variable": "V"}]}, "spec.delivery.files[0].variable"),
    ],
)  # fmt: skip
def test_what_cannot_be_delivered_is_refused_with_its_field(delivery: dict[str, Any], field: str) -> None:
    findings = judge_binding(asking(**delivery), trust(), CONTEXT)
    assert [finding.path for finding in findings] == [field]


@pytest.mark.parametrize(
    "delivery",
    [
        {"endpoint": AWS},
        {"endpoint": AWS, "files": [{"format": "JSON", "name": "credentials"}]},
        {"files": [{"format": "AWSCredentials", "name": "other"}], "notify": {"http": {"port": 1}}},
    ],
)
def test_what_can_be_delivered_is_not(delivery: dict[str, Any]) -> None:
    assert judge_binding(asking(**delivery), trust(), CONTEXT) == []


@pytest.mark.parametrize("mode", ["Auto", "Sidecar", "Init", "TokenOnly"])
@pytest.mark.parametrize(
    ("by", "bound"),
    [
        (vault_trust(), vault_binding),
        (keycloak_trust(), keycloak_binding),
        (oauth_trust("Hydra"), oauth_binding),
    ],
    ids=["vault", "keycloak", "hydra"],
)
def test_a_party_without_an_sdk_delivers_once_and_the_token_alone_too(by: Any, bound: Any, mode: str) -> None:
    assert judge_binding(bound(delivery={"mode": mode}), by, CONTEXT) == []


@pytest.mark.parametrize("mode", ["Sidecar", "Init"])
def test_what_takes_an_exchange_is_refused_where_nothing_is_exchanged(mode: str) -> None:
    (found,) = judge_binding(oauth_binding(delivery={"mode": mode}), oauth_trust("TokenOnly"), CONTEXT)

    assert (found.rule.id, found.path) == ("APO401", "spec.delivery.mode")
    assert "Choose one of Auto, SDK, TokenOnly" in found.remedy


def test_a_vault_token_can_be_a_variable_and_an_endpoints() -> None:
    delivery = {"endpoint": TOKEN, "files": [{"format": "Dotenv", "name": "vault.env", "variable": "VAULT_TOKEN"}]}
    asked = vault_binding(delivery=delivery)
    admission = plan(asked, vault_trust()).frozen.admission
    assert admission is not None
    assert [output.variable for output in admission.outputs] == ["", "VAULT_TOKEN"]
    assert loads_admission(dumped(admission)) == admission
    variables = plan(asked, vault_trust()).frozen.environment
    assert variables["APOSTILLE_TOKEN_URL"].endswith("/token")
    assert "VAULT_TOKEN_FILE" not in variables


def dumped(admission: Any) -> str:
    from apostille_exchange.recipe import dumps_admission

    return dumps_admission(admission)


@pytest.mark.parametrize(
    ("section", "port", "refused"),
    [
        ("containers", {"containerPort": 29015}, True),
        ("initContainers", {"containerPort": 29015}, True),
        ("containers", {"containerPort": 29015, "protocol": "UDP"}, False),
        ("containers", {"containerPort": 8080}, False),
    ],
)
def test_a_port_that_a_container_declares_is_no_endpoints(section: str, port: dict[str, Any], refused: bool) -> None:
    web = {"name": "web", "image": "w", "ports": [port]}
    found = inject(pod(**{section: [web]}), [plan(asking(endpoint=AWS))], InjectionSettings())
    assert bool(found.denial) == refused
    assert not refused or "port 29015" in found.denial


def test_an_endpoint_on_a_nodes_loopback_is_refused_and_files_are_not() -> None:
    found = inject(pod(hostNetwork=True), [plan(asking(endpoint=AWS))], InjectionSettings())
    assert "spec.hostNetwork" in found.denial
    assert not inject(pod(hostNetwork=True), [plan(asking(mode="Sidecar"))], InjectionSettings()).denial


def test_two_endpoints_of_one_protocol_in_one_container_are_refused() -> None:
    two = [plan(asking(endpoint=AWS)), plan(binding("other", delivery={"endpoint": AWS}))]
    assert "AWS_CONTAINER_CREDENTIALS_FULL_URI" in inject(pod(), two, InjectionSettings()).denial


def test_metrics_are_served_where_the_installation_says_and_the_pod_has_room() -> None:
    after = injected(pod(), asking(mode="Sidecar"), metrics_port=9419)
    (sidecar,) = after["spec"]["initContainers"]
    assert sidecar["ports"] == [{"name": "apostille-stats", "containerPort": 9419, "protocol": "TCP"}]
    assert "--metrics-port=9419" in sidecar["args"]
    taken = {"name": "web", "image": "w", "ports": [{"containerPort": 9419}]}
    for raw in (pod(taken), pod(hostNetwork=True)):
        found = inject(raw, [plan(asking(mode="Sidecar"))], InjectionSettings(metrics_port=9419))
        assert any("port 9419" in text for text in found.warnings)
        assert "--metrics-port" not in str(found.operations)


def test_azures_clients_find_the_key_where_they_look_for_it() -> None:
    # No party of this version grants tokens of Entra ID to the sidecar by default; the parts are the same.

    from apostille.core import pod_parts

    made = plan(vault_binding(delivery={"endpoint": {"type": "AzureManagedIdentity"}}), vault_trust())
    assert made.frozen.admission is not None
    (serve,) = made.frozen.admission.serves
    assert serve.secret == f"{names.CREDENTIALS_DIRECTORY}/{made.binding}/tokens/apostille.key"
    (mount,) = [m for m in pod_parts.container_mounts([made]) if "subPath" in m]
    assert mount == {
        "name": names.credentials_volume(made.binding),
        "mountPath": "/var/opt/azcmagent/tokens",
        "subPath": "tokens",
        "readOnly": True,
    }
    assert set(made.frozen.environment) >= {"IDENTITY_ENDPOINT", "IMDS_ENDPOINT"}
    assert "IDENTITY_HEADER" not in made.frozen.environment


GOOGLE = {"type": "GoogleExternalAccount", "port": 2000}


def test_googles_sdk_gets_a_file_that_the_sidecar_writes_and_not_the_assertion() -> None:
    made = plan(gcp_binding("ledger", delivery={"endpoint": GOOGLE}), gcp_trust())
    admission, folder = made.frozen.admission, f"{names.CREDENTIALS_DIRECTORY}/ledger"
    assert admission is not None
    (serve,) = admission.serves
    assert (serve.shape, serve.port, serve.file) == ("google", 2000, f"{folder}/credentials.json")
    document = json.loads(serve.document)
    assert document["type"] == "external_account"
    assert "credential_source" not in document
    assert document["service_account_impersonation_url"].endswith("generateAccessToken")
    assert (admission.grant, admission.endpoints, admission.settings) == ("Assertion", {}, {})
    assert admission.session_seconds >= made.frozen.token_seconds
    assert loads_admission(dumped(admission)) == admission
    assert made.frozen.environment == {
        "GOOGLE_APPLICATION_CREDENTIALS": serve.file,
        "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE": serve.file,
        "GOOGLE_CLOUD_PROJECT": "my-project",
    }
    after = inject(pod(), [made], InjectionSettings())
    (app,) = jsonpatch.apply_patch(pod(), list(after.operations))["spec"]["containers"]
    assert all("apostille-token" not in mount["name"] for mount in app["volumeMounts"])


def test_a_file_of_what_google_s_sdk_exchanges_is_refused_as_is_its_endpoint_elsewhere() -> None:
    delivery = {"endpoint": GOOGLE, "files": [{"format": "Token", "name": "token"}]}
    findings = judge_binding(gcp_binding(delivery=delivery), gcp_trust(), CONTEXT)
    assert {finding.path for finding in findings} == {"spec.delivery.files", "spec.delivery.files[0].format"}
    assert judge_binding(gcp_binding(delivery={"endpoint": GOOGLE}), gcp_trust(), CONTEXT) == []
    for other in ({"type": "Token"}, {"type": "AWSContainerCredentials"}):
        found = judge_binding(gcp_binding(delivery={"endpoint": other}), gcp_trust(), CONTEXT)
        assert bool(found) == (other["type"] != "Token")
    (finding,) = judge_binding(vault_binding(delivery={"endpoint": GOOGLE}), vault_trust(), CONTEXT)
    assert finding.path == "spec.delivery.endpoint.type"


@pytest.mark.parametrize(
    ("env", "warned"),
    [
        ({"HTTP_PROXY": "http://proxy:3128"}, True),
        ({"http_proxy": "http://proxy:3128", "no_proxy": "example.com"}, True),
        ({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "example.com, 127.0.0.1"}, False),
        ({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "*"}, False),
        ({"HTTPS_PROXY": "http://proxy:3128"}, False),
        ({}, False),
    ],
)
def test_an_endpoint_that_a_proxy_would_be_asked_for_is_warned_of(env: dict[str, str], warned: bool) -> None:
    app = {"name": "app", "image": "a", "env": [{"name": name, "value": value} for name, value in env.items()]}
    asked = plan(gcp_binding("ledger", delivery={"endpoint": GOOGLE}), gcp_trust())
    told = inject(pod(app), [asked], InjectionSettings()).warnings
    assert any("add 127.0.0.1 to NO_PROXY" in text for text in told) == warned
    aws = inject(pod(app), [plan(asking(endpoint=AWS))], InjectionSettings()).warnings
    assert not any("NO_PROXY" in text for text in aws)
