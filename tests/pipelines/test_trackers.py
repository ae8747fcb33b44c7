"""What a training job tells an experiment tracker; the trackers' packages are extras, and tested where they are."""

import importlib.util
import sqlite3
from pathlib import Path

import polars as pl
import pytest

from pipelines import trackers
from pipelines.store import Stored, write_table
from pipelines.train import train
from pipelines.training import Training
from schemas.errors import TrainingError
from schemas.tables import SFT

PROMPT = [{"role": "user", "content": "What is 2 + 3?", "tool_calls": None}]
REPLY = [{"role": "assistant", "content": "5", "tool_calls": None}]


def data(folder: Path) -> Stored:
    rows = [dict.fromkeys(SFT) | {"id": f"{at}", "prompt": PROMPT, "completion": REPLY} for at in range(8)]
    if not (folder / "sft").exists():
        write_table(folder, "sft", pl.DataFrame(rows, schema=SFT), SFT)
    return Stored(folder, {"sft": len(rows), "held_out": {}}, reused=False, seconds=0.0)


def trained(folder: Path, tiny: str, tracker: trackers.Tracker | None) -> Stored:
    section = Training(method="sft", learning_rate=1e-4, batch_size=4, epochs=5, max_length=64, tracker=tracker)
    return train(
        folder / "store",
        data(folder / "data"),
        section,
        base=tiny,
        revision="tiny",
        seed=0,
        progress=lambda _done, _of: None,
        recipe={"recipe": "sums", "recipe_sha256": "ab12"},
    )


def test_a_tracker_that_is_not_installed_is_told_with_the_command_that_installs_it(
    tmp_path: Path, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda _name: None)
    with pytest.raises(TrainingError, match=r"pip install -c constraints\.txt wandb"):
        trained(tmp_path, tiny, "wandb")
    assert not (tmp_path / "store").exists()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("trackio") is None, reason="trackio is not installed (an extra)")
def test_trackio_is_told_recipe_and_data_and_the_same_job_without_a_tracker_is_not_run_again(
    tmp_path: Path, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    made = trained(tmp_path, tiny, "trackio")
    with sqlite3.connect(tmp_path / "trackio" / "sums.db") as known:
        runs = known.execute("SELECT run_name, config FROM configs").fetchall()
        logged = known.execute("SELECT metrics FROM metrics").fetchall()
    assert len(runs) == 1
    assert runs[0][0] == "sums sft data"
    assert '"gristmill/recipe_sha256":"ab12"' in str(runs[0][1]).replace(" ", "")
    assert any("train/loss" in str(row[0]) for row in logged)
    assert trained(tmp_path, tiny, None) == Stored(made.folder, made.facts, reused=True, seconds=made.seconds)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="mlflow is not installed (an extra)")
def test_mlflow_is_told_recipe_and_data(tmp_path: Path, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{file}")
    trained(tmp_path, tiny, "mlflow")
    with sqlite3.connect(file) as known:
        told = dict(known.execute("SELECT key, value FROM tags").fetchall())
        logged = {name for (name,) in known.execute("SELECT DISTINCT key FROM metrics")}
    assert told["mlflow.runName"] == "sums sft data"
    assert told["gristmill.recipe"] == "sums"
    assert told["gristmill.data"] == "data"
    assert "loss" in logged
