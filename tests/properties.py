"""How property tests are run: so many examples, many more under ``make soak``; how long one takes is no property."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

Test = TypeVar("Test", bound=Callable[..., object])

_TIMES = 50 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 1


def examples(number: int) -> Callable[[Test], Test]:
    """Stands above ``@given``."""
    chosen = settings(max_examples=number * _TIMES, deadline=None, suppress_health_check=[HealthCheck.too_slow])

    def decorate(test: Test) -> Test:
        marked: Test = pytest.mark.property(chosen(test))
        return marked

    return decorate
