"""Google's documents by themselves: where a credential file sends tokens, and what is none of Google's."""

from __future__ import annotations

from typing import Any

import pytest

from apostille.parties.gcp import bare
from rules.gcp_cases import alone


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"token_url": "https://sts.europe-west1.rep.googleapis.com/v1/token"}, []),
        ({"token_url": "https://sts.mtls.googleapis.com/v1/token"}, []),
        ({"universe_domain": "example.goog", "token_url": "https://sts.example.goog/v1/token",
          "service_account_impersonation_url": None}, []),
        ({"token_url": "http://sts.googleapis.com/v1/token"}, ["token_url"]),
        ({"token_url": "https://sts.googleapis.com@evil.example/"}, ["token_url"]),
        ({"token_url": "https://u:p@sts.googleapis.com/"}, ["token_url"]),
        ({"token_url": "https://sts.googleapis.com:8443/"}, ["token_url"]),
        ({"token_url": "https://[sts.googleapis.com/"}, ["token_url"]),
        ({"service_account_impersonation_url": "https://sts.googleapis.com/"}, ["service_account_impersonation_url"]),
        ({"credential_source": {"executable": {"command": "x"}}}, ["credential_source.executable"]),
        ({"credential_source": {"url": "http://169.254.169.254/"}}, ["credential_source.url"]),
        ({"universe_domain": "evil example"}, ["universe_domain"]),
        ({"type": "service_account", "token_url": "https://evil.example"}, []),
    ],
)  # fmt: skip
def test_where_a_credential_file_sends_tokens(changes: dict[str, Any], fields: list[str]) -> None:
    assert [finding.path for finding in alone(**changes)()] == fields


@pytest.mark.parametrize("document", [None, [], {"bindings": 5}, {"bindings": [5, {"members": 5}, {"role": 1}]}])
def test_what_is_none_of_googles_documents_is_leftalone(document: Any) -> None:
    assert list(bare.findings(document)) == []
