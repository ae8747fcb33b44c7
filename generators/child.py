"""A child process that ends when we do, and whose log is kept when it dies."""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from types import MappingProxyType
from typing import IO, cast

GRACE = 15.0  # seconds between asking a child to end and killing it
DYING = 5.0  # seconds between the end of its output and its own
TAIL = 15  # lines of its log that an error shows


@dataclass(frozen=True)
class Child:
    """A running child; what it prints as errors goes to `log`."""

    process: subprocess.Popen[bytes]
    stdin: IO[bytes]
    stdout: BufferedReader
    log: Path


def start(command: Sequence[str], name: str, environment: Mapping[str, str] = MappingProxyType({})) -> Child:
    """Start `command` in a process group of its own: Ctrl-C reaches us alone, and `stop` reaches its children too.

    It has our environment, and what `environment` adds.
    """
    handle, log = tempfile.mkstemp(prefix=f"gristmill-{name}-", suffix=".log")
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=handle,
        start_new_session=True,
        env={**os.environ, **environment},
    )
    os.close(handle)
    if process.stdin is None or process.stdout is None:  # cannot be: both were asked for
        raise RuntimeError("a child without pipes")
    return Child(process, process.stdin, cast("BufferedReader", process.stdout), Path(log))


def stop(child: Child) -> None:
    """End `child` and its children, after `GRACE` seconds by force, and remove its log; call it once."""
    for pipe in (child.stdin, child.stdout):
        with contextlib.suppress(BrokenPipeError):  # what a dead child was not sent doesn't matter now
            pipe.close()
    child.process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.process.wait(GRACE)
    with contextlib.suppress(ProcessLookupError):  # the usual case: nobody is left in the group
        os.killpg(child.process.pid, signal.SIGKILL)
    child.process.wait()
    child.log.unlink(missing_ok=True)


def obituary(child: Child) -> str:
    """Say how a child that has closed its output ended, with the end of its log; that is kept, and its place told."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.process.wait(DYING)
    status = child.process.poll()
    how = "it hangs" if status is None else f"exit status {status}" if status >= 0 else signal.Signals(-status).name
    kept = child.log.rename(child.log.with_suffix(".died.log"))  # out of the way of `stop`
    lines = kept.read_text(errors="backslashreplace").splitlines()[-TAIL:]
    return "\n".join([f"({how}). Its log is {kept}, and ends:", *(f"  {line}" for line in lines)])
