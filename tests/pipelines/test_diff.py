"""Two versions held against each other: what was added, removed and moved, and why."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from pipelines.diff import compare
from pipelines.diff_page import page_of
from pipelines.finished import run_named
from pipelines.page import html
from pipelines.plain import plain
from schemas.errors import GristmillError

ROWS = 40
RECIPE = """
name = "sums"
[[sources]]
path = "{folder}/rows.jsonl"
license = "MIT"
[[filters]]
use = "filters.length:characters"
part = "prompt"
maximum = {maximum}
[generate]
engine = "recorded"
samples = 2
keep_reply = false
[engines.recorded]
use = "generators.replay:recorded"
path = "{folder}/recorded.jsonl"
systems = ["s", "t"]
[[judges]]
use = "judges.math:final_answer"
[select]
use = "pipelines.select:best_and_worst"
held_out = 0.3
replies = {replies}
"""


def mill(*words: str) -> str:
    command = [sys.executable, "-m", "pipelines", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Run a recipe twice, the second time with another bound and another selection; gives `out` and both folders."""
    folder = tmp_path_factory.mktemp("diff")
    rows, recorded = [], []
    for at in range(ROWS):
        question, right = f"What is {at} plus {at}?", 2 * at
        rows.append({"instruction": question, "output": "", "reference": f"{right}"})
        said = {"s": {"solution": f"A: {right}"}, "t": {"solution": f"So A: {right + (at % 2)}"}}
        recorded.append({"question": question, **said})
    for name, made in (("rows", rows), ("recorded", recorded)):
        (folder / f"{name}.jsonl").write_bytes(b"\n".join(map(orjson.dumps, made)))
    found = []
    for maximum, replies in ((100, 2), (17, 1)):
        recipe = folder / "sums.toml"
        recipe.write_text(RECIPE.format(folder=folder, maximum=maximum, replies=replies))
        mill("run", str(recipe), "--out", str(folder / "runs"))
        found.append((folder / "runs" / "sums" / "latest").resolve())
    return folder / "runs", found[0], found[1]


def told_of(runs: tuple[Path, Path, Path]) -> dict[str, Any]:
    out, a, b = runs
    return compare(str(a), str(b), out)


def test_what_moved_is_told_with_the_rule_and_the_value(runs: tuple[Path, Path, Path]) -> None:
    told = told_of(runs)
    [moved] = told["samples"]
    assert (moved["was"], moved["is"], moved["rows"]) == ("kept", "filters.length:characters", 30)
    assert moved["examples"][0]["why"].startswith("is dropped: 19.0 is above the maximum of 17.0")
    settings = {one["setting"]: (one["was"], one["is"]) for one in told["settings"]}
    assert settings == {"filters[filters.length:characters].maximum": ("100", "17"), "select.replies": ("2", "1")}


def test_every_row_is_in_both_added_or_removed_and_each_has_a_reason(runs: tuple[Path, Path, Path]) -> None:
    _out, a, b = runs
    for one in told_of(runs)["datasets"]:
        ids = [set(pl.read_parquet(side / one["dataset"] / "**" / "*.parquet")["id"]) for side in (a, b)]
        assert one["same"] == len(ids[0] & ids[1])
        assert (one["added"], one["removed"]) == (len(ids[1] - ids[0]), len(ids[0] - ids[1]))
        assert sum(why["rows"] for why in one["why_removed"]) == one["removed"]
    sft = next(one for one in told_of(runs)["datasets"] if one["dataset"] == "sft")
    assert {one["why"]: one["rows"] for one in sft["why_removed"]} == {
        "its sample is dropped there by filters.length:characters": 45,
        "others of its sample's candidates are picked": 5,
    }


def test_a_diff_the_other_way_around_swaps_added_and_removed(runs: tuple[Path, Path, Path]) -> None:
    out, a, b = runs
    back = {one["dataset"]: (one["removed"], one["added"]) for one in compare(str(b), str(a), out)["datasets"]}
    assert back == {one["dataset"]: (one["added"], one["removed"]) for one in told_of(runs)["datasets"]}


def test_a_run_does_not_differ_from_itself(runs: tuple[Path, Path, Path]) -> None:
    out, a, _b = runs
    told = compare(str(a), str(a), out)
    assert (told["settings"], told["figures"], told["samples"]) == ([], [], [])
    assert all((one["added"], one["removed"], one["splits"]) == (0, 0, []) for one in told["datasets"])


def test_a_dataset_that_is_no_run_is_held_against_a_run_and_says_what_it_cannot_tell(
    runs: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    out, a, b = runs
    shutil.copytree(b / "sft", tmp_path / "data" / "sft")
    shutil.move(
        next((tmp_path / "data" / "sft" / "train").iterdir()), tmp_path / "data" / "sft" / "test" / "more.parquet"
    )
    [sft] = [one for one in compare(str(a), str(tmp_path), out)["datasets"] if one["dataset"] == "sft"]
    assert [one["why"] for one in sft["why_removed"]] == ["the other is no run: it does not tell why"]
    assert [(one["was"], one["is"]) for one in sft["splits"]] == [("train", "test")]


def test_the_second_runs_report_tells_what_changed_since_the_first(runs: tuple[Path, Path, Path]) -> None:
    _out, a, b = runs
    first, second = (orjson.loads((side / "summary.json").read_bytes())["changes"] for side in (a, b))
    assert first == {}
    assert second["version"] == a.name
    assert second["moved"] == [{"was": "kept", "is": "filters.length:characters", "samples": 30}]
    assert {one["setting"] for one in second["settings"]} == {
        "filters[filters.length:characters].maximum",
        "select.replies",
    }
    assert "no other to hold it against" in (a / "report.md").read_text()
    assert "| `kept` | `filters.length:characters` | 30 |" in (b / "report.md").read_text()


def test_no_text_of_a_version_becomes_markup(runs: tuple[Path, Path, Path]) -> None:
    told = orjson.loads(orjson.dumps(told_of(runs)).replace(b"filters.length", b"<script>x()</script>\xe2\x80\xae"))
    shown = html(page_of(told, runs[0], drawn=False))
    assert "<script" not in shown
    assert "&lt;script&gt;x()&lt;/script&gt;⟦U+202E⟧" in shown
    assert "\u202e" not in plain(page_of(told, runs[0], drawn=False))


def test_the_page_and_the_terminal_state_the_same_counts(runs: tuple[Path, Path, Path]) -> None:
    told = told_of(runs)
    text = plain(page_of(told, runs[0], drawn=False))
    shown = html(page_of(told, runs[0], drawn=True))
    for said in ("filters.length:characters", "30", "is dropped: 19.0 is above"):
        assert said in text
        assert said in shown
    assert "<svg" in shown


def test_a_beginning_that_two_runs_have_is_refused_and_the_known_are_named(runs: tuple[Path, Path, Path]) -> None:
    out, a, _b = runs
    assert run_named(f"sums/{a.name[:10]}", out) == a
    with pytest.raises(GristmillError, match="no finished run 'other'"):
        run_named("other", out)
    with pytest.raises(GristmillError, match="there are: sums/"):
        run_named("sums/zzz", out)
