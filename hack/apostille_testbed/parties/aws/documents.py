"""What IAM accepts as provider and role (IAM API 2010-05-08: CreateOpenIDConnectProvider, CreateRole)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from apostille_testbed.parties.aws.policy import UnsupportedOperator, as_list, check_operator

POLICY_QUOTA = 2048  # characters; IAM does not count white space (IAM "Quotas", AssumeRolePolicySizeQuota)
CLIENT_IDS = 100

_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_ROLE_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
_PATH = re.compile(r"/|/[!-~]+/")
_THUMBPRINT = re.compile(r"[0-9a-fA-F]{40}")
_POLICY_CHARACTERS = re.compile(r"[\t\n\r -\xff]+")
_STATEMENT_MEMBERS = frozenset({"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Condition"})


class IAMError(Exception):
    """A call that IAM refuses; ``code`` is IAM's, such as ``MalformedPolicyDocument``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def read_json(text: str, code: str) -> Any:
    """Parses JSON, refusing an object that names a member twice. Raises IAMError with ``code``."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise IAMError(code, "The document names a member twice")
        return members

    try:
        return json.loads(text, object_pairs_hook=unique)
    except ValueError as error:
        raise IAMError(code, "The document is not JSON") from error


def provider_input(document: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The URL and client ids of a CreateOpenIDConnectProvider input (cloud-trust §3.1). Raises IAMError."""
    _only(document, {"Url", "ClientIDList", "ThumbprintList", "Tags"})
    url = document.get("Url")
    if not isinstance(url, str) or not 1 <= len(url) <= 255:
        raise IAMError("ValidationError", "Url must have 1 to 255 characters")
    host = url.removeprefix("https://").partition("/")[0]
    if not url.startswith("https://") or not _HOST.fullmatch(host):
        # No port or user, lower case: the host becomes part of condition keys (cloud-trust §1.2).
        raise IAMError("ValidationError", "Invalid Open ID Connect Provider URL")
    if "?" in url or "#" in url:
        raise IAMError("InvalidInput", "Url must have no query or fragment")
    client_ids = _strings(document, "ClientIDList")
    if len(client_ids) > CLIENT_IDS:
        raise IAMError("LimitExceeded", f"Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {CLIENT_IDS}")
    if not all(1 <= len(client_id) <= 255 for client_id in client_ids):
        raise IAMError("ValidationError", "A client id must have 1 to 255 characters")
    thumbprints = _strings(document, "ThumbprintList")
    if len(thumbprints) > 5 or not all(_THUMBPRINT.fullmatch(thumbprint) for thumbprint in thumbprints):
        raise IAMError("InvalidInput", "ThumbprintList holds at most 5 thumbprints of 40 hexadecimal characters")
    return url, client_ids


def role_input(document: Mapping[str, Any]) -> tuple[str, str, dict[str, Any], int]:
    """Name, path, trust policy and MaxSessionDuration in seconds of a CreateRole input (cloud-trust §3.2).

    Raises IAMError.
    """
    _only(
        document,
        {"RoleName", "Path", "AssumeRolePolicyDocument", "Description", "MaxSessionDuration", "PermissionsBoundary"}
        | {"Tags"},
    )
    name, path = document.get("RoleName"), document.get("Path", "/")
    if not isinstance(name, str) or not _ROLE_NAME.fullmatch(name):
        raise IAMError("ValidationError", r"RoleName must satisfy [\w+=,.@-]{1,64}")
    if not isinstance(path, str) or len(path) > 512 or not _PATH.fullmatch(path):
        raise IAMError("ValidationError", "Path must begin and end with / and have at most 512 characters")
    seconds = document.get("MaxSessionDuration", 3600)
    if type(seconds) is not int or not 3600 <= seconds <= 43200:
        raise IAMError("ValidationError", "MaxSessionDuration must be between 3600 and 43200 seconds")
    return name, path, trust_policy(document.get("AssumeRolePolicyDocument")), seconds


def trust_policy(document: Any) -> dict[str, Any]:
    """A role trust policy, given as text or object, after IAM's checks. Raises IAMError.

    Elements that IAM knows but this party cannot judge are refused too: ignoring them would be a wrong verdict.
    """
    policy = read_json(document, "MalformedPolicyDocument") if isinstance(document, str) else document
    if not isinstance(policy, dict) or not policy:
        raise _malformed("The policy is not a JSON object")
    minified = json.dumps(policy, separators=(",", ":"), ensure_ascii=False)
    if not _POLICY_CHARACTERS.fullmatch(minified):
        raise _malformed("The policy holds characters outside of Latin-1")
    if len(minified) > POLICY_QUOTA:
        raise IAMError("LimitExceeded", f"Cannot exceed quota for ACLSizePerRole: {POLICY_QUOTA}")
    if set(policy) - {"Version", "Id", "Statement"}:
        raise _malformed("Syntax errors in policy")
    # Other versions do not know policy variables and are of no use to anybody today (IAM "Version").
    if policy.get("Version") not in ("2012-10-17", "2008-10-17"):
        raise _malformed("The policy must contain a valid version string")
    statements = as_list(policy.get("Statement", []))
    if not statements:
        raise _malformed("Syntax errors in policy")
    for statement in statements:
        _check_statement(statement)
    return policy


def _check_statement(statement: Any) -> None:
    if not isinstance(statement, dict) or statement.get("Effect") not in ("Allow", "Deny"):
        raise _malformed("A statement needs an Effect of Allow or Deny")
    if "Resource" in statement or "NotResource" in statement:
        raise _malformed("Has prohibited field Resource")
    if set(statement) - _STATEMENT_MEMBERS:
        raise _malformed("Syntax errors in policy")
    if ("Principal" in statement) == ("NotPrincipal" in statement):
        raise _malformed("Missing required field Principal")
    if statement["Effect"] == "Allow" and "NotPrincipal" in statement:
        raise _malformed("Allow with NotPrincipal is not allowed")
    if ("Action" in statement) == ("NotAction" in statement):
        raise _malformed("Missing required field Action")
    actions = as_list(statement["Action"] if "Action" in statement else statement["NotAction"])
    if not actions or not all(isinstance(action, str) and action.lower().startswith("sts:") for action in actions):
        raise _malformed("AssumeRole policy may only specify STS AssumeRole actions.")
    _check_principal(statement["Principal"] if "Principal" in statement else statement["NotPrincipal"])
    _check_condition(statement.get("Condition", {}))


def _check_principal(principal: Any) -> None:
    if principal == "*":
        return
    if not isinstance(principal, dict) or not principal or set(principal) - {"Federated", "AWS", "Service"}:
        raise _malformed("Invalid principal in policy")
    if not all(isinstance(name, str) and name for names in principal.values() for name in as_list(names)):
        raise _malformed("Invalid principal in policy")


def _check_condition(condition: Any) -> None:
    if not isinstance(condition, dict):
        raise _malformed("Syntax errors in policy")
    for operator, keys in condition.items():
        try:
            check_operator(operator)
        except UnsupportedOperator as error:
            raise _malformed(f"Invalid Condition type : {operator}") from error
        if not isinstance(keys, dict) or not keys:
            raise _malformed("Syntax errors in policy")
        for value in (value for values in keys.values() for value in as_list(values)):
            if not isinstance(value, str | bool | int | float):
                raise _malformed("Syntax errors in policy")
            if isinstance(value, str) and "${" in value:
                raise _malformed("Policy variables are not judged by this party")


def _only(document: Mapping[str, Any], members: set[str]) -> None:
    if not isinstance(document, Mapping):
        raise IAMError("ValidationError", "The document is not a JSON object")
    if unknown := sorted(set(document) - members):
        raise IAMError("ValidationError", f"Unknown parameter in input: {', '.join(map(repr, unknown))}")


def _strings(document: Mapping[str, Any], member: str) -> tuple[str, ...]:
    values = document.get(member, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise IAMError("ValidationError", f"{member} must be a list of strings")
    return tuple(values)


def _malformed(message: str) -> IAMError:
    return IAMError("MalformedPolicyDocument", message)
