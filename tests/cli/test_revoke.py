"""`apostille revoke`, where the API server still asks a webhook that was set aside."""

from __future__ import annotations

import pytest

from api_double import ApiDouble
from apostille.cli.revoke import ASIDE_SECONDS, suspend
from apostille.kube.client import BINDINGS, ApiError
from jumping_loop import in_no_time

PATH = BINDINGS.path("s3-reader", namespace="payments")
IN_VAIN = ApiError(
    500, "InternalError",
    'Internal error occurred: failed calling webhook "kinds.apostille.dev": Post "https://x": connection refused',
)  # fmt: skip


def api(*answers: ApiError) -> ApiDouble:
    """Gives these answers to the first changes, then takes them."""
    made, left = ApiDouble(), list(answers)
    made.put(PATH, metadata={"name": "s3-reader"}, spec={})

    def fail(verb: str, path: str) -> None:
        if verb == "MERGE" and left:
            raise left.pop(0)

    made.fail = fail
    return made


@in_no_time
async def test_what_is_asked_in_vain_is_asked_again() -> None:
    there = api(IN_VAIN, IN_VAIN, IN_VAIN)

    await suspend(there, PATH, patience=ASIDE_SECONDS)  # type: ignore[arg-type]

    assert there.objects[PATH]["spec"] == {"suspended": True}
    assert there.requests.count(("MERGE", PATH)) == 4


@in_no_time
async def test_not_for_ever_and_not_where_nothing_was_set_aside() -> None:
    for patience, asked in ((1.0, 6), (0.0, 1)):
        there = api(*[IN_VAIN] * 100)
        with pytest.raises(ApiError, match="failed calling webhook"):
            await suspend(there, PATH, patience=patience)  # type: ignore[arg-type]
        assert there.requests.count(("MERGE", PATH)) == asked


@pytest.mark.parametrize("answer", [
    ApiError(403, "Forbidden", "no"),
    ApiError(500, "InternalError", 'failed calling webhook "else.example"'),
])  # fmt: skip
@in_no_time
async def test_every_other_answer_is_final(answer: ApiError) -> None:
    there = api(answer)

    with pytest.raises(ApiError) as raised:
        await suspend(there, PATH, patience=ASIDE_SECONDS)  # type: ignore[arg-type]

    assert raised.value is answer
    assert there.requests.count(("MERGE", PATH)) == 1
