"""The ledger: whoever opens it finds what was answered, and what cannot be opened or written is told."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sql

from generators.asking import ask
from generators.ledger import ANSWERS, Ledger, open_ledger
from schemas.engines import Reply, Request
from schemas.errors import EngineError, StoreError
from tests.generators.echo import Broken, Echo, request

ROOT = Path(__file__).parent.parent.parent


def test_the_ledger_is_found_by_another_process_and_by_one_of_another_recipe(where: str) -> None:
    first, other = open_ledger(where, recipe="one"), open_ledger(where, recipe="two")
    ask([request("a"), request("b")], Echo(), first)
    found = ask([request("b"), request("c")], Echo(), other)
    assert (found.from_ledger, found.asked) == (1, 1)
    first.close()
    other.close()


def test_answers_kept_before_uses_were_recorded_are_found(tmp_path: Path) -> None:
    old = sql.create_engine(f"sqlite:///{tmp_path}/ledger.db")
    row = {"model": "echo", "revision": "1", "request": "{}", "created": 1.0}
    with old.begin() as connection:
        ANSWERS.create(connection)
        connection.execute(sql.schema.DropIndex(next(iter(ANSWERS.indexes))))
        reply = f'{{"key": "{request("a").key}", "text": "old", "finish_reason": "stop"}}'
        connection.execute(ANSWERS.insert(), row | {"key": request("a").key, "reply": reply})
    old.dispose()
    ledger = open_ledger(tmp_path / "ledger.db")
    assert ask([request("a")], Echo(), ledger).replies[0].text == "old"
    ledger.close()


def test_a_ledger_that_can_no_longer_be_written_stops_the_run(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger.db")
    with ledger.engine.begin() as connection:
        connection.execute(sql.text("DROP TABLE uses"))
    with pytest.raises(StoreError, match=r"the ledger can't be written: .*no such table"):
        ask([request(str(number)) for number in range(50)], Echo(), ledger)
    ledger.close()


def test_what_was_answered_before_the_engine_died_is_kept(ledger: Ledger) -> None:
    def die(requests: list[Request]) -> Iterator[Reply]:
        yield from Echo()(requests[:3])
        raise EngineError("the machine is gone")

    requests = [request(str(number)) for number in range(5)]
    with pytest.raises(EngineError, match="the machine is gone"):
        ask(requests, Broken(how=die), ledger)
    asked = ask(requests, Echo(), ledger)
    assert (asked.asked, asked.from_ledger) == (2, 3)


def test_ten_thousand_answers_are_found_in_well_under_two_seconds(ledger: Ledger) -> None:
    requests = [request(str(number)) for number in range(10_000)]
    ask(requests, Echo(), ledger)
    start = time.process_time()
    assert ask(requests, Echo(), ledger).from_ledger == 10_000
    assert time.process_time() - start < 2


@pytest.mark.parametrize("place", ["nosuch://somewhere/ledger", "/dev/null/ledger.db"])
def test_a_ledger_that_cannot_be_opened_says_what_is_expected(place: str) -> None:
    with pytest.raises(StoreError, match="Expected is a file's path or a database URL"):
        open_ledger(place)


@pytest.mark.parametrize("url", ["mysql://somewhere/ledger", "oracle://somewhere/ledger"])
def test_a_database_of_another_kind_is_refused_with_a_reason(url: str) -> None:
    with pytest.raises(StoreError, match=r"pip install|expected is sqlite or postgresql"):
        open_ledger(url)


def test_a_missing_driver_is_named_with_the_command_that_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"pip install -c constraints.txt 'psycopg\[binary\]'"):
        open_ledger("postgresql+psycopg://nobody@/nothing")


FILLING = """
import sys, time
from generators.asking import ask
from generators.ledger import open_ledger
from schemas.engines import Reply, Request, Sampling

BURST, PAUSE = int(sys.argv[2]), float(sys.argv[3])

class Slow:
    model, revision = "echo", "1"
    def __call__(self, requests):
        for number, one in enumerate(requests):
            if number % BURST == 0:
                time.sleep(PAUSE)
                print(number, flush=True)  # so many were answered, and committed, before this one
            yield Reply(one.key, "text", "stop")
    def close(self): ...

requests = [Request([{"role": "user", "content": str(n)}], Sampling(), "echo", "1") for n in range(100_000)]
ask(requests, Slow(), open_ledger(sys.argv[1]))
"""


@pytest.mark.parametrize(("burst", "pause"), [(1, 0.01), (50, 0.5)])
def test_a_killed_process_loses_only_what_was_in_flight(tmp_path: Path, burst: int, pause: float) -> None:
    where = tmp_path / "ledger.db"
    command = [sys.executable, "-c", FILLING, str(where), str(burst), str(pause)]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": "."}, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == 100:
                break
        process.send_signal(signal.SIGKILL)
        answered = int((process.stdout.read().splitlines() or [b"100"])[-1])
    requests = [request(str(number)) for number in range(100_000)]
    kept = ask(requests[: answered + 2 * burst], Echo(), open_ledger(where)).from_ledger
    assert answered <= kept <= answered + burst
