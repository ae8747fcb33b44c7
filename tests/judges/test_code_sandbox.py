"""Code under test reaches no file, network, process or endless work of this machine, or is not run."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from judges import sandbox
from judges.code import passes
from schemas.errors import SandboxError
from tests.judges.coding import TEST, sandboxed, verdict


@sandboxed
def test_files_of_the_machine_are_out_of_reach(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("found")
    assert verdict(f"def read(): return open({str(secret)!r}).read()", "assert read() == 'found'").score == 0.0
    left = tmp_path / "left"
    assert verdict(f"def add(a, b):\n    open({str(left)!r}, 'w').write('x')\n    return a + b").score == 0.0
    assert not left.exists()
    for path in ("/etc/passwd", str(Path(__file__)), "/root/.bashrc", "/sys/kernel"):
        reads = f"import os\ndef read():\n    return os.path.isdir({path!r}) or len(open({path!r}).read()) > 0"
        assert verdict(reads, "assert read()").score == 0.0


@sandboxed
@pytest.mark.parametrize("folder", ["/", "/usr", "/jail/judges/jail", "/dev", "/dev/" + "shm", "/proc/sys/kernel"])
def test_nothing_but_its_own_folder_can_be_written(folder: str) -> None:
    writes = f"def add(a, b):\n    open({folder + '/left'!r}, 'w').write('x')\n    return a + b"
    assert verdict(writes).score == 0.0


@sandboxed
@pytest.mark.parametrize(
    "switch", ["sys/kernel/core_pattern", "sys/kernel/hostname", "sysrq-trigger", "1/oom_score_adj"]
)
def test_no_switch_of_the_kernel_can_be_opened(switch: str) -> None:
    opens = f"def add(a, b):\n    open({'/proc/' + switch!r}, 'a').close()\n    return a + b"
    assert verdict(opens).score == 0.0


@sandboxed
def test_a_scratch_file_can_be_written_up_to_the_limit() -> None:
    code = "def write(n):\n    open('/tmp/x', 'wb').write(b'x' * n)\n    return n"
    assert verdict(code, f"assert write({1 << 20}) == {1 << 20}", files=4).score == 1.0
    many = (
        "def write(n):\n    for i in range(n):\n        open(f'/tmp/{i}', 'wb').write(b'x' * (1 << 20))\n    return n"
    )
    assert verdict(many, "assert write(20) == 20", files=4).score == 0.0


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@sandboxed
def test_there_is_no_network_not_even_this_machine(listener: int) -> None:
    socket.create_connection(("127.0.0.1", listener), 5).close()
    code = (
        "import socket\ndef dial():\n"
        f"    socket.create_connection(('127.0.0.1', {listener}), 2).close()\n    return 'through'"
    )
    assert verdict(code, "assert dial() == 'through'").score == 0.0


@sandboxed
def test_the_environment_is_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "found")
    assert verdict("import os\ndef read(): return os.environ['SECRET_TOKEN']", "assert read() == 'found'").score == 0.0
    of_all = "import glob\ndef read(): return b''.join(open(p, 'rb').read() for p in glob.glob('/proc/*/environ'))"
    assert verdict(of_all, "assert b'PYTHONPATH' in read()").score == 1.0
    assert verdict(of_all, "assert b'SECRET_TOKEN' in read()").score == 0.0


@sandboxed
@pytest.mark.parametrize(
    "start",
    [
        "os.fork()",
        "os.posix_spawn('/usr/bin/true', ['true'], {})",
        "__import__('subprocess').run(['/usr/bin/true'])",
        "__import__('multiprocessing').Process(target=print).start()",
        "os.system('true') == 0 or 1 / 0",
        "ctypes.CDLL(None).syscall(56, 17, 0, 0, 0, 0) >= 0 or 1 / 0",
        "ctypes.CDLL(None).syscall(435, 0, 88) >= 0 or 1 / 0",
        "[None for _ in iter(os.fork, -1)]",
        "ctypes.CDLL(None).unshare(0x10000000) == 0 or 1 / 0",
        "ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0 or 1 / 0",
        "os.kill(-1, 9)",
    ],
)
def test_no_process_can_be_started_or_touched(start: str) -> None:
    assert verdict(f"import ctypes, os\ndef add(a, b):\n    {start}\n    return a + b").score in {0.0, None}


@sandboxed
def test_no_other_process_can_be_seen() -> None:
    code = "import os\ndef seen(): return sorted(int(n) for n in os.listdir('/proc') if n.isdigit())"
    assert verdict(code, "assert max(seen()) < 10 and len(seen()) <= 2").score == 1.0


@sandboxed
@pytest.mark.parametrize("reply", ["x = bytearray(1 << 31)", "def add(a, b):\n    return len([0] * (1 << 29))"])
def test_memory_that_runs_out_is_an_error_and_no_verdict(reply: str) -> None:
    found = verdict(reply, memory=256)
    assert (found.score, found.status) == (None, "error")


@sandboxed
@pytest.mark.parametrize(
    "reply",
    [
        "while True: pass",
        "def add(a, b):\n    while True: print('x' * 1_000_000)",
        "def add(a, b):\n    import time; time.sleep(99)",
        (
            "import signal, time\nfor n in range(1, 32):\n"
            "    try: signal.signal(n, signal.SIG_IGN)\n    except OSError: pass\ntime.sleep(99)"
        ),
    ],
)
def test_time_that_runs_out_is_no_verdict(reply: str) -> None:
    found = verdict(reply, seconds=1.0)
    assert (found.score, found.status) == (None, "timeout")


@sandboxed
@pytest.mark.parametrize(
    "reply",
    [
        "import threading\ndef add(a, b):\n    while True: threading.Thread(target=threading.Event().wait).start()",
        "def add(a, b):\n    return 'x' * (1 << 25)",
        "def add(a, b):\n    x = []\n    for _ in range(100_000): x = [x]\n    return x",
        "import os\nwhile True: os.write(2, b'x' * 65536)",
    ],
)
def test_endless_threads_output_and_depth_do_no_harm(reply: str) -> None:
    assert verdict(reply, seconds=3.0).score in {0.0, None}


def test_without_bubblewrap_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    sandbox.missing.cache_clear()
    try:
        with pytest.raises(SandboxError, match=r"bwrap.*apt-get install bubblewrap"):
            passes(test=TEST)
    finally:
        monkeypatch.undo()
        sandbox.missing.cache_clear()


def test_without_user_namespaces_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    sandbox.missing.cache_clear()
    try:
        with pytest.raises(SandboxError, match=r"user namespaces are off.*max_user_namespaces"):
            passes(test=TEST)
    finally:
        monkeypatch.undo()
        sandbox.missing.cache_clear()
