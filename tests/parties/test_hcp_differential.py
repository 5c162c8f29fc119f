"""HCP's statements: what this code makes of them is what HashiCorp's own library makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apostille.parties.hcp.evaluate import admits
from apostille.parties.hcp.expressions import parse
from apostille_testbed.parties.hcp.conditions import Conditions

pytestmark = [pytest.mark.xdist_group("bexpr"), pytest.mark.property]

CLAIMS: dict[str, Any] = {
    "sub": "s:a:b", "aud": ["x", "y"], "exp": 123, "flag": True, "empty": "", "none": [], "half": 1.5,
    "kubernetes.io": {"namespace": "a", "serviceaccount": {"name": "b"}},
}  # fmt: skip

paths = st.sampled_from(
    ["jwt_claims.sub", "jwt_claims.aud", "jwt_claims.exp", "jwt_claims.flag", "jwt_claims.empty", "jwt_claims.none",
     "jwt_claims.half", "jwt_claims.absent", "jwt_claims.absent.deeper", "jwt_claims.aud.0", "jwt_claims.aud.7",
     'jwt_claims["kubernetes.io"].namespace', 'jwt_claims["kubernetes.io"]', '"/jwt_claims/kubernetes.io/namespace"',
     "jwt_claims", "claims.sub", "jwt_claims.sub.x"]
)  # fmt: skip
values = st.sampled_from(
    ["`s:a:b`", '"s:a:b"', "`x`", "x", "a", "`a`", "123", "123.0", "1.5", "true", "`1`", "``", "`s`"]
)
patterns = st.sampled_from(["`^s:a:b$`", "`a`", "`^a`", "`[a-c]$`", "`s:.:b`", "`(`", "`x|a`"])
comparisons = st.one_of(
    st.builds("{} {} {}".format, paths, st.sampled_from(["==", "!=", "contains", "not contains"]), values),
    st.builds("{} {} {}".format, paths, st.sampled_from(["matches", "not matches"]), patterns),
    st.builds("{} {}".format, paths, st.sampled_from(["is empty", "is not empty"])),
    st.builds("{} {} {}".format, values, st.sampled_from(["in", "not in"]), paths),
)
statements = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds("({})".format, inner),
        st.builds("not {}".format, inner),
        st.builds("({}) {} ({})".format, inner, st.sampled_from(["and", "or"]), inner),
        st.builds("{} {} {}".format, inner, st.sampled_from(["and", "or"]), inner),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def library() -> Iterator[Conditions]:
    made = Conditions()
    yield made
    made.close()


@settings(deadline=None, max_examples=400)
@given(statement=statements)
def test_statements_are_read_and_judged_as_by_the_library(library: Conditions, statement: str) -> None:
    try:
        theirs = library.holds(statement, CLAIMS)
    except ValueError:
        theirs = False
    try:
        ours = admits(statement, CLAIMS)
    except ValueError:
        # Not judged here, which is allowed only where the library lets nobody in.
        ours = False
    assert ours is theirs


@pytest.mark.parametrize(
    "statement",
    ["", "x", "jwt_claims.sub", "jwt_claims.sub = `x`", "jwt_claims.sub == ", "jwt_claims.sub == `x",
     "(jwt_claims.sub == x",
     "jwt_claims.sub == x)", "jwt_claims.sub in [`a`]", "jwt_claims.sub == s:a", "jwt_claims.sub == 1x", "and",
     "jwt_claims.sub == x and", "jwt_claims[ == x", "jwt_claims.sub  x", "not", "jwt_claims.sub is",
     "x in", "`x` in `y`"],
)  # fmt: skip
def test_what_the_library_refuses_is_refused(library: Conditions, statement: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        library.holds(statement, CLAIMS)
    with pytest.raises(ValueError, match=r"\w"):
        parse(statement)
