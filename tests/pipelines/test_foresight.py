"""What a run will, may and does cost: whole runs with an engine that writes down what it is asked."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from benchmarks.kills import asked_in, contents
from generators.budget import read_budget
from pipelines.forecast import words
from pipelines.plan import plan
from pipelines.progress import Progress
from pipelines.recipe import Recipe
from pipelines.run import build
from schemas.errors import RecipeError

QUIET = Progress(lambda _text: None, lambda _work, _done, _total: None)
RECIPE = """
name = "killed"
seed = 3
[[sources]]
path = "{folder}/rows.jsonl"
[[filters]]
use = "filters.duplicates:exact"
[generate]
engine = "slow"
samples = {samples}
max_tokens = 50
[engines.slow]
use = "benchmarks.kills:slow"
log = "{folder}/log"
seconds = 0.0
price = {{ prompt = 100_000.0, reply = 1_000_000.0 }}
[[judges]]
use = "judges.math:final_answer"
"""
JUDGE = """
[[judges]]
use = "judges.pairwise:preference"
engine = "slow"
pairs = 2
"""


def rows(folder: Path, count: int) -> None:
    told = [{"instruction": f"What is {at} plus {7 * at} ?", "reference": f"{8 * at}"} for at in range(count)]
    (folder / "rows.jsonl").write_bytes(b"\n".join(map(orjson.dumps, told)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows(tmp_path, 200)
    return tmp_path


def recipe(folder: Path, *, samples: int = 2, more: str = "") -> Recipe:
    file = folder / "recipe.toml"
    file.write_text(RECIPE.format(folder=folder, samples=samples) + more)
    return Recipe.read(file)


def run(folder: Path, *, budget: str | None = None, out: str = "runs", **options: Any) -> dict[str, Any]:
    limit = options.pop("limit", None)
    allowed = read_budget([budget]) if budget else None
    return build(recipe(folder, **options), folder / out, QUIET, budget=allowed, limit=limit)


def newly_asked(folder: Path, work: Callable[[], object]) -> int:
    before = len(asked_in(folder, "log"))
    work()
    return len(asked_in(folder, "log")) - before


@pytest.fixture(autouse=True)
def _log(folder: Path) -> None:
    (folder / "log.log").symlink_to(folder / "log")  # where `asked_in` looks


def test_one_more_sample_a_prompt_asks_for_just_that_one(folder: Path) -> None:
    assert newly_asked(folder, lambda: run(folder, samples=2)) == 400
    assert newly_asked(folder, lambda: run(folder, samples=3)) == 200
    assert newly_asked(folder, lambda: run(folder, samples=2)) == 0


def test_a_hundredth_of_new_rows_costs_a_hundredth(folder: Path) -> None:
    first = run(folder)["requests"]["asked"]
    rows(folder, 202)
    assert newly_asked(folder, lambda: run(folder)) == first // 100


def test_candidates_stand_in_the_order_of_their_samples_and_numbers(folder: Path) -> None:
    latest = Path(run(folder)["folder"])
    kept = pl.read_parquet(latest / "kept" / "*.parquet")
    candidates = pl.read_parquet(latest / "candidates" / "*.parquet")
    assert candidates["sample_id"].to_list() == [row for row in kept["id"] for _ in range(2)]
    assert candidates["sample"].to_list() == [0, 1] * 200


def test_a_budget_ends_the_asking_and_the_run_goes_on_with_what_there_is(folder: Path) -> None:
    summary = run(folder, budget="150requests")
    assert summary["requests"] | {"stages": {}} == {
        "asked": 150,
        "from_ledger": 0,
        "failed": 250,
        "not_asked": 250,
        "prompt_tokens": 150 * 9,
        "reply_tokens": 150 * 3,
        "cost": pytest.approx(150 * (9 * 0.1 + 3 * 1.0)),
        "stages": {},
    }
    assert summary["rows"]["sft"] > 0
    candidates = pl.read_parquet(Path(summary["folder"]) / "candidates" / "*.parquet")
    assert candidates["why"].drop_nulls().unique().to_list() == ["not asked: the budget of 150requests is used up"]
    assert candidates.filter(pl.col("text").is_null()).height == 250


def test_a_run_continued_after_its_budget_ends_with_the_bytes_of_an_undisturbed_one(folder: Path) -> None:
    run(folder, out="clean")
    for budget in ("150requests", "2_000tokens", "5USD"):
        assert run(folder, budget=budget)["requests"]["not_asked"] > 0
    assert run(folder, budget="1000requests")["requests"]["not_asked"] == 0
    assert len(set(asked_in(folder, "log"))) * 2 == len(asked_in(folder, "log"))
    assert contents(folder / "runs") == contents(folder / "clean")


def test_a_budget_of_money_needs_a_price(folder: Path) -> None:
    unpriced = recipe(folder)
    file = Path(unpriced.file)
    file.write_text("".join(line for line in file.read_text().splitlines(keepends=True) if "price" not in line))
    with pytest.raises(RecipeError, match="an engine's `price"):
        build(Recipe.read(file), folder / "runs", QUIET, budget=read_budget(["5USD"]))


def test_a_price_changes_no_answer_and_asks_none_again(folder: Path) -> None:
    run(folder)
    priced = recipe(folder)
    file = Path(priced.file)
    file.write_text(file.read_text().replace("1_000_000.0", "2.5"))
    assert newly_asked(folder, lambda: build(Recipe.read(file), folder / "runs", QUIET)) == 0


def test_the_first_rows_run_apart_and_tell_the_rows_of_each_stage(folder: Path) -> None:
    whole = run(folder)
    summary = run(folder, limit=20)
    assert [(stage["stage"], stage["before"], stage["after"]) for stage in summary["flow"][:3]] == [
        ("ingest", 20, {"samples": 20}),
        ("curate", 20, {"kept": 20}),
        ("generate", 20, {"candidates": 40}),
    ]
    assert summary["requests"]["asked"] == 0
    assert (folder / "runs" / "killed" / "latest").resolve() == Path(whole["folder"]).resolve()
    assert Path(summary["folder"]).parent == folder / "runs" / "killed" / "first-20"


def test_a_limit_counts_the_rows_of_a_source_over_its_files_the_bad_ones_too(folder: Path) -> None:
    lines = (folder / "rows.jsonl").read_bytes().splitlines()
    (folder / "many").mkdir()
    for at in range(3):
        (folder / "many" / f"{at}.jsonl").write_bytes(b"\n".join([*lines[10 * at : 10 * at + 10], b"{"]))
    file = Path(recipe(folder).file)
    file.write_text(file.read_text().replace("/rows.jsonl", "/many/*.jsonl"))
    facts = build(Recipe.read(file), folder / "runs", QUIET, limit=15)
    assert (facts["rows"]["read"], facts["rows"]["samples"], facts["rows"]["quarantined"]) == (15, 14, 1)
    assert [(told["file"].rpartition("/")[2], told["rows"]) for told in facts["files"]] == [
        ("0.jsonl", 11),
        ("1.jsonl", 4),
    ]


def stage(told: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = [one for one in told["stages"] if one["stage"] == name]
    return found


def test_a_plan_asks_nothing_keeps_nothing_and_counts_what_a_run_then_asks(folder: Path) -> None:
    told: dict[str, Any] = {}
    assert newly_asked(folder, lambda: told.update(plan(recipe(folder, more=JUDGE), folder / "runs", QUIET))) == 0
    assert not list((folder / "runs" / "killed" / "stages").glob("generate-*"))
    made = stage(told, "generate")
    assert (made["rows"], made["requests"], made["held"], made["to_ask"]) == (200, 400, 0, 400)
    assert made["reply_tokens"] == 400 * 50
    assert made["seconds"] is None
    judged = stage(told, "score judges.pairwise:preference")
    assert not judged["rows_exact"]
    assert judged["to_ask"] == 200 * 2  # two candidates are one pair, asked in both orders
    assert newly_asked(folder, lambda: run(folder)) == made["to_ask"]
    assert "upper bound" in words(told)


def test_a_plan_after_a_run_knows_what_is_held_and_how_long_and_dear_the_rest_is(folder: Path) -> None:
    run(folder, samples=2)
    made = stage(plan(recipe(folder, samples=5), folder / "runs", QUIET), "generate")
    assert (made["held"], made["to_ask"], made["rows_exact"]) == (400, 600, True)
    assert made["reply_tokens"] == 600 * 3
    assert made["seconds"] > 0
    assert made["cost"] == pytest.approx(made["prompt_tokens"] * 0.1 + made["reply_tokens"])
    again = plan(recipe(folder, samples=2), folder / "runs", QUIET)
    assert (again["to_ask"], again["held"]) == (0, 400)
    assert "nothing will be asked" in words(again)


def test_a_plan_counts_the_tokens_of_a_local_model_by_its_tokenizer(folder: Path, tiny: str) -> None:
    made = recipe(folder)
    file = Path(made.file)
    engine = f'use = "generators.vllm:local"\nmodel = "{tiny}"\n'
    text = file.read_text()
    start, end = text.index('use = "benchmarks.kills'), text.index("price = ")
    file.write_text(text[:start] + engine + text[end:])
    told = stage(plan(Recipe.read(file), folder / "runs", QUIET), "generate")
    assert told["models"][0]["prompt_tokens_by"] == "tokenizer"
    assert 400 * 5 < told["prompt_tokens"] < 400 * 60


def mill(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipelines", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | environment)


def test_the_command_line_runs_plans_and_tells_of_a_ledger_of_its_own(folder: Path) -> None:
    file, out, place = recipe(folder).file, str(folder / "runs"), str(folder / "own.sqlite")
    ran = mill("run", file, "--out", out, "--budget", "100requests", "--budget", "1h", GRISTMILL_LEDGER=place)
    assert "300 of them not asked: the budget is used up; run again with a larger one" in ran.stdout
    assert not (folder / "runs" / "ledger.sqlite").exists()
    planned = mill("plan", file, "--out", out, "--json", GRISTMILL_LEDGER=place)
    assert orjson.loads(planned.stdout)["to_ask"] == 300
    told = mill("ledger", "--ledger", place, "--json")
    (by,) = orjson.loads(told.stdout)["by"]
    assert (by["recipe"], by["answers"], by["reply_tokens"]) == ("killed", 100, 300)
    assert by["cost"] == pytest.approx(100 * (9 * 0.1 + 3))
    assert "100 answers removed" in mill("ledger", "prune", "--recipe", "killed", "--ledger", place).stdout
    missing = mill("ledger", "show", "--out", str(folder / "nowhere"))
    assert (missing.returncode, "there is no ledger" in missing.stderr) == (2, True)


def test_a_recipe_names_its_ledger(folder: Path) -> None:
    file = Path(recipe(folder).file)
    file.write_text(f'ledger = "{folder}/named.sqlite"\n' + file.read_text())
    build(Recipe.read(file), folder / "runs", QUIET)
    assert (folder / "named.sqlite").is_file()
    assert not (folder / "runs" / "ledger.sqlite").exists()


def test_a_plan_tells_of_an_evaluation_that_is_all_in_the_ledger(folder: Path) -> None:
    more = (
        f'[benchmarks.held]\npath = "{folder}/rows.jsonl"\n'
        '[evaluate]\nbenchmark = "held"\njudge = {use = "judges.math:final_answer"}\nsamples = 2\n'
    )
    before = plan(recipe(folder, more=more), folder / "runs", QUIET)
    assert stage(before, "evaluate before")["to_ask"] == 200 * 2
    run(folder, more=more)
    again = stage(plan(recipe(folder, more=more), folder / "runs", QUIET), "evaluate before")
    assert (again["held"], again["to_ask"]) == (200 * 2, 0)


def test_a_plan_of_a_loop_tells_its_first_round_and_what_each_later_one_asks(folder: Path) -> None:
    more = (
        f'[benchmarks.held]\npath = "{folder}/rows.jsonl"\n'
        '[evaluate]\nbenchmark = "held"\njudge = {use = "judges.math:final_answer"}\nsamples = 3\n'
        '[[train]]\nmethod = "sft"\n[loop]\nmethod = "rest-em"\nrounds = 3\n'
    )
    told = plan(recipe(folder, more=more), folder / "runs", QUIET)
    assert told["later_rounds"] == {"most": 2, "requests": 200 * 2 + 200 * 3}
    assert "up to 2 more ask about 1,000 requests each" in words(told)
    alone = plan(recipe(folder, more=more.replace("rounds = 3", "rounds = 1")), folder / "runs", QUIET)
    assert "loop" not in words(alone)
