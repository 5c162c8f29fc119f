"""Bad input on the real API server: each gets one clear message that names the field, what is wrong and what is right.

What the schema refuses (unknown fields, wrong union members, lifetimes out of bounds) is in test_kinds, and the
policies against hand-written grants are in test_policies; here all of Apostille is at work.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import pytest
import yaml

from integration.cluster import Cluster, Json, Team, injected, role
from integration.plain_client import Answer
from parties.test_bad_input import GOLDEN, SCHEMA
from samples.bad_input import cases, first

pytestmark = pytest.mark.integration
DENIED = 'admission webhook "kinds.apostille.dev" denied the request: '
NOT_OURS = "https://other.sts.example"

APISERVER = (
    "spec.audience: '{}' is an audience of this cluster's own API server. Choose an audience that only the relying "
    "party accepts; the receiver could otherwise act in this cluster. "
    "[APO102 X-AUD-APISERVER, https://apostille.dev/docs/rules/APO102]"
)
WILDCARD = (
    "spec.audience: '{}' contains {}; an audience is compared byte for byte. Write one exact audience of at most 255 "
    "printable characters, without *, ? or spaces. [APO103 X-AUD-WILDCARD, https://apostille.dev/docs/rules/APO103]"
)
EMPTY = (
    "spec.audience: the audience is empty. Name the one receiver; without an audience the token is a credential of "
    "this cluster's API server. [APO101 X-AUD-EMPTY, https://apostille.dev/docs/rules/APO101]"
)
FOREIGN = (
    "spec.audience: '{}' is an audience of {}, the relying party is AWS. Use an audience of the declared relying "
    "party. [APO105 X-AUD-FOREIGN, https://apostille.dev/docs/rules/APO105]"
)
PATTERN = (
    "{}: '*' is a pattern, and patterns are never expanded. List namespaces and service accounts by their exact names. "
    "[APO201 X-SUB-WILDCARD, https://apostille.dev/docs/rules/APO201]"
)
DEFAULT = (
    "{}: the service account `default` of OURS would be bound. Give the workload a service account of its own: every "
    "pod that names none runs as `default`. [APO202 X-SUB-DEFAULT, https://apostille.dev/docs/rules/APO202]"
)
SYSTEM = (
    "{}: {} is a system namespace. Bind workloads of application namespaces only. "
    "[APO203 X-SUB-SYSTEM-NS, https://apostille.dev/docs/rules/APO203]"
)
OTHER_ACCOUNT = (
    "{}: arn:aws:iam::210987654321:role/reader is a role of account 210987654321, the trust {} is for 123456789012. "
    "Use a role of the trust's account, or declare a FederationTrust for the other account. "
    "[AWS102 AWS-TARGET-ACCOUNT, https://apostille.dev/docs/rules/AWS102]"
)
NOT_A_ROLE = (
    "{}: '{}' is not the ARN of a role. Write arn:PARTITION:iam::ACCOUNT:role/NAME, for example "
    "arn:aws:iam::123456789012:role/payments-reader. [AWS101 AWS-TARGET-FORM, https://apostille.dev/docs/rules/AWS101]"
)
ASK = (
    " Ask the owner of the trust to name it in spec.allow, or use one that is named. "
    "[APO401 X-CONFUSED-TARGET, https://apostille.dev/docs/rules/APO401]"
)
SPELLINGS = [
    "https://kubernetes.default.svc", "https://kubernetes.default.svc/", "kubernetes.default.svc",
    "https://kubernetes.default.svc.cluster.local", "http://kubernetes.default.svc.corp.example:443", "kubernetes",
    "KUBERNETES.Default.svc", "https://kubernetes:6443", "ISSUER", "ISSUER/", "issuer-without-scheme",
]  # fmt: skip


def told(answer: Answer) -> list[str]:
    """What is wrong, one entry a finding."""
    assert answer.code == 403, (answer.code, answer.message, answer.warnings)
    return answer.message.removeprefix(DENIED).split("\n")


def trust_with(team: Team, **spec: Any) -> Answer:
    """A dry run of another trust of the team."""
    return team.api.create(team.trust(f"{team.ns}-bad", **{"audience": NOT_OURS} | spec), dry_run=True)


BAD_TRUSTS: dict[str, tuple[Callable[[Team], Mapping[str, Any]], str]] = {
    "no audience in it": (lambda _: {"audience": ""}, EMPTY),
    "only spaces": (lambda _: {"audience": "  "}, EMPTY),
    "everybody": (lambda _: {"audience": "*"}, WILDCARD.format("*", "'*'")),
    "a pattern": (lambda _: {"audience": "https://*.example"}, WILDCARD.format("https://*.example", "'*'")),
    "a space in it": (lambda _: {"audience": "two words"}, WILDCARD.format("two words", "' '")),
    "Microsoft's": (
        lambda _: {"audience": "api://AzureADTokenExchange"},
        FOREIGN.format("api://AzureADTokenExchange", "Microsoft Entra"),
    ),
    "Google's": (
        lambda _: {"audience": "//iam.googleapis.com/projects/1/locations/global"},
        FOREIGN.format("//iam.googleapis.com/projects/1/locations/global", "Google Cloud"),
    ),
    "Vault's": (lambda _: {"audience": "vault"}, FOREIGN.format("vault", "Vault")),
    "another trust's": (
        lambda team: {"audience": team.audience},
        "spec.audience: FederationTrust OURS uses 'https://OURS.sts.example' too and also allows reader of namespace "
        "OURS. Give each trust an audience of its own, or set spec.sharedAudience: true on both: ending one binding "
        "then does not cut off the other. [APO106 X-AUD-SHARED, https://apostille.dev/docs/rules/APO106]",
    ),
    "every namespace": (
        lambda team: {"allow": [team.allow() | {"namespace": "*"}]}, PATTERN.format("spec.allow[0].namespace"),
    ),
    "every service account": (
        lambda team: {"allow": [team.allow("reader", "*")]}, PATTERN.format("spec.allow[0].serviceAccounts[1]"),
    ),
    "the default service account": (
        lambda team: {"allow": [team.allow("default")]}, DEFAULT.format("spec.allow[0].serviceAccounts[0]"),
    ),
    "a system namespace": (
        lambda team: {"allow": [team.allow(), team.allow() | {"namespace": "kube-system"}]},
        SYSTEM.format("spec.allow[1].namespace", "kube-system"),
    ),
    "Apostille's own namespace": (
        lambda team: {"allow": [team.allow() | {"namespace": "apostille-system"}]},
        SYSTEM.format("spec.allow[0].namespace", "apostille-system"),
    ),
    "a role of another account": (
        lambda team: {"allow": [team.allow(targets=[role(), role(account="210987654321")])]},
        OTHER_ACCOUNT.format("spec.allow[0].targets[1]", "OURS-bad"),
    ),
    "every role": (
        lambda team: {"allow": [team.allow(targets=[role("*")])]},
        NOT_A_ROLE.format("spec.allow[0].targets[0]", role("*")),
    ),
    "the API server's mark": (
        lambda _: {"ceilings": {"assertionSeconds": 3607}},
        "spec.ceilings.assertionSeconds: 3607 seconds would be stretched. Choose 3600: the API server stretches tokens "
        "of exactly 3607 seconds to a year for its own audience. "
        "[APO303 X-LIFE, https://apostille.dev/docs/rules/APO303]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_TRUSTS)
def test_a_bad_trust(settled: Team, case: str) -> None:
    spec, message = BAD_TRUSTS[case]

    assert told(trust_with(settled, **spec(settled))) == [message.replace("OURS", settled.ns)]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_api_servers_audience_in_every_spelling(settled: Team, spelling: str) -> None:
    issuer = settled.cluster.installation.control_plane.issuer
    audience = spelling.replace("ISSUER", issuer).replace("issuer-without-scheme", issuer.removeprefix("https://"))

    assert told(trust_with(settled, audience=audience)) == [APISERVER.format(audience)]


# Of every party, as the samples have it; what is said is written down for a review in tests/golden/bad-input.
OF_PARTIES = {f"{party.name}: {name}": (party, name, bad) for party, name, bad in cases() if not bad.issuer}


@pytest.mark.parametrize("case", OF_PARTIES)
def test_a_bad_trust_of_any_party(settled: Team, case: str) -> None:
    party, name, bad = OF_PARTIES[case]
    document = bad.document(first(party))
    wanted = yaml.safe_load((GOLDEN / f"{party.member}.yaml").read_text())[name]

    answer = settled.api.create(document, dry_run=True)

    if wanted[0].endswith(SCHEMA):
        assert answer.code == 422, answer.message
        assert wanted[0].partition(": ")[0] in answer.message
    else:
        assert told(answer) == wanted


def test_a_binding_to_a_target_of_another_party(settled: Team) -> None:
    refused = told(settled.api.create(settled.binding("bad", target={"vault": {"role": "reader"}}), dry_run=True))

    assert refused == [
        f"spec.target.vault: FederationTrust {settled.ns} is for AWS. Name the target in spec.target.aws.roleARN. "
        "[APO401 X-CONFUSED-TARGET, https://apostille.dev/docs/rules/APO401]"
    ]


BAD_BINDINGS: dict[str, tuple[Mapping[str, Any], str]] = {
    "a service account that is not allowed": (
        {"account": "stranger"},
        "spec.subject.serviceAccountNames[0]: FederationTrust OURS does not allow service account stranger of "
        "namespace OURS (allowed there: reader, writer)." + ASK,
    ),
    "one of two that is not allowed": (
        {"subject": {"serviceAccountNames": ["writer", "stranger"]}},
        "spec.subject.serviceAccountNames[1]: FederationTrust OURS does not allow service account stranger of "
        "namespace OURS (allowed there: reader, writer)." + ASK,
    ),
    "the default service account": ({"account": "default"}, DEFAULT.format("spec.subject.serviceAccountNames[0]")),
    "every service account": ({"account": "*"}, PATTERN.format("spec.subject.serviceAccountNames[0]")),
    "a target of another account": (
        {"target": {"aws": {"roleARN": role(account="210987654321")}}},
        OTHER_ACCOUNT.format("spec.target.aws.roleARN", "OURS"),
    ),
    "a target that is not allowed": (
        {"target": {"aws": {"roleARN": role("admin")}}},
        "spec.target.aws.roleARN: FederationTrust OURS does not allow reader of namespace OURS to take on "
        f"{role('admin')} (allowed: {role()})." + ASK,
    ),
    "a target that is none": (
        {"target": {"aws": {"roleARN": "the-role-of-payments"}}},
        NOT_A_ROLE.format("spec.target.aws.roleARN", "the-role-of-payments"),
    ),
    "a token over the ceiling": (
        {"token": {"expirationSeconds": 7200}},
        "spec.token.expirationSeconds: 7200 seconds is over the trust's ceiling of 3600. Ask for at most 3600 seconds. "
        "[APO301 X-LIFE, https://apostille.dev/docs/rules/APO301]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_BINDINGS)
def test_a_bad_binding(settled: Team, case: str) -> None:
    spec, message = BAD_BINDINGS[case]

    assert told(settled.api.create(settled.binding("bad", **spec), dry_run=True)) == [
        message.replace("OURS", settled.ns)
    ]


def test_a_binding_of_a_namespace_that_is_not_allowed(settled: Team, team: Team) -> None:
    refused = told(team.api.create(team.binding(trust=settled.ns), dry_run=True))

    assert refused == [f"metadata.namespace: FederationTrust {settled.ns} does not allow namespace {team.ns}." + ASK]


def test_a_binding_in_a_system_namespace(settled: Team) -> None:
    binding = settled.binding()
    binding["metadata"]["namespace"] = "kube-system"

    assert told(settled.api.create(binding, dry_run=True)) == [SYSTEM.format("metadata.namespace", "kube-system")]


def test_several_mistakes_are_told_at_once_one_line_a_field(settled: Team) -> None:
    binding = settled.binding(
        "bad", "default", token={"expirationSeconds": 7200}, target={"aws": {"roleARN": role(account="210987654321")}}
    )

    refused = told(settled.api.create(binding, dry_run=True))

    assert [line.partition(":")[0] for line in refused] == [
        "spec.subject.serviceAccountNames[0]", "spec.target.aws.roleARN", "spec.token.expirationSeconds",
    ]  # fmt: skip


def test_a_trust_that_does_not_exist_is_warned_about(settled: Team) -> None:
    answer = settled.api.create(settled.binding("lost", trust="nobody"), dry_run=True)

    assert answer.ok
    assert answer.warnings == (
        "spec.trustRef.name: there is no FederationTrust nobody yet; the binding waits for it, and pods created before "
        "it is there have no identity",
    )


def test_what_works_but_is_unwise_is_warned_about(settled: Team) -> None:
    common = trust_with(settled, audience="sts.amazonaws.com")
    long = trust_with(settled, ceilings={"assertionSeconds": 86400})

    assert (common.code, long.code) == (201, 201)
    assert common.warnings == (
        "spec.audience: sts.amazonaws.com is what every AWS trust of every cluster accepts [APO107]. Prefer an "
        "audience of this trust's own, such as https://NAME.sts.example",
    )
    assert long.warnings == (
        "spec.ceilings.assertionSeconds: 86400 seconds is longer than an hour [APO302]. An ended binding stops the "
        "refresh of a token, never a token that is out: prefer 3600 seconds or less",
    )


def test_what_kubectl_prints_is_the_message(settled: Team) -> None:
    def applied(document: Mapping[str, Any]) -> str:
        done = settled.cluster.kubectl("apply", "-f", "-", input=json.dumps(document), check=False)
        assert done.returncode != 0 or "Warning" in done.stderr
        return str(done.stderr).strip()

    unknown = applied(settled.trust(f"{settled.ns}-bad", audience=NOT_OURS, colour="blue"))
    refused = applied(settled.binding("bad", "stranger"))

    assert unknown.endswith('strict decoding error: unknown field "spec.colour"')
    assert refused == (
        f'Error from server (Forbidden): error when creating "STDIN": {DENIED}'
        + BAD_BINDINGS["a service account that is not allowed"][1].replace("OURS", settled.ns)
    )


def test_a_rule_is_kept_on_update_too(settled: Team) -> None:
    refused = settled.change(settled.binding(), target={"aws": {"roleARN": role("admin")}})

    assert told(refused) == [BAD_BINDINGS["a target that is not allowed"][1].replace("OURS", settled.ns)]


# What is forged, under the service account that is bound and under one that is allowed but not bound.
OWN_NAME = "metadata.annotations[apostille.dev/other]: the prefix is Apostille's; removed"
REWRITTEN = (
    "metadata.annotations[apostille.dev/plan]: not the plan of this pod's bindings, as in a copied pod; everything of "
    "Apostille's in it was brought to the current plan"
)
FORGED: dict[str, tuple[Mapping[str, Any], Mapping[str, Any], str, str]] = {
    "an annotation": ({"annotations": {"apostille.dev/other": "x"}}, {}, OWN_NAME, OWN_NAME),
    "a plan": ({"annotations": {"apostille.dev/plan": "{}"}}, {}, REWRITTEN, REWRITTEN),
    "another's plan": (
        {"annotations": {"apostille.dev/plan": '{"format":1,"bindings":{"admin":{"digest":"0"}}}'}}, {}, REWRITTEN,
        REWRITTEN,
    ),
    "a label": (
        {"labels": {"apostille.dev/owner": "me"}}, {},
        "metadata.labels[apostille.dev/owner]: the prefix is Apostille's; removed",
        "metadata.labels[apostille.dev/owner]: the prefix is Apostille's; removed",
    ),
    "a file": (
        {"annotations": {"files.apostille.dev/s3-reader.config": "evil"}}, {},
        "metadata.annotations[files.apostille.dev/s3-reader.config]: the prefix is Apostille's; removed",
        "metadata.annotations[files.apostille.dev/s3-reader.config]: the prefix is Apostille's; removed",
    ),
    "a volume": (
        {}, {"volumes": [{"name": "apostille-token-s3-reader", "emptyDir": {}}]},
        "spec.volumes[0].name: apostille-token-s3-reader is reserved to Apostille; the volume is replaced",
        "spec.volumes: apostille-token-s3-reader is reserved to Apostille and not part of this pod's plan; removed",
    ),
    "an init container": (
        {}, {"initContainers": [{"name": "apostille-exchange", "image": "evil"}]},
        "spec.initContainers[0].name: apostille-exchange is reserved to Apostille; the container is removed",
        "spec.initContainers[0].name: apostille-exchange is reserved to Apostille; the container is removed",
    ),
}  # fmt: skip


def plain(team: Team, account: str) -> Json:
    """What an ordinary pod of the account becomes."""
    return stored(team.api.create(team.pod(account, "plain"), dry_run=True))


def stored(answer: Answer) -> Json:
    """The parts of a pod that Apostille may have a hand in."""
    assert answer.ok, answer.message
    metadata, spec = answer.body["metadata"], deepcopy(answer.body["spec"])
    # The API server's own volume has a random name in every pod.
    volumes = {v["name"]: v for v in spec["volumes"] if not v["name"].startswith("kube-api-access-")}
    mounts = [m["name"] for c in spec["containers"] for m in c.get("volumeMounts", ())]
    return {
        "annotations": metadata.get("annotations", {}),
        "labels": metadata.get("labels", {}),
        "volumes": volumes,
        "mounts": [name for name in mounts if not name.startswith("kube-api-access-")],
        "containers": [c["name"] for c in (*spec.get("initContainers", ()), *spec["containers"])],
        "environment": [c.get("env", []) for c in spec["containers"]],
    }


@pytest.mark.parametrize("case", FORGED)
@pytest.mark.parametrize("account", ["reader", "writer"])
def test_what_is_forged_is_rewritten_with_a_warning(settled: Team, account: str, case: str) -> None:
    metadata, spec, *warnings = FORGED[case]
    pod = settled.pod(account, "plain", **spec)
    pod["metadata"].update(metadata)

    answer = settled.api.create(pod, dry_run=True)

    assert answer.warnings == (warnings[("reader", "writer").index(account)],)
    assert stored(answer) == plain(settled, account)


def _mounting(path: str) -> Mapping[str, Any]:
    mounts = [{"name": "mine", "mountPath": path}]
    return {
        "containers": [{"name": "app", "image": "app", "volumeMounts": mounts}],
        "volumes": [{"name": "mine", "emptyDir": {}}],
    }


REFUSED_PODS: dict[str, tuple[Mapping[str, Any], str]] = {
    "a container of ours": (
        {"containers": [{"name": "app", "image": "app"}, {"name": "apostille-exchange", "image": "evil"}]},
        "spec.containers[1].name: apostille-exchange is reserved to Apostille; rename the container",
    ),
    "a mount over ours": (
        _mounting("/var/run/secrets/apostille.dev/s3-reader"),
        "spec.containers[0].volumeMounts[0].mountPath: /var/run/secrets/apostille.dev/s3-reader is reserved to "
        "Apostille; mount volume 'mine' elsewhere",
    ),
}


@pytest.mark.parametrize("case", REFUSED_PODS)
def test_foreign_content_under_our_names_is_refused(settled: Team, case: str) -> None:
    spec, message = REFUSED_PODS[case]

    answer = settled.api.create(settled.pod(**spec), dry_run=True)

    assert answer.code == 403
    assert answer.message == f'admission webhook "bound-workloads.apostille.dev" denied the request: {message}'


def copied(pod: Mapping[str, Any], account: str) -> Json:
    """``kubectl get pod -o json``, stripped of what the API server does not take, with another name and account."""
    metadata = {key: pod["metadata"][key] for key in ("annotations", "labels", "namespace")}
    copy: Json = deepcopy({**pod, "metadata": {**metadata, "name": f"copy-{account}"}})
    del copy["status"]
    copy["spec"] |= {"serviceAccountName": account, "serviceAccount": account}
    return copy


@pytest.fixture(scope="module")
def running(settled: Team) -> Json:
    """A pod with its identity."""
    pod = settled.run()
    assert injected(pod)
    return pod


def test_a_copy_under_the_same_account_is_the_same(settled: Team, running: Json) -> None:
    answer = settled.api.create(copied(running, "reader"), dry_run=True)

    assert answer.warnings == ()
    assert stored(answer) == stored(Answer(201, running, (), 0.0))


def test_a_copy_under_an_account_without_a_binding_has_nothing(settled: Team, running: Json) -> None:
    answer = settled.api.create(copied(running, "writer"), dry_run=True)

    assert answer.warnings == (REWRITTEN,)
    left = stored(answer)
    assert (left["annotations"], left["labels"], left["volumes"], left["mounts"]) == ({}, {}, {}, [])


def test_a_copy_under_an_account_elsewhere_is_refused_its_token(settled: Team, running: Json) -> None:
    """No webhook is asked about it; the policies are in the API server."""
    answer = settled.api.create(copied(running, "stranger"), dry_run=True)

    assert answer.code == 403
    assert answer.message == (
        "pods \"copy-stranger\" is forbidden: ValidatingAdmissionPolicy 'apostille-pods-enforce-0' with binding "
        "'apostille-pods-enforce-0' denied request: spec.volumes: volume apostille-token-s3-reader projects a token "
        f"that no live WorkloadBinding grants to service account stranger of namespace {settled.ns}; declare a binding "
        "and leave the volume to Apostille, or remove it [APO501]"
    )


def test_kubectl_debug_copies_are_rewritten_too(settled: Team, running: Json, cluster: Cluster) -> None:
    """``--copy-to`` keeps the service account, so the copy is the same workload with the same identity."""
    name = f"debug-{running['metadata']['name']}"
    cluster.kubectl(
        "debug", running["metadata"]["name"], "-n", settled.ns, f"--copy-to={name}", "--image=busybox", "--attach=false"
    )
    copy = settled.api.request("GET", f"/api/v1/namespaces/{settled.ns}/pods/{name}").body
    try:
        assert injected(copy)
        assert copy["spec"]["containers"][0]["name"] == "app"
    finally:
        settled.delete(copy)


UNBOUND, LONG, BESIDE, STRANGER = (
    "spec.boundObjectRef: a token for audience AUD must be bound to a Pod, so that it ends with it [APO502]",
    "spec.expirationSeconds: 86400 is over the 3600 seconds that are granted to service account reader of namespace "
    "OURS for audience AUD [APO503]",
    "spec.audiences: AUD must be requested alone, not beside other audiences: each receiver could replay the token to "
    "the others [APO104]",
    "spec.audiences: no live WorkloadBinding grants service account {} of namespace OURS tokens for audience AUD; "
    "declare one, or see why it ended: kubectl get wbind -n OURS [APO501]",
)


def refused_token(team: Team, account: str, message: str) -> str:
    policy = "apostille-tokens-enforce-0"
    return (
        f"serviceaccounts \"{account}\" is forbidden: ValidatingAdmissionPolicy '{policy}' with binding '{policy}' "
        f"denied request: {message.replace('AUD', team.audience).replace('OURS', team.ns)}"
    )


def test_bad_token_requests(settled: Team, running: Json) -> None:
    ordinary = {account: settled.run(account) for account in ("writer", "stranger")}
    answers: Sequence[tuple[Answer, str, str]] = [
        (settled.token(None, account="reader"), "reader", UNBOUND),
        (settled.token(running, seconds=86400), "reader", LONG),
        (settled.token(running, [settled.audience, NOT_OURS]), "reader", BESIDE),
        (settled.token(ordinary["writer"]), "writer", STRANGER.format("writer")),
        (settled.token(ordinary["stranger"]), "stranger", STRANGER.format("stranger")),
        (settled.token(None, account="stranger", seconds=86400), "stranger", STRANGER.format("stranger")),
    ]

    assert settled.token(running).code == 201
    for answer, account, message in answers:
        assert (answer.code, answer.message) == (403, refused_token(settled, account, message))


def test_kubectl_create_token_says_why_not(settled: Team) -> None:
    asked = settled.cluster.kubectl(
        "create", "token", "reader", "-n", settled.ns, "--audience", settled.audience, check=False
    )

    assert asked.returncode == 1
    assert asked.stderr == f"error: failed to create token: {refused_token(settled, 'reader', UNBOUND)}\n"


def _all_messages() -> Iterator[str]:
    yield from (message for _, message in BAD_TRUSTS.values())
    yield from (message for _, message in BAD_BINDINGS.values())


def test_messages_name_a_field_first_and_a_rule_with_its_page_last() -> None:
    for message in _all_messages():
        field, _, rest = message.partition(": ")
        assert field.startswith(("spec.", "metadata."))
        assert " " not in field
        assert rest.endswith("]")
        rule, _, page = rest.rpartition("[")[2].rstrip("]").partition(", ")
        assert page == f"https://apostille.dev/docs/rules/{rule.split()[0]}"
