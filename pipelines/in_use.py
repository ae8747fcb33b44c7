"""Who uses a folder of runs: many runs and readers at once, or a single command that takes rows out of all of them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import GristmillError

LOCK = ".in-use"


@contextmanager
def in_use(out: Path) -> Iterator[None]:
    """Hold the folder of runs, beside others; waits until nobody has it `alone`. A killed process holds nothing."""
    with _locked(out, fcntl.LOCK_SH):
        yield


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Hold the folder of runs without others. Raises `GristmillError` where a run is going on or a page is served."""
    with _locked(out, fcntl.LOCK_EX | fcntl.LOCK_NB):
        yield


@contextmanager
def _locked(out: Path, how: int) -> Iterator[None]:
    file = os.open(out / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(file, how)
        except BlockingIOError as error:
            raise GristmillError(
                f"{out} is in use: a run is going on, or a review page or a worker is served from it. What it holds "
                "would be written again: wait until it has ended, and call this again"
            ) from error
        yield
    finally:
        os.close(file)
