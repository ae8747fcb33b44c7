"""The recipes on public data, from their sources to the report."""

import os
from pathlib import Path

import polars as pl
import pytest

from pipelines.progress import lines
from pipelines.recipe import Recipe
from pipelines.run import build

DATA = Path(os.environ.get("GRISTMILL_DATA", "../shared/data"))
ROOT = Path(__file__).parent.parent.parent
MEASURED = """
name = "measured"
[[sources]]
path = "{folder}/rows.jsonl"
[[filters]]
use = "filters.echo:verbatim"
[[filters]]
use = "filters.duplicates:exact"
"""


@pytest.mark.skipif(not DATA.is_dir(), reason="the folder of real data is not there: set GRISTMILL_DATA")
@pytest.mark.parametrize(("name", "pairs"), [("alpaca", 0), ("gsm8k-replay", 1)])
def test_a_recipe_on_public_data_runs_to_its_report(
    name: str, pairs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRISTMILL_DATA", str(DATA.resolve()))
    monkeypatch.chdir(ROOT)
    summary = build(Recipe.read(f"recipes/{name}.toml"), tmp_path, lines(lambda _line: None), limit=300)
    assert summary["rows"]["read"] == 300
    assert summary["rows"]["kept"] > 200
    assert min(summary["rows"]["preferences"], 1) == pairs
    folder = tmp_path / name / "first-300" / "latest"
    assert all(rule["rule"] in (folder / "report.html").read_text() for rule in summary["rules"])


def test_a_rule_without_bounds_is_told_and_drops_nothing(tmp_path: Path) -> None:
    rows = [f'{{"instruction": "Name a bird of {at % 40} grams.", "output": "A finch."}}\n' for at in range(50)]
    (tmp_path / "rows.jsonl").write_text("".join(rows))
    (tmp_path / "measured.toml").write_text(MEASURED.format(folder=tmp_path))
    build(Recipe.read(tmp_path / "measured.toml"), tmp_path / "runs", lines(lambda _line: None))
    folder = tmp_path / "runs" / "measured" / "latest"
    assert "filters.echo:verbatim" in (folder / "report.html").read_text()
    assert set(pl.read_parquet(folder / "dropped" / "*.parquet")["rule"]) == {"filters.duplicates:exact"}
