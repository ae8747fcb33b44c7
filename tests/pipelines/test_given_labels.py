"""What the data says of its own replies comes out again: KTO's labels, each reply alone with its prompt."""

from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from pipelines.progress import Progress
from pipelines.recipe import Recipe
from pipelines.run import build

QUIET = Progress(lambda _text: None, lambda _work, _done, _total: None)
RECIPE = """
name = "given"
[[sources]]
path = "{folder}/rows.jsonl"
columns = {{ prompt = "ask", reply = "said", label = "ok" }}
[benchmarks.known]
path = "{folder}/known.jsonl"
[[filters]]
use = "filters.contamination:ngrams"
"""
JUDGED = '[[judges]]\nuse = "judges.labels:given"\n'
KNOWN = "what is the sum of all the whole numbers from one up to the number one hundred"
ROWS: list[dict[str, Any]] = [
    {"ask": "Name a colour.", "said": "Red.", "ok": True},
    {"ask": "Name a river.", "said": "A stone.", "ok": False},
    {"ask": "Name a task.", "said": f"Certainly: {KNOWN}?", "ok": False},
]


@pytest.mark.parametrize("judges", ["", JUDGED])
def test_a_reply_labelled_bad_is_so_in_the_unpaired_rows_and_nowhere_learned(tmp_path: Path, judges: str) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(map(orjson.dumps, ROWS)))
    (tmp_path / "known.jsonl").write_bytes(orjson.dumps({"question": KNOWN, "answer": "#### 5050"}))
    (tmp_path / "given.toml").write_text(RECIPE.format(folder=tmp_path) + judges)
    folder = Path(build(Recipe.read(tmp_path / "given.toml"), tmp_path / "runs", QUIET)["folder"])
    assert said(folder, "unpaired") == {"Red.": True, "A stone.": False}
    assert said(folder, "sft").keys() == {"Red."}
    leaked = pl.read_parquet(folder / "leaked" / "*.parquet")
    assert leaked.select("text", "picked").rows() == [(f"Certainly: {KNOWN}?", ["bad"])]


def said(folder: Path, table: str) -> dict[str, bool | None]:
    rows = pl.read_parquet(folder / table / "*.parquet")
    label = rows["label"] if "label" in rows.columns else pl.Series([None] * rows.height)
    return dict(zip(rows["completion"].list.first().struct.field("content"), label, strict=True))
