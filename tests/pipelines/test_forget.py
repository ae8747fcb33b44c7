"""Rows that are forgotten: out of every table, the ledger, the reports and all runs to come, and nothing else is."""

import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from pipelines.forget import PENDING, forget
from pipelines.forget_plan import Selection, plan
from pipelines.in_use import alone
from pipelines.opened import opened as opened_run
from pipelines.progress import lines
from pipelines.recipe import Recipe
from pipelines.review.verdicts import Said, VerdictFile, file_of, now, read_verdicts
from pipelines.store import opened, read_table
from schemas.errors import GristmillError
from schemas.tables import SAMPLES

ROWS = 24
RECIPE = """
name = "sums"
{sources}
[[filters]]
use = "filters.duplicates:exact"
[generate]
engine = "recorded"
samples = 2
[engines.recorded]
use = "generators.replay:recorded"
path = "{folder}/recorded.jsonl"
systems = ["s", "t"]
[[judges]]
use = "judges.math:final_answer"
[select]
use = "pipelines.select:best_and_worst"
held_out = 0.3
"""
WORD = "Zanzibar"


def mill(*words: str) -> str:
    command = [sys.executable, "-m", "pipelines", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a recipe on two files, of which one row of each is Ann's; gives the folder with recipe, data and `runs`."""
    folder = tmp_path_factory.mktemp("forget")
    recorded = []
    for name in ("ours", "theirs"):
        rows = []
        for at in range(ROWS):
            word = WORD if name == "theirs" else "apples"
            question = f"What is {at} plus {at} {word} of {name}?"
            row: dict[str, Any] = {"instruction": question, "output": f"{2 * at}", "reference": f"{2 * at}"}
            rows.append(row | {"meta": {"user": "ann" if at == 5 else "bob"}})
            said = {"s": {"solution": f"A: {2 * at} {word}"}, "t": {"solution": f"A: {2 * at + 1} {word}"}}
            recorded.append({"question": question, **said})
        lines = [*map(orjson.dumps, rows), f'{{"instruction": "{word}'.encode()]
        (folder / f"{name}.jsonl").write_bytes(b"\n".join(lines))
    (folder / "recorded.jsonl").write_bytes(b"\n".join(map(orjson.dumps, recorded)))
    sources = "".join(f'[[sources]]\npath = "{folder}/{name}.jsonl"\n' for name in ("ours", "theirs"))
    (folder / "sums.toml").write_text(RECIPE.format(folder=folder, sources=sources))
    mill("run", str(folder / "sums.toml"), "--out", str(folder / "runs"))
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """Give a copy of the runs, the recipe reading the same files."""
    shutil.copytree(made / "runs", tmp_path / "runs", symlinks=True)
    shutil.copy(made / "sums.toml", tmp_path)
    return tmp_path


def run(folder: Path) -> dict[str, Any]:
    summary: dict[str, Any] = orjson.loads(
        mill("run", str(folder / "sums.toml"), "--out", str(folder / "runs"), "--json")
    )
    return summary


def texts(folder: Path) -> str:
    """Give everything that is kept under `runs`, the recipe aside, as one text."""
    found = [pl.read_parquet(file).to_dicts() for file in sorted((folder / "runs").rglob("*.parquet"))]
    files = [*(folder / "runs").rglob("*.html"), *(folder / "runs").rglob("*.md"), *(folder / "runs").rglob("*.json*")]
    ledger = sqlite3.connect(folder / "runs" / "ledger.sqlite")
    answers = ledger.execute("SELECT request, reply FROM answers").fetchall()
    ledger.close()
    raw = (folder / "runs" / "ledger.sqlite").read_bytes().decode("utf-8", "replace")
    return str(found) + "".join(file.read_text() for file in files) + str(answers) + raw


def ids(folder: Path, table: str) -> set[str]:
    return set(pl.read_parquet(folder / "runs" / "sums" / "latest" / table / "**" / "*.parquet")["id"])


THEIRS = Selection(sources=("theirs",))


def test_a_dry_run_changes_nothing_and_says_which_datasets_it_was_in(folder: Path) -> None:
    before = {file: file.read_bytes() for file in (folder / "runs").rglob("*.parquet")}
    told = mill("forget", "--source", "theirs", "--out", str(folder / "runs"))
    assert f"{ROWS} samples and 1 quarantined records would be forgotten" in told
    assert f"{ROWS} rows of sft" in told
    assert "Nothing was changed" in told
    assert {file: file.read_bytes() for file in (folder / "runs").rglob("*.parquet")} == before
    assert not (folder / "runs" / "forgotten.json").exists()


def test_nothing_of_it_is_left_and_nothing_else_is_lost(folder: Path) -> None:
    kept, sft, pairs = (ids(folder, name) for name in ("kept", "sft", "preferences"))
    ours = set(pl.read_parquet(folder / "runs" / "sums" / "latest" / "kept" / "*.parquet").filter(source="ours")["id"])
    assert WORD in texts(folder)
    told = forget(folder / "runs", THEIRS, print)
    assert WORD not in texts(folder)
    assert ids(folder, "kept") == kept & ours
    for name, before in (("sft", sft), ("preferences", pairs)):
        assert len(ids(folder, name)) == len(before) // 2
        assert ids(folder, name) < before
    assert len(next(iter(told["keys"].values()))) == 2 * ROWS
    ledger = sqlite3.connect(folder / "runs" / "ledger.sqlite")
    assert ledger.execute("SELECT count(*) FROM answers").fetchone() == (2 * ROWS,)
    ledger.close()


def test_every_manifest_is_true_of_its_files_afterwards(folder: Path) -> None:
    forget(folder / "runs", THEIRS, print)
    for manifest in (folder / "runs" / "sums" / "stages").glob("ingest-*/manifest.json"):
        assert read_table(opened(manifest.parent, reused=True), "samples", SAMPLES).height == ROWS
    told = orjson.loads(mill("check", str(folder / "runs" / "sums" / "latest"), "--json"))
    assert told["errors"] == 0


def test_the_next_run_never_sees_it_and_asks_nothing_again(folder: Path) -> None:
    forget(folder / "runs", THEIRS, print)
    summary = run(folder)
    assert (summary["rows"]["read"], summary["rows"]["kept"]) == (ROWS + 1, ROWS)
    assert summary["requests"]["asked"] == 0
    assert {file["samples"] for file in summary["files"]} == {0, ROWS}
    assert WORD not in texts(folder)


def test_an_author_goes_wherever_the_files_name_them(folder: Path) -> None:
    forget(folder / "runs", Selection(authors=("user=ann",)), print)
    assert "What is 5 plus 5" not in texts(folder)
    assert len(ids(folder, "kept")) == 2 * ROWS - 2
    assert "ann" not in (folder / "runs" / "forgotten-log.jsonl").read_text()
    assert run(folder)["rows"]["kept"] == 2 * ROWS - 2


def test_a_row_goes_by_the_beginning_of_its_id_and_the_list_holds_no_text(folder: Path) -> None:
    row = pl.read_parquet(folder / "runs" / "sums" / "latest" / "kept" / "*.parquet").row(3, named=True)
    forget(folder / "runs", Selection(rows=(row["id"][:12],)), print)
    assert row["prompt"][0]["content"] not in texts(folder)
    assert len(ids(folder, "kept")) == 2 * ROWS - 1
    assert row["id"] not in run(folder)["folder"]
    assert row["id"] not in ids(folder, "kept")


def test_the_list_tells_no_hash_that_a_row_could_be_found_by(folder: Path) -> None:
    bad = pl.read_parquet(folder / "runs" / "sums" / "stages" / "ingest-*" / "quarantined" / "*.parquet")
    forget(folder / "runs", THEIRS, print)
    told = (folder / "runs" / "forgotten.json").read_text()
    assert bad.filter(source="theirs").height == 1
    assert not [known for known in bad["hash"] if known in told]


def test_a_list_of_an_earlier_version_is_not_passed_over(folder: Path) -> None:
    list_ = folder / "runs" / "forgotten.json"
    list_.write_text('{"salt": "s", "rows": [], "raw": ["ab12"], "clean": []}')
    with pytest.raises(GristmillError, match="names 1 quarantined record"):
        forget(folder / "runs", THEIRS, print)


def test_a_run_that_held_none_of_it_finds_its_stages_again(folder: Path, made: Path) -> None:
    other = folder / "other.toml"
    other.write_text(
        (made / "sums.toml").read_text().replace('"sums"', '"other"').replace("theirs.jsonl", "ours.jsonl")
    )
    arguments = ("run", str(other), "--out", str(folder / "runs"), "--json")
    before = orjson.loads(mill(*arguments))
    forget(folder / "runs", THEIRS, print)
    assert orjson.loads(mill(*arguments))["stages"] == before["stages"]


@pytest.mark.slow
def test_nothing_is_forgotten_while_a_run_is_going_on_and_a_run_waits_meanwhile(folder: Path) -> None:
    out = folder / "runs"
    before = {file: file.read_bytes() for file in out.rglob("*.parquet")}
    quiet = lines(lambda _line: None)
    with opened_run(Recipe.read(folder / "sums.toml"), out, quiet), pytest.raises(GristmillError, match="is in use"):
        forget(out, THEIRS, print)
    assert {file: file.read_bytes() for file in out.rglob("*.parquet")} == before
    with alone(out):
        command = [sys.executable, "-m", "pipelines", "run", str(folder / "sums.toml"), "--out", str(out)]
        waiting = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(timeout=8)
    assert waiting.wait() == 0


def test_what_people_said_of_it_goes_too_and_nothing_else_they_said(folder: Path) -> None:
    table = pl.read_parquet(folder / "runs" / "sums" / "latest" / "candidates" / "*.parquet")
    own = ids(folder, "kept") & set(
        pl.read_parquet(folder / "runs" / "sums" / "latest" / "kept" / "*.parquet").filter(source="ours")["id"]
    )
    file = file_of(folder / "runs" / "sums" / "latest")
    said: list[Said] = [
        {
            "deck": "replies",
            "ids": [row["id"]],
            "sample_id": row["sample_id"],
            "person": "ann",
            "verdict": "pass",
            "note": f"quoting {row['text']}",
            "first": None,
            "at": now(),
            "run": "v",
            "order": "drawn",
        }
        for row in table.iter_rows(named=True)
    ]
    VerdictFile(file).add(*said)
    assert WORD in file.read_text()
    forget(folder / "runs", THEIRS, print)
    assert WORD not in file.read_text()
    assert {one["sample_id"] for one in read_verdicts(file).history} == own
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_kill_at_any_moment_is_mended_by_running_it_again(folder: Path, tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    shutil.copytree(folder / "runs", clean / "runs", symlinks=True)
    forget(clean / "runs", THEIRS, print)
    command = [sys.executable, "-m", "pipelines", "forget", "--source", "theirs", "--yes"]
    begun = 0
    for at in range(6):
        work = tmp_path / f"{at}"
        shutil.copytree(folder / "runs", work / "runs", symlinks=True)
        process = subprocess.Popen(
            [*command, "--out", str(work / "runs")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        pending = work / "runs" / PENDING
        while process.poll() is None and not pending.exists():
            pass
        try:
            process.wait(at * 0.03)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        begun += pending.exists()
        if pending.exists():
            subprocess.run([*command, "--out", str(work / "runs")], check=True, capture_output=True)
        assert WORD not in texts(work)
        assert tables(work) == tables(clean)
    assert begun > 0


def tables(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Give every table's rows, and which files each manifest names with which hash."""
    found = {
        str(file.relative_to(folder)): pl.read_parquet(file).to_dicts()
        for file in sorted((folder / "runs").rglob("*.parquet"))
    }
    for manifest in sorted((folder / "runs").rglob("manifest.json")):
        found[str(manifest.relative_to(folder))] = [orjson.loads(manifest.read_bytes())["files"]]
    return found


def test_what_names_nothing_is_said_and_changes_nothing(folder: Path) -> None:
    with pytest.raises(GristmillError, match="nothing in"):
        plan(folder / "runs", Selection(sources=("nobody",)))
    with pytest.raises(GristmillError, match="forget what"):
        plan(folder / "runs", Selection())
    with pytest.raises(GristmillError, match="column and value"):
        plan(folder / "runs", Selection(authors=("ann",)))
