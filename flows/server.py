"""A Prefect server of our own where none is named: a child process, SQLite or what the environment's URL says."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from schemas.errors import GristmillError

STARTS_WITHIN = 180.0  # seconds; on a busy machine with a new database it takes more than one


@contextmanager
def server(port: int) -> Iterator[str]:
    """Give the URL of a Prefect API: the one that is configured, or that of a server started here and ended after.

    Raises `GristmillError` where the port is taken, or the server does not answer.
    """
    from prefect.settings import get_current_settings

    configured = get_current_settings().api.url
    if configured:
        yield configured
        return
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise GristmillError(
                f"port {port} is taken. Where a Prefect server is there, export PREFECT_API_URL="
                f"http://127.0.0.1:{port}/api; else name another --port"
            )
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
        try:
            _wait(child, f"http://127.0.0.1:{port}/api/health")
            yield f"http://127.0.0.1:{port}/api"
        finally:
            child.terminate()


def _wait(child: "subprocess.Popen[bytes]", health: str) -> None:
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until:
        if child.poll() is not None:
            raise GristmillError(f"the Prefect server ended with status {child.returncode}; its words are above")
        try:
            with urllib.request.urlopen(health, timeout=5):  # noqa: S310 - our own address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)  # it is still starting
    raise GristmillError(f"the Prefect server does not answer after {STARTS_WITHIN:g} s")
