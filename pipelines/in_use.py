"""Who uses a folder of runs: many runs and readers at once, or a single command that takes rows out of all of them.

A lock is the system's own on an open file: a killed process holds none.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

from schemas.errors import GristmillError

LOCK = ".in-use"


@contextmanager
def in_use(out: Path) -> Iterator[None]:
    """Hold the folder of runs, beside others; waits until nobody has it `alone`."""
    with _locked(out / LOCK, fcntl.LOCK_SH):
        yield


@contextmanager
def reading(run: Path) -> Iterator[None]:
    """Hold the folder of runs that the folder `run` lies in, as `in_use` does; a run that was moved lies in none."""
    homes = [one for one in run.resolve().parents if (one / LOCK).is_file()]
    with in_use(homes[0]) if homes else nullcontext():
        yield


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Hold the folder of runs without others. Raises `GristmillError` where a run is going on or a page is served."""
    with ExitStack() as held:
        try:
            held.enter_context(_locked(out / LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise GristmillError(
                f"{out} is in use: a run is going on, a dataset is being published, or a review page or a worker is "
                "served from it. What it holds would be written again: wait until it has ended, and call this again"
            ) from error
        yield


@contextmanager
def making(store: Path, name: str) -> Iterator[None]:
    """Be the one that makes an output of a store; waits while another process makes it."""
    locks = store / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    with _locked(locks / name, fcntl.LOCK_EX):
        yield


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(file, how)
        yield
    finally:
        os.close(file)
