"""The server as a stranger meets it: by another name, from another site, without the token."""

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

Serve = Callable[..., Any]


def judged(served: Any, count: int, person: str = "anna") -> list[str]:
    """Judge the first so many pairs; gives their keys."""
    keys = []
    for _ in range(count):
        key = served.get("next", deck="pairs", person=person)["item"]["key"]
        assert served.post("verdict", deck="pairs", key=key, person=person, verdict="first").status_code == 200
        keys.append(key)
    return keys


def test_nothing_is_answered_without_the_token_or_to_another_name_or_site(serve: Serve) -> None:
    served = serve()
    good = {"x-review-token": served.token, "content-type": "application/json"}
    body = b'{"deck": "pairs"}'
    wrong = f"{served.origin}/{'x' * len(served.token)}/"
    refused = [
        httpx.get(served.origin + "/"),
        httpx.get(wrong),
        httpx.get(f"{wrong}api/state"),
        httpx.get(f"{served.address}api/state", headers={"host": "evil.example"}),
        httpx.get(f"{served.address}api/state", headers={"host": "127.0.0.1:1"}),
        httpx.get(f"{served.address}api/state", headers={"origin": "http://evil.example"}),
        httpx.get(f"{served.origin}/{served.token}x/"),
        httpx.get(f"{served.origin}//{served.token}/"),
        httpx.get(f"{served.origin}/%C3%A9/"),
        httpx.post(f"{served.address}api/verdict", content=body, headers={"content-type": "application/json"}),
        httpx.post(f"{served.address}api/verdict", content=body, headers=good | {"x-review-token": "no"}),
        httpx.post(f"{served.address}api/verdict", content=body, headers=good | {"content-type": "text/plain"}),
        httpx.post(f"{served.address}api/verdict", content=body, headers=good | {"origin": "http://localhost:1"}),
        httpx.post(f"{served.address}api/undo", content=body, headers=good | {"origin": "null"}),
    ]
    assert [answer.status_code for answer in refused] == [403] * len(refused)
    assert not served.file.exists()
    assert httpx.get(f"{served.address}api/state").status_code == 200


def test_every_answer_forbids_scripts_of_others_and_no_other_site_may_read_it(serve: Serve) -> None:
    served = serve()
    for path in ("", "review.js", "review.css", "api/state", "nothing", "../"):
        headers = httpx.get(served.address + path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert not [name for name in headers if name.startswith("access-control")]


def test_it_listens_on_this_machine_alone(serve: Serve) -> None:
    port = int(serve().origin.rpartition(":")[2])
    own = {told[4][0] for told in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
    for address in own | {"127.0.0.2"}:  # 127.0.0.2 is answered by what listens on all addresses
        with socket.socket() as caller, pytest.raises(OSError, match="refused"):
            caller.connect((address, port))


@pytest.mark.parametrize(
    "body",
    [
        b"no JSON",
        b"[1]",
        b'{"deck": "pairs", "key": "a.b", "person": "anna", "verdict": "first"}',
        b'{"deck": "none", "key": "a.b", "person": "anna", "verdict": "first"}',
        b'{"deck": "pairs", "key": "a.b", "person": "  ", "verdict": "first"}',
        b'{"deck": "pairs", "key": "a.b", "person": "a\\nb", "verdict": "first"}',
        b'{"deck": "pairs", "key": 1, "person": "anna", "verdict": "first"}',
        b'{"deck": "pairs", "key": "\\ud800", "person": "anna", "verdict": "first"}',
        b'{"note": "' + b"x" * 70_000 + b'"}',
    ],
)
def test_what_the_page_never_sends_is_refused_and_told(serve: Serve, body: bytes) -> None:
    served = serve()
    headers = {"x-review-token": served.token, "content-type": "application/json"}
    answer = httpx.post(f"{served.address}api/verdict", content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert not served.file.exists()


def test_a_verdict_that_does_not_fit_is_refused(serve: Serve) -> None:
    served = serve()
    key = served.get("next", deck="pairs", person="anna")["item"]["key"]
    for verdict in ("a", "b", "pass", "", "maybe"):
        assert served.post("verdict", deck="pairs", key=key, person="anna", verdict=verdict).status_code == 400
    assert not served.file.exists()


def test_a_killed_server_has_lost_no_verdict_that_was_called_saved(serve: Serve) -> None:
    served = serve()
    keys = judged(served, 5)
    served.process.send_signal(signal.SIGKILL)
    served.process.wait()
    assert [".".join(line["ids"]) for line in served.lines()] == keys
    with served.file.open("ab") as file:
        file.write(b'{"deck": "pairs", "ids": ["half')  # a line that was never called saved
    again = serve()
    assert again.get("state", person="anna")["own"]["pairs"] == 5
    keys += judged(again, 1)
    assert [".".join(line["ids"]) for line in again.lines()] == keys


def test_two_servers_write_into_one_file_and_see_each_others_verdicts(serve: Serve) -> None:
    one, other = serve("--as", "anna"), serve("--as", "ben")
    first = judged(one, 3) + judged(one, 2)
    second = judged(other, 5, person="whoever is told")
    assert [line["person"] for line in one.lines()] == ["anna"] * 5 + ["ben"] * 5
    assert first == second  # all read the same things in the same order, so that they can be held against each other
    assert one.get("state")["agreement"]["pairs"]["by_several"] == 5
    third = serve("--as", "carla")
    assert judged(third, 1) != first[:1]  # two have read those


@pytest.mark.parametrize("background", [False, True])  # where a shell has interrupts ignored
def test_an_interrupt_ends_the_server_without_a_traceback(folder: Path, *, background: bool) -> None:
    command = [sys.executable, "-m", "pipelines", "review", "judged", "--out", str(folder / "runs")]
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    if background:
        command = [sys.executable, "-c", ignoring, *command]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == ""
        assert process.wait() == 130  # as any command that is interrupted


def test_a_port_that_is_taken_is_told(serve: Serve, folder: Path) -> None:
    port = serve().origin.rpartition(":")[2]
    command = [sys.executable, "-m", "pipelines", "review", "judged", "--out", str(folder / "runs"), "--port", port]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "another by --port" in done.stderr
