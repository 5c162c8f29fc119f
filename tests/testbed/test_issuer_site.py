"""The published copy of an issuer's documents: under its own name, for whoever comes through its proxy."""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import pytest

from apostille_testbed.parties.issuers import DISCOVERY, KEYS, IssuerSite

URL = "https://cluster.issuer.example/a"
DOCUMENTS: dict[str, Any] = {
    DISCOVERY: {"issuer": URL, "jwks_uri": "https://127.0.0.1:6443/openid/v1/jwks"},
    KEYS: {"keys": []},
}


def broken(path: str) -> Any:
    raise OSError(path)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[IssuerSite]:
    made = IssuerSite({URL: DOCUMENTS.__getitem__, "https://broken.example": broken}, tmp_path)
    made.start()
    yield made
    made.close()


def read(site: IssuerSite, url: str) -> Any:
    tls = ssl.create_default_context(cafile=str(site.ca))
    proxy = urllib.request.ProxyHandler({"https": site.environment["HTTPS_PROXY"]})
    opener = urllib.request.build_opener(proxy, urllib.request.HTTPSHandler(context=tls))
    with opener.open(url, timeout=20) as reply:
        return json.load(reply)


def test_documents_are_served_under_the_issuers_name_and_lead_to_the_published_keys(site: IssuerSite) -> None:
    assert read(site, URL + DISCOVERY) == {"issuer": URL, "jwks_uri": URL + KEYS}
    assert read(site, URL + KEYS) == {"keys": []}
    assert site.reads == 1


@pytest.mark.parametrize(("url", "status"), [(f"{URL}/api", 404), (f"https://broken.example{DISCOVERY}", 503)])
def test_nothing_else_is_served(site: IssuerSite, url: str, status: int) -> None:
    with pytest.raises(HTTPError) as found:
        read(site, url)
    with found.value as error:
        assert error.code == status


def test_the_proxy_leads_nowhere_else(site: IssuerSite) -> None:
    with pytest.raises(URLError, match="403"):
        read(site, "https://elsewhere.example/")


def test_a_stopped_site_refuses_and_comes_back(site: IssuerSite) -> None:
    site.stop()
    with pytest.raises(URLError, match="502"):
        read(site, URL + KEYS)
    site.start()
    assert read(site, URL + KEYS) == {"keys": []}
