"""What a command costs: CPU seconds of its process with all its children, and its peak of memory."""

import os
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple


class Cost(NamedTuple):
    """CPU seconds (user and system), the peak in MiB of any child so far, and what was printed."""

    seconds: float
    peak: int
    said: str


def surroundings(more: Mapping[str, str]) -> dict[str, str]:
    """Give this process's environment with `more`, and compiled modules kept, as they are from a user's second run."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | dict(more)


def cost(command: Sequence[str], folder: Path | str = ".", more: Mapping[str, str] = MappingProxyType({})) -> Cost:
    """Run a command in `folder` to its end, with `more` in its environment; ends this process where it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(  # noqa: S603 - our own arguments
        command, cwd=folder, env=surroundings(more), check=False, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(spent, after.ru_maxrss // 1024, done.stdout)
