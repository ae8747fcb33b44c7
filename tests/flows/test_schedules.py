"""`./mill serve` for real: its own server, ticks, the event that trains, a person's answer, a killed process."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from benchmarks.schedules import (
    ROOT,
    environment_of,
    free_port,
    process_of,
    run_of,
    runs,
    started,
    until,
    write_recipe,
    write_rows,
)

pytestmark = pytest.mark.slow


HEARD: list[dict[str, Any]] = []


class Ear(BaseHTTPRequestHandler):
    """Hears what is posted."""

    def do_POST(self) -> None:
        """Keep it."""
        HEARD.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - likewise
        """Say nothing."""


@pytest.fixture(scope="module")
def ear() -> Iterator[str]:
    """A web hook that hears what runs tell."""
    server = HTTPServer(("127.0.0.1", 0), Ear)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    write_rows(folder, 10, 22)
    write_rows(folder / "other", 50, 70)
    write_recipe(folder, "sums")
    write_recipe(folder / "other", "slow", 0.5)
    return folder


@pytest.fixture(scope="module")
def told(place: Path) -> dict[str, str]:
    return environment_of(place, free_port())


@pytest.fixture(scope="module")
def client(place: Path, told: dict[str, str], ear: str) -> Iterator[Any]:
    """A client of the server that `./mill serve` has started, which ticks every 45 s."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

    port = told["PREFECT_API_URL"].split(":")[-1].removesuffix("/api")
    served = {name: value for name, value in told.items() if name != "PREFECT_API_URL"}
    command = [str(ROOT / "mill"), "serve", str(place / "sums.toml"), str(place / "other" / "slow.toml")]
    command += ["--to", f"{place}/published/", "--out", str(place / "runs"), "--every", "45", "--lease", "gpu=1"]
    command += ["--notify", "custom-webhook/ear", "--port", port, "--limit", "3"]
    url, home = told["PREFECT_API_URL"], Path(told["PREFECT_HOME"])
    with (
        temporary_settings({PREFECT_API_URL: url, PREFECT_HOME: home}),
        started(command, place / "serve.log", served),
        get_client(sync_client=True) as known,
    ):
        until(lambda: known.api_healthcheck() is None, "the server answers")
        until(lambda: runs(known, "nightly"), "the deployments' first runs")
        slow = known.read_deployment_by_name("nightly/slow")
        known.pause_deployment(slow.id)  # it is run by hand below
        listen(ear)
        yield known


def listen(ear: str) -> None:
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    block: Any = CustomWebhookNotificationBlock.model_validate(
        {"name": "ear", "url": ear, "json_data": {"told": "{{body}}"}}
    )
    block.save("ear", overwrite=True)


def test_a_tick_publishes_and_its_event_starts_fine_tuning_on_just_that_run(client: Any, place: Path) -> None:
    night = until(lambda: runs(client, "nightly", "Completed"), "the tick's run")[0]
    assert night.auto_scheduled
    trained = until(lambda: runs(client, "finetune", "Completed"), "the run that the event starts")[0]
    version = orjson.loads((place / "published" / "sums" / "versions.json").read_bytes())["versions"]["v1.0"]
    assert Path(trained.parameters["run"]).name == version["run"]
    latest = place / "runs" / "sums" / "latest"
    assert (latest / "checkpoint" / "model.safetensors").is_file()
    assert orjson.loads((latest / "summary.json").read_bytes())["stages"]["train 0"]
    known = {one.key: one for one in client.read_artifacts()}
    assert {"report-sums", "page-sums", "gate", "published"} <= set(known)
    assert "0 error(s)" in known["gate"].data


def test_a_later_tick_publishes_the_new_rows_alone(client: Any, place: Path) -> None:
    until(lambda: runs(client, "nightly", "NothingNew"), "a tick that finds nothing new")
    write_rows(place, 18, 26)  # 18 to 21 were published
    versions = place / "published" / "sums"
    until((versions / "v1.1" / "data").is_dir, "the next version")
    asked = pl.read_parquet(versions / "v1.1" / "data" / "sft" / "**" / "*.parquet")["prompt"].list.first()
    assert sorted(asked.struct.field("content")) == [f"What is {at} + {at}?" for at in range(22, 26)]


@pytest.mark.parametrize(("says", "ends", "lost"), [("--why=read it", "Completed", False), ("--no", "Cancelled", True)])
def test_a_run_that_asks_waits_for_a_persons_answer_even_where_its_question_was_lost(
    client: Any, told: dict[str, str], says: str, ends: str, *, lost: bool
) -> None:
    run = run_of(client, "publish/sums", ask=True)
    until(lambda: client.read_flow_run(run.id).state_name == "Suspended", "it waits")
    until(lambda: process_of(run) is None, "nothing runs meanwhile")
    if lost:  # as where the server's database is busy when the run has just been suspended
        schema = client.read_flow_run(run.id).state.state_details.run_input_keyset["schema"]
        client.delete_flow_run_input(run.id, schema)
    mill = [str(ROOT / "mill"), "approve"]
    assert str(run.id) in subprocess.run(mill, check=True, env=told, capture_output=True, text=True).stdout
    command = [*mill, str(run.id), "--who", "Ada", says]
    subprocess.run(command, check=True, env=told)
    until(lambda: client.read_flow_run(run.id).state_name == ends, f"it ends as {ends}")


def test_a_run_whose_process_was_killed_goes_on_where_it_was(client: Any, place: Path) -> None:
    run = run_of(client, "build/slow")
    pid = until(lambda: process_of(run), "its process")
    until(lambda: client.read_global_concurrency_limit_by_name("gpu").active_slots == 1, "it holds the device")
    until(lambda: answers(place) >= 10, "some answers")
    os.kill(pid, signal.SIGKILL)
    until(lambda: client.read_flow_run(run.id).state_name == "Completed", "the same run completes")
    assert client.read_flow_run(run.id).run_count == 2
    requests = orjson.loads((place / "runs" / "slow" / "latest" / "summary.json").read_bytes())["requests"]
    assert requests["from_ledger"] >= 10
    assert requests["asked"] + requests["from_ledger"] == 40


def answers(place: Path) -> int:
    """How many answers the ledger has to what `slow` asks."""
    import sqlite3

    with sqlite3.connect(place / "runs" / "ledger.sqlite") as known:
        rows = known.execute("SELECT count(*) FROM uses WHERE recipe = 'slow'").fetchone()
    return int(rows[0])


def test_a_saved_notification_block_is_told_how_runs_ended(client: Any) -> None:
    run = run_of(client, "publish/sums", run="nothing-of-that-name")
    until(lambda: client.read_flow_run(run.id).state_name == "Failed", "it fails")
    until(lambda: [one for one in HEARD if "publish" in one["told"] and "Failed" in one["told"]], "it is told", 30)
