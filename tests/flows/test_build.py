"""The flow on a real Prefect server (its own temporary one), with recorded answers in the place of a model."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

os.environ["DO_NOT_TRACK"] = "1"
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"

RECIPE = """
name = "flowing-sums"
[[sources]]
path = "{folder}/rows.jsonl"
[generate]
engine = "recorded"
samples = 2
[engines.recorded]
use = "generators.replay:recorded"
path = "{folder}/recorded.jsonl"
systems = ["s", "t"]
[[judges]]
use = "judges.math:final_answer"
"""


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=180):
        yield


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flow")
    rows = [
        {"instruction": f"What is {at} + {at}?", "output": f"{2 * at}", "reference": f"{2 * at}"} for at in range(9)
    ]
    said = [
        {"question": row["instruction"], "s": {"solution": row["reference"]}, "t": {"solution": "1"}} for row in rows
    ]
    (folder / "rows.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    (folder / "recorded.jsonl").write_bytes(b"\n".join(map(orjson.dumps, said)))
    file = folder / "recipe.toml"
    file.write_text(RECIPE.format(folder=folder))
    return file


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_the_flow_runs_a_stage_a_task_and_leaves_the_report_as_an_artifact(recipe: Path, tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client

    from flows.build import build

    state: Any = build(str(recipe), str(tmp_path / "runs"), return_state=True)
    assert state.is_completed()
    folder = Path(state.result())
    assert (folder / "preferences").is_dir()
    with get_client(sync_client=True) as client:
        tasks = {run.name for run in client.read_task_runs()}
        artifacts = {artifact.key: artifact for artifact in client.read_artifacts()}
    assert {"ingest", "curate", "generate", "score", "select"} <= tasks
    assert artifacts["report-flowing-sums"].data == (folder / "report.md").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_a_recipe_with_faults_fails_the_flow_with_all_of_them(tmp_path: Path) -> None:
    from flows.build import build

    bad = tmp_path / "bad.toml"
    bad.write_text('name = "x"\nsede = 1\n')
    state: Any = build(str(bad), str(tmp_path), return_state=True)
    assert state.is_failed()
    assert "did you mean 'seed'" in str(state.message)


def test_each_deployment_names_a_flow_and_parameters_that_it_takes() -> None:
    import inspect
    from pkgutil import resolve_name

    from prefect.schedules import Cron

    told = yaml.safe_load(Path("prefect.yaml").read_text())
    assert told["deployments"]
    for deployment in told["deployments"]:
        file, name = deployment["entrypoint"].split(":")
        takes = inspect.signature(resolve_name(f"{file.removesuffix('.py').replace('/', '.')}:{name}").fn).parameters
        assert set(deployment["parameters"]) <= set(takes)
        assert {one for trigger in deployment.get("triggers", ()) for one in trigger["parameters"]} <= set(takes)
        assert Path(deployment["parameters"].get("recipe", "recipes/demo.toml")).is_file()
        for schedule in deployment.get("schedules", ()):
            assert Cron(schedule["cron"], timezone=schedule["timezone"]).cron
