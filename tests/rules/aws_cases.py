"""Cases of the catalogue for AWS's documents: what breaks a rule, and its innocent neighbour."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from apostille.core.judge import judge_trust
from apostille.model.finding import Finding
from apostille.parties.aws import foreign, policy
from apostille.parties.aws.party import AWS
from builders import AUDIENCE, CONTEXT, ISSUER, binding, trust

Findings = Callable[[], Iterable[Finding]]
Cases = dict[str, tuple[str, Findings, Findings]]

HOST = "oidc.example.com/cluster-a"
AUD, SUB = f"{HOST}:aud", f"{HOST}:sub"
READER = "system:serviceaccount:payments:reader"
_PARTY = AWS()
_FILES = policy.render(_PARTY.access(trust().view, [binding().view(_PARTY)], ISSUER))
_ROLE = "role-payments-reader.json"
_STATEMENT = f"{_ROLE}:AssumeRolePolicyDocument.Statement[0]"
_CONDITION = f"{_STATEMENT}.Condition"


def statement(**changed: Any) -> Findings:
    """What is found in a role whose one statement is ours but for these members; None drops one."""

    def find() -> Iterable[Finding]:
        document = json.loads(_FILES[_ROLE])
        policy_document = json.loads(document["AssumeRolePolicyDocument"])
        (ours,) = policy_document["Statement"]
        ours |= changed
        policy_document["Statement"] = [{k: v for k, v in ours.items() if v is not None}]
        document["AssumeRolePolicyDocument"] = policy_document
        return foreign.documents(policy.parse({**_FILES, _ROLE: json.dumps(document)}))

    return find


def role_with(**members: Any) -> Findings:
    """What is found in our role with further members."""
    return lambda: foreign.documents(policy.parse({**_FILES, _ROLE: json.dumps(json.loads(_FILES[_ROLE]) | members)}))


def provider(**members: Any) -> Findings:
    """What is found in our provider with further members."""
    text = json.dumps(json.loads(_FILES[policy.PROVIDER_FILE]) | members)
    return lambda: foreign.documents(policy.parse({**_FILES, policy.PROVIDER_FILE: text}))


def condition(aud: Mapping[str, Any] | None = None, sub: Mapping[str, Any] | None = None) -> Findings:
    """A condition of operator → value for each claim; exactly ours where none is given."""
    block: dict[str, dict[str, Any]] = {}
    for key, of in ((AUD, aud if aud is not None else {"StringEquals": AUDIENCE}),
                    (SUB, sub if sub is not None else {"StringEquals": READER})):  # fmt: skip
        for operator, value in of.items():
            block.setdefault(operator, {})[key] = value
    return statement(Condition=block)


def like(value: str) -> Findings:
    """The subject compared by a pattern."""
    return condition(sub={"StringLike": value})


OURS = statement()
_ARN = f"arn:aws:iam::123456789012:oidc-provider/{HOST}"
_ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
_PINNED = "a031c46782e6e6c662c2c87c76da9aa62ccabd8e"

CASES: Cases = {
    "AWS206": (
        "spec.ceilings.sessionSeconds",
        lambda: judge_trust(trust(ceilings={"sessionSeconds": 3601}), (), CONTEXT),
        lambda: judge_trust(trust(ceilings={"sessionSeconds": 3600}), (), CONTEXT),
    ),
    "AWS301": (_CONDITION, condition(aud={}), OURS),
    "AWS302": (_CONDITION, condition(sub={}), OURS),
    "AWS303": (
        f"{_CONDITION}.StringLike",
        condition(aud={"StringLike": "https://*.sts.example"}),
        condition(aud={"StringLike": AUDIENCE}),
    ),
    "AWS304": (f"{_CONDITION}.StringLike", like("system:serviceaccount:*:reader"), like(READER)),
    "AWS305": (f"{_CONDITION}.StringLike", like("system:serviceaccount:payments:*"), like(READER)),
    "AWS306": (f"{_CONDITION}.StringLike", like("system:serviceaccount:payments:read*"), like(READER)),
    "AWS307": (
        f"{_CONDITION}.StringEquals", condition(sub={"StringEquals": "system:serviceaccount:payments:*"}), OURS,
    ),
    "AWS308": (
        f"{_CONDITION}.ForAllValues:StringEquals",
        condition(sub={"ForAllValues:StringEquals": READER}),
        condition(sub={"ForAnyValue:StringEquals": READER}),
    ),
    "AWS309": (
        f"{_CONDITION}.StringEquals",
        statement(Condition={"StringEquals": {AUD: AUDIENCE, SUB: READER, f"https://{HOST}:sub": READER}}),
        statement(Condition={"StringEquals": {AUD: AUDIENCE, SUB: READER, "aws:PrincipalTag:sub": "x"}}),
    ),
    "AWS310": (f"{_STATEMENT}.Principal", statement(Principal={"Federated": [_ARN, "*"]}), OURS),
    "AWS311": (
        f"{_STATEMENT}.Principal.Federated",
        statement(Principal={"Federated": [_ARN, "arn:aws:iam::123456789012:oidc-provider/other.example"]}),
        statement(Principal={"Federated": [_ARN]}),
    ),
    "AWS312": (
        f"{_STATEMENT}.Action", statement(Action="sts:*"), statement(Action=["sts:AssumeRoleWithWebIdentity"]),
    ),
    "AWS313": (f"{_STATEMENT}.NotAction", statement(Action=None, NotAction="sts:TagSession"), OURS),
    "AWS314": (f"{_CONDITION}.StringEquals", condition(aud={"StringEquals": "https://other.example"}), OURS),
    "AWS315": (
        "oidc-provider.json:ClientIDList[1]",
        provider(ClientIDList=[AUDIENCE, "old"]),
        provider(ClientIDList=[AUDIENCE]),
    ),
    "AWS316": (
        "oidc-provider.json:ThumbprintList[0]", provider(ThumbprintList=["a0:31"]), provider(ThumbprintList=[_PINNED]),
    ),
    "AWS317": (
        "oidc-provider.json:ThumbprintList[0]", provider(ThumbprintList=[_PINNED]), provider(ThumbprintList=[]),
    ),
    "AWS318": (
        f"{_ROLE}:ManagedPolicyArns[0]",
        role_with(ManagedPolicyArns=[_ADMIN]),
        role_with(ManagedPolicyArns=["arn:aws:iam::123456789012:policy/ledger-reader"]),
    ),
}  # fmt: skip
