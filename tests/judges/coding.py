"""A function to be written, its tests, and the verdict on a reply; skipped where there is no sandbox."""

from typing import Any

import pytest

from judges import sandbox
from judges.code import passes
from schemas.tables import Sample
from schemas.verdicts import Verdict

sandboxed = pytest.mark.skipif(sandbox.missing() is not None, reason=f"needs the sandbox: {sandbox.missing()}")
TEST = "assert add(1, 2) == 3\nassert add(-1, 1) == 0"
RIGHT = "def add(a, b):\n    return a + b\n"


def sample(prompt: str = "") -> Sample:
    return {
        "id": "1",
        "prompt": [{"role": "user", "content": prompt}] if prompt else [],
        "reply": None,
        "reference": None,
        "check": None,
        "replies": None,
    }


def verdict(reply: str, test: str = TEST, **limits: Any) -> Verdict:
    return passes(test=test, **limits).verify(reply, sample())
