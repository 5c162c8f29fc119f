"""The policies as they are written, judged by another implementation of CEL than the API server's: fast, for many.

What the API server itself makes of them is tested on a real one; here only as much of admission as they use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import cel

Json = Mapping[str, Any]


@dataclass(frozen=True)
class _Policy:
    resource: str
    conditions: list[cel.Program]
    variables: list[tuple[str, cel.Program]]
    validations: list[tuple[cel.Program, cel.Program | None]]


class Policies:
    """Documents of ``core.grants``; those are judged whose bindings deny."""

    def __init__(self, documents: Iterable[Json]) -> None:
        every = list(documents)
        denying = {
            one["spec"]["policyName"]
            for one in every
            if one["kind"].endswith("Binding") and "Deny" in one["spec"]["validationActions"]
        }
        specs = [one["spec"] for one in every if one["metadata"]["name"] in denying and "Binding" not in one["kind"]]
        self._policies = [
            _Policy(
                spec["matchConstraints"]["resourceRules"][0]["resources"][0],
                [cel.compile(one["expression"]) for one in spec["matchConditions"]],
                [(one["name"], cel.compile(one["expression"])) for one in spec["variables"]],
                [
                    (
                        cel.compile(one["expression"]),
                        cel.compile(one["messageExpression"]) if "messageExpression" in one else None,
                    )
                    for one in spec["validations"]
                ],
            )
            for spec in specs
        ]

    def refusals(self, resource: str, namespace: str, name: str, raw: Json) -> list[str]:
        """Every message, also those behind the first; ``raw`` is the object with its defaults."""
        request = {
            "resource": {"resource": resource.partition("/")[0]}, "namespace": namespace, "name": name, "dryRun": False,
        }  # fmt: skip
        told: list[str] = []
        for policy in self._policies:
            if policy.resource != resource:
                continue
            context: dict[str, Any] = {"request": request, "object": raw}
            if not all(one.execute(context) for one in policy.conditions):
                continue
            context["variables"] = variables = {}
            for known, expression in policy.variables:
                variables[known] = expression.execute(context)
            for holds, message in policy.validations:
                if not holds.execute(context):
                    assert message is not None
                    told.append(message.execute(context))
        return told
