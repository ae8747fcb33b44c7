"""Schedules and triggers for real: a server, a worker, a schedule's tick, an event that trains, a kill.

`python -m benchmarks.schedules [--keep SECONDS]` deploys `prefect.yaml` to its own Prefect server, has a worker run
`nightly` on a schedule, waits for the fine-tuning that the event of its publication starts, then ends the worker and
its run with SIGKILL in the middle of a generation and waits for what becomes of it. Prints how long each took. With
`--keep` the server stays up so long, to look at its pages.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import orjson

from generators.replay import recorded
from schemas.engines import Engine, Reply, Request

ROOT = Path(__file__).resolve().parent.parent
Found = TypeVar("Found")
QUIET = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "NO_COLOR": "1"}
RECIPE = """
name = "{name}"
[[sources]]
path = "{folder}/rows"
license = "Apache-2.0"
[[filters]]
use = "filters.duplicates:exact"
[[filters]]
use = "filters.duplicates:near"
[generate]
engine = "told"
samples = 2
[engines.told]
use = "benchmarks.schedules:of_model"
model = "models/tiny"
path = "{folder}/recorded.jsonl"
systems = ["s", "t"]
seconds = {seconds}
[[judges]]
use = "judges.math:final_answer"
[[train]]
method = "sft"
learning_rate = 1e-4
batch_size = 8
max_length = 64
"""


class Slowly:
    """Recorded answers, each after some seconds; as if `model` had given them, which is the one to train."""

    devices = ""  # it holds none

    def __init__(self, engine: Any, seconds: float) -> None:
        self._engine, self._seconds = engine, seconds
        self.model, self.revision = engine.model, engine.revision

    def __call__(self, requests: Iterable[Request], /) -> Iterator[Reply]:
        """Answer one after the other."""
        for request in requests:
            time.sleep(self._seconds)
            yield from self._engine([request])

    def close(self) -> None:
        """Do nothing: there is no device to free."""


def of_model(*, path: str, systems: Sequence[str], model: str = "", seconds: float = 0.0) -> Engine:
    """Give the answers recorded at `path`, each after `seconds`; the trainer reads `model` in the recipe."""
    del model
    return Slowly(recorded(path=path, systems=list(systems)), seconds)


def write_rows(folder: Path, first: int, last: int) -> None:
    """Write a file of source rows, and what is told to any of them."""
    (folder / "rows").mkdir(parents=True, exist_ok=True)
    tasks = [(f"What is {at} + {at}?", str(2 * at)) for at in range(first, last)]
    rows = [{"instruction": asked, "output": told, "reference": told} for asked, told in tasks]
    (folder / "rows" / f"{first}.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    with (folder / "recorded.jsonl").open("ab") as file:
        for asked, told in tasks:
            line = {"question": asked, "s": {"solution": told}, "t": {"solution": "1"}}
            file.write(orjson.dumps(line) + b"\n")


def write_recipe(folder: Path, name: str, seconds: float = 0.0) -> Path:
    """Write a recipe of that name for the rows in `folder`."""
    file = folder / f"{name}.toml"
    file.write_text(RECIPE.format(name=name, folder=folder, seconds=seconds))
    return file


def free_port() -> int:
    """Give a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(command: Sequence[str], log: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Give a process of our own that is ended after, its output in `log`."""
    with (
        log.open("ab") as out,
        subprocess.Popen(  # noqa: S603 - our own command
            command, stdout=out, stderr=subprocess.STDOUT, env=environment, cwd=ROOT
        ) as child,
    ):
        try:
            yield child
        finally:
            if child.poll() is None:
                child.terminate()
                with suppress(subprocess.TimeoutExpired):
                    child.wait(20)
                child.kill()  # a worker that was asked to end may wait for what will not come


def environment_of(folder: Path, port: int) -> dict[str, str]:
    """Give the environment of a Prefect of our own, all its files in `folder`."""
    url = {"PREFECT_HOME": str(folder / "prefect"), "PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    known = os.environ.get("PYTHONPATH")
    paths = {"PYTHONPATH": f"{ROOT}{os.pathsep}{known}" if known else str(ROOT), "OMP_NUM_THREADS": "1"}
    return {**os.environ, **QUIET, **url, **paths, "GRISTMILL_ROOT": str(ROOT)}


def until(ask: Callable[[], Found | None], what: str, within: float = 240.0) -> Found:
    """Give what `ask` finds once it finds something; raises `TimeoutError` naming it."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        found = ask()
        if found:
            return found
        time.sleep(0.5)
    raise TimeoutError(f"not within {within:g} s: {what}")


def process_of(run: Any) -> int | None:
    """Give the process id of a flow run on this machine, null where none runs it."""
    wanted = f"PREFECT__FLOW_RUN_ID={run.id}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found = wanted in (folder / "environ").read_bytes().split(b"\0")
        except OSError:  # it ended, or is another user's
            continue
        if found:
            return int(folder.name)
    return None


def runs(client: Any, flow: str, state: str | None = None) -> list[Any]:
    """Give the runs of a flow, the newest last, those whose state has that name where one is given."""
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName
    from prefect.client.schemas.sorting import FlowRunSort

    only = FlowFilter(name=FlowFilterName(any_=[flow]))
    found = client.read_flow_runs(flow_filter=only, sort=FlowRunSort.START_TIME_ASC)
    return [one for one in found if state is None or one.state_name == state]


def run_of(client: Any, deployment: str, **parameters: Any) -> Any:
    """Start a run of a deployment and give it."""
    known = client.read_deployment_by_name(deployment)
    return client.create_flow_run_from_deployment(known.id, parameters=parameters)


def main() -> None:
    """Show it all, and print what took how long."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--keep", type=float, default=0.0, help="seconds that the server stays up at the end")
    keep = options.parse_args().keep
    with tempfile.TemporaryDirectory() as place:
        folder, port = Path(place), free_port()
        told = environment_of(folder, port)
        os.environ.update(told)  # for the client below
        prefect = [sys.executable, "-m", "prefect"]
        serve = [*prefect, "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        with started(serve, folder / "server.log", told):
            show(folder, prefect, told)
            print(f"http://127.0.0.1:{port}, for {keep:g} s", flush=True)
            time.sleep(keep)


def show(folder: Path, prefect: list[str], told: dict[str, str]) -> None:
    """Deploy, tick, train, kill and continue."""
    from prefect.client.orchestration import get_client

    write_rows(folder, 10, 40)
    write_rows(folder / "other", 50, 80)
    recipe, slow = write_recipe(folder, "demo"), write_recipe(folder / "other", "slow", 1.0)
    out, to = str(folder / "runs"), f"{folder}/published/"
    worker = [*prefect, "worker", "start", "--pool", "gpu", "--type", "process"]

    def command(*arguments: str) -> None:
        subprocess.run(arguments, check=True, env=told, cwd=ROOT, stdout=subprocess.DEVNULL)  # noqa: S603 - our own

    with get_client(sync_client=True) as client:
        until(lambda: client.api_healthcheck() is None, "the server answers")
        for pool in ("cpu", "gpu"):
            command(*prefect, "work-pool", "create", pool, "--type", "process")
        command(str(ROOT / "mill"), "watch", "--lease", "gpu=1")
        command(*prefect, "--no-prompt", "deploy", "--all")
        print("prefect.yaml deployed; pools cpu and gpu; ./mill watch --lease gpu=1")
        with started(worker, folder / "worker.log", told) as first:
            tick = scheduled(client, {"recipe": str(recipe), "to": to, "out": out, "lease": "gpu"})
            until(lambda: runs(client, "nightly", "Completed"), "the schedule's run")
            trained = until(lambda: runs(client, "finetune"), "the run that the event starts")[0]
            done = until(lambda: runs(client, "finetune", "Completed"), "the fine-tuning")[0]
            print(
                f"tick, published, event, fine-tuned {Path(trained.parameters['run']).name}: {after(tick, done):.0f} s"
            )
            print(f"  of which from publication to the start of fine-tuning: {gap(client, done):.0f} s")
            victim = run_of(client, "build/demo", recipe=str(slow), out=out, lease="gpu")
            pid = until(lambda: process_of(victim), "the process of the run")
            known = asked(folder)
            until(lambda: asked(folder) >= known + KILLED_AFTER, "some answers")
            first.kill()
            os.kill(pid, signal.SIGKILL)
            before, killed = asked(folder) - known, time.monotonic()
        print(f"SIGKILL to the worker and to its run, {before} of its answers in the ledger")
        until(lambda: client.read_flow_run(victim.id).state_name != "Running", "the dead run is found", 400)
        print(f"  found dead after {time.monotonic() - killed:.0f} s (90 s after its last heartbeat)")
        with started(worker, folder / "worker2.log", told):
            until(lambda: runs(client, "build", "Completed"), "the run goes on", 400)
        summary = orjson.loads((folder / "runs" / "slow" / "latest" / "summary.json").read_bytes())
        again = client.read_flow_run(victim.id)
        asks, took = summary["requests"], time.monotonic() - killed
        print(f"  the same run, started {again.run_count} times, completed {took:.0f} s after the kill")
        print(f"  of its {asks['asked'] + asks['from_ledger']} answers {asks['from_ledger']} were there already")


KILLED_AFTER = 20  # answers, of 60


def scheduled(client: Any, parameters: dict[str, Any]) -> Any:
    """Give `nightly/demo` these parameters and a schedule whose next tick is near; gives when that is."""
    from datetime import UTC, datetime, timedelta

    from prefect.client.schemas.actions import DeploymentUpdate
    from prefect.client.schemas.schedules import IntervalSchedule

    at = datetime.now(UTC) + timedelta(seconds=15)
    soon = IntervalSchedule(interval=timedelta(days=1), anchor_date=at)
    known = client.read_deployment_by_name("nightly/demo")
    client.update_deployment(known.id, DeploymentUpdate(parameters=parameters))
    client.create_deployment_schedules(known.id, [(soon, True)])
    return at


def asked(folder: Path) -> int:
    """Give how many answers the ledger of the runs holds."""
    import sqlite3

    file = folder / "runs" / "ledger.sqlite"
    with sqlite3.connect(file) as known:
        return int(known.execute("SELECT count(*) FROM answers").fetchone()[0])


def after(moment: Any, run: Any) -> float:
    """Give the seconds from a moment to the end of a run."""
    return float((run.end_time - moment).total_seconds())


def gap(client: Any, trained: Any) -> float:
    """Give the seconds from the end of the night's run to the start of the fine-tuning."""
    night = runs(client, "nightly", "Completed")[0]
    return float((trained.start_time - night.end_time).total_seconds())


if __name__ == "__main__":
    main()
