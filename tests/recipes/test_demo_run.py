"""The shipped demo recipe, run whole: real vLLM, real TRL. One run for all claims; it takes some minutes."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import orjson
import polars as pl
import pytest

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(1800)]

EXPECTED = {  # the rule that a planted fault is dropped by; wrong replies are the verifier's business
    "e-mail address": "filters.private:emails",
    "empty reply": "filters.length:characters",
    "exact duplicate": "filters.duplicates:exact",
    "key": "filters.private:secrets",
    "leaked held-out task": "filters.contamination:ngrams",
    "near duplicate": "filters.duplicates:near",
    "other language": "filters.language:probability",
    "overly long": "filters.length:words",
    "refusal": "filters.refusal:refusals",
    "repetition": "filters.repetition:repeated_ngrams",
    "truncated reply": "filters.truncation:unfinished",
}


@dataclass(frozen=True)
class Demo:
    """The finished run: its summary, its folder, and the command that made it."""

    summary: dict[str, Any]
    folder: Path
    command: list[str]

    def table(self, name: str) -> pl.DataFrame:
        """Read one of its tables."""
        return pl.read_parquet(self.folder / name / "**" / "*.parquet")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    out = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "pipelines", "run", "recipes/demo.toml", "--out", str(out), "--json"]
    done = subprocess.run(command, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    summary = orjson.loads(done.stdout)
    return Demo(summary, Path(summary["folder"]), command)


@pytest.fixture(scope="module")
def labels() -> pl.DataFrame:
    """The side file that the pipeline never reads."""
    rows = [orjson.loads(line) for line in Path("recipes/demo/labels.jsonl").read_bytes().splitlines()]
    return pl.DataFrame(rows).with_columns(file=pl.format("recipes/demo/{}", "file"))


def by_origin(table: pl.DataFrame) -> pl.DataFrame:
    return table.unnest("origin")


def test_every_planted_fault_is_dropped_by_the_rule_made_for_it(demo: Demo, labels: pl.DataFrame) -> None:
    dropped = by_origin(demo.table("dropped")).select("file", "row", "rule")
    found = labels.join(dropped, on=["file", "row"], how="inner")
    for fault, rule in EXPECTED.items():
        planted = labels.filter(pl.col("fault") == fault).height
        assert found.filter(pl.col("fault") == fault)["rule"].to_list() == [rule] * planted, fault
        assert planted > 0


def test_broken_lines_are_quarantined_and_no_clean_row_is_lost(demo: Demo, labels: pl.DataFrame) -> None:
    broken = labels.filter(pl.col("fault") == "broken line").select("file", "row")
    assert demo.table("quarantined").select("file", "row").sort("row").equals(broken.sort("row"))
    clean = by_origin(demo.table("dropped")).join(labels, on=["file", "row"], how="anti")
    assert clean.height == 0
    rows = demo.summary["rows"]
    assert rows["read"] == rows["quarantined"] + rows["dropped"] + rows["kept"]


def test_no_planted_wrong_reply_is_in_a_dataset_as_a_good_one(demo: Demo, labels: pl.DataFrame) -> None:
    kept = by_origin(demo.table("kept")).select("file", "row", sample_id="id", wrong="reply")
    wrong = labels.filter(pl.col("fault") == "wrong reply").join(kept, on=["file", "row"])
    assert wrong.height > 300
    for table, column in (("sft", "completion"), ("preferences", "chosen")):
        good = demo.table(table).select("sample_id", reply=pl.col(column).list.last().struct.field("content"))
        both = wrong.join(good, on="sample_id")
        assert both.height > 0
        assert both.filter(pl.col("wrong") == pl.col("reply")).height == 0


def test_no_held_out_task_is_in_a_dataset(demo: Demo) -> None:
    held_out = {
        orjson.loads(line)["messages"][0]["content"].lower()
        for line in Path("recipes/demo/held_out.jsonl").read_bytes().splitlines()
    }
    for table in ("sft", "preferences"):
        prompts = demo.table(table).select(pl.col("prompt").list.last().struct.field("content"))["content"]
        assert not held_out & set(prompts.str.to_lowercase())


def test_every_label_can_be_derived_again_from_the_verdicts(demo: Demo) -> None:
    scores = dict(demo.table("scores").select("candidate_id", "score").iter_rows())
    texts = dict(demo.table("candidates").select("id", "text").iter_rows())
    pairs = demo.table("preferences")
    for row in pairs.iter_rows(named=True):
        assert (scores[row["chosen_id"]], scores[row["rejected_id"]]) == (1.0, 0.0)
        assert texts[row["chosen_id"]] == row["chosen"][-1]["content"] != row["rejected"][-1]["content"]
        assert texts[row["rejected_id"]] == row["rejected"][-1]["content"]
    assert pairs.height == demo.summary["rows"]["preferences"] > 1000


def test_the_datasets_load_as_trl_reads_them(demo: Demo, tmp_path: Path) -> None:
    for table, columns in (("sft", {"prompt", "completion"}), ("preferences", {"prompt", "chosen", "rejected"})):
        data = datasets.load_dataset(str(demo.folder / table), split="train", cache_dir=str(tmp_path))
        assert columns <= set(data.column_names)
        assert len(data) == demo.summary["rows"][table]
        assert set(data[0]["prompt"][0]) == {"role", "content"}


def test_the_judge_agrees_with_the_verifier_in_three_of_four_pairs(demo: Demo) -> None:
    judge = demo.summary["judges"]["judges.pairwise:preference"]
    assert judge["verified_pairs"] > 500
    assert judge["agreement"] >= 0.75
    low, high = judge["interval"]
    assert low < judge["agreement"] < high


def test_fine_tuning_on_the_datasets_helps_by_twenty_points(demo: Demo) -> None:
    told = demo.summary["evaluation"]
    assert 0.5 <= told["before"]["pass@1"] <= 0.7
    assert told["after"]["pass@1"] - told["before"]["pass@1"] == pytest.approx(told["rise"]["pass@1"])
    assert told["rise"]["pass@1"] >= 0.2
    assert told["rise"]["interval"][0] > 0


def test_the_fine_tuned_checkpoint_loads_and_has_its_chat_template(demo: Demo) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = demo.folder / "checkpoint"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert tokenizer.chat_template == AutoTokenizer.from_pretrained("models/tiny").chat_template
    assert model.num_parameters() == AutoModelForCausalLM.from_pretrained("models/tiny").num_parameters()


def test_a_second_run_asks_no_model_and_gives_the_same_folder(demo: Demo) -> None:
    start = time.monotonic()
    again = orjson.loads(subprocess.run(demo.command, check=True, capture_output=True).stdout)
    assert again["requests"]["asked"] == 0
    assert again["requests"]["from_ledger"] == demo.summary["requests"]["asked"] > 20_000
    assert again["folder"] == str(demo.folder)
    assert again["evaluation"] == demo.summary["evaluation"]
    assert time.monotonic() - start < 120, "no engine and no trainer was started"


def test_the_report_is_there_and_needs_nothing_from_outside(demo: Demo) -> None:
    page = (demo.folder / "report.html").read_text()
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert "pass@1" in page
    assert (demo.folder / "report.md").stat().st_size > 1000
    assert (demo.folder.parent / "latest").resolve() == demo.folder.resolve()


@pytest.fixture
def small(tmp_path: Path) -> list[str]:
    """A cut of the demo that takes seconds once vLLM runs: fewer rows and samples, no training."""
    text = Path("recipes/demo.toml").read_text()
    head = text[: text.index("[evaluate]")].replace("samples = 8", "samples = 2")
    rows = Path("recipes/demo/sharegpt.jsonl").read_bytes().splitlines(keepends=True)[:400]
    (tmp_path / "few.jsonl").write_bytes(b"".join(rows))
    sources = head.index("\n[[sources]]") + 1, head.index("# Never trained on")
    recipe = head[: sources[0]] + f'[[sources]]\npath = "{tmp_path}/few.jsonl"\n\n' + head[sources[1] :]
    (tmp_path / "small.toml").write_text(recipe)
    return [sys.executable, "-m", "pipelines", "run", str(tmp_path / "small.toml"), "--json", "--out"]


def test_a_run_killed_while_vllm_answers_ends_with_the_bytes_of_an_undisturbed_one(
    small: list[str], tmp_path: Path
) -> None:
    from generators.ledger import ANSWERS, open_ledger

    process = subprocess.Popen([*small, str(tmp_path / "killed")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ledger = open_ledger(tmp_path / "killed" / "ledger.sqlite")

    def answered() -> int:
        with ledger.engine.connect() as connection:
            return len(connection.execute(ANSWERS.select()).fetchall())

    while answered() < 100:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    process.kill()
    process.wait()
    before = answered()
    again = orjson.loads(subprocess.run([*small, str(tmp_path / "killed")], check=True, capture_output=True).stdout)
    clean = orjson.loads(subprocess.run([*small, str(tmp_path / "clean")], check=True, capture_output=True).stdout)
    assert again["requests"]["from_ledger"] >= before >= 100
    assert again["requests"]["asked"] == clean["requests"]["asked"] - before
    for table in ("sft", "preferences", "candidates", "dropped"):
        files = [sorted((Path(run["folder"]) / table).glob("*.parquet")) for run in (again, clean)]
        assert [file.read_bytes() for file in files[0]] == [file.read_bytes() for file in files[1]], table


def test_a_model_folder_that_is_none_is_told_before_anything_is_started(small: list[str], tmp_path: Path) -> None:
    recipe = tmp_path / "small.toml"
    recipe.write_text(recipe.read_text().replace('model = "models/tiny"', f'model = "{tmp_path}"'))
    failed = subprocess.run([*small, str(tmp_path / "runs")], check=False, capture_output=True, text=True)
    assert failed.returncode == 2
    assert "config.json" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_missing_vllm_says_how_to_get_it(small: list[str], tmp_path: Path) -> None:
    environment = os.environ | {"GRISTMILL_VLLM_PYTHON": "/nowhere/python"}
    failed = subprocess.run(
        [*small, str(tmp_path / "runs")], check=False, capture_output=True, text=True, env=environment
    )
    assert failed.returncode == 2
    assert "make vllm" in failed.stderr
