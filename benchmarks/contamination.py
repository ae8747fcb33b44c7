"""Which leaks of a benchmark are found, at which cost in clean rows and in seconds, beside datatrove.

Run from the project's root as `python -m benchmarks.contamination speed FOLDER` or `... found`.

`speed` searches a planted workload, `FOLDER/data` of the peers' `mkleak.py` (wd.parquet, wd.jsonl, bench.jsonl), beside
datatrove's n-gram filter where `DATATROVE_PYTHON` names its Python, by the runner in `GRISTMILL_PEERS`
(../shared/peers/runners) on the first `--limit` rows. CPU seconds are of the whole process, medians of `--runs`.

`found` plants GSM8K's test questions, and their rephrasings, among the raw Alpaca rows (from `GRISTMILL_DATA`) and
tells what each method finds, with 95 % Wilson intervals. The threshold of `filters.rephrased:fuzzy` is chosen on the
even rows, as the lowest that flags at most .01 % of Alpaca's, and told on the odd ones.
"""

import argparse
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

import orjson
import polars as pl

from benchmarks.cost import cost
from filters.contamination import ngrams, too_short
from filters.rephrased import fuzzy
from judges.agreement import wilson
from schemas.tables import SAMPLES

RUNNERS = Path(os.environ.get("GRISTMILL_PEERS", "../shared/peers/runners")).resolve()
DATA = Path(os.environ.get("GRISTMILL_DATA", "../shared/data"))
MOST_FLAGGED = 0.0001  # of the clean rows, when the threshold is chosen
STEPS = [at / 100 for at in range(35, 81)]
REPLY = "Sure, here is how I would think about it."
PLANTED = ("verbatim", "prompt only", "embedded", "rephrased", "rephrased, embedded")


def samples(texts: pl.DataFrame, prompt: str, name: str, reply: str | None = None) -> pl.DataFrame:
    """Make samples of a table's columns; `origin` is the name and the row."""
    message = pl.struct(role=pl.lit("user"), content=pl.col(prompt), tool_calls=pl.lit(None, pl.String))
    given = {
        "id": pl.format("{}/{}", pl.lit(name), pl.int_range(pl.len())),
        "prompt": pl.concat_list(message),
        "reply": pl.lit(None) if reply is None else pl.col(reply),
        "origin": pl.struct(file=pl.lit(name), row=pl.int_range(pl.len(), dtype=pl.Int64)),
    }
    return texts.select(given.get(column, pl.lit(None)).cast(kind).alias(column) for column, kind in SAMPLES.items())


def ours(folder: Path) -> None:
    """Search the workload, and print what is found by kind of row, and what is too short to be looked for."""
    benchmarks = samples(pl.read_ndjson(folder / "data/bench.jsonl"), "query", "bench.jsonl")
    rows = pl.read_parquet(folder / "data/wd.parquet", columns=["text", "kind"])
    found = ngrams().match([samples(rows, "text", "wd")], [benchmarks])
    flagged = rows.with_columns(found=pl.format("wd/{}", pl.int_range(pl.len())).is_in(found["id"].implode()))
    counts = flagged.group_by("kind").agg(pl.sum("found"), rows=pl.len()).sort("kind")
    print(
        orjson.dumps(
            {"kinds": counts.rows(), "checked": too_short([benchmarks])["checked"].value_counts().rows()}
        ).decode()
    )


def speed(folder: Path, limit: int, runs: int) -> None:
    """Print rows a CPU second of ours and of datatrove, and what ours found."""
    rows = pl.scan_parquet(folder / "data/wd.parquet").select(pl.len()).collect().item()
    mine = [sys.executable, "-m", "benchmarks.contamination", "ours", str(folder.resolve())]
    measured = [cost(mine) for _ in range(runs)]
    rate = rows / median(seconds for seconds, _, _ in measured)
    print(f"gristmill: {rows:,} rows, {rate:,.0f} a CPU second, peak {max(peak for _, peak, _ in measured):,} MiB")
    told = orjson.loads(measured[0][2])
    for kind, found, of in told["kinds"]:
        print(f"  {kind}: {found:,} of {of:,} flagged, {interval(found, of)}")
    print(f"  questions of fewer than 13 tokens, by what is looked for: {dict(sorted(told['checked']))}")
    python = os.environ.get("DATATROVE_PYTHON")
    if not python:
        print("datatrove: skipped, DATATROVE_PYTHON names no Python")
        return
    (folder / "out").mkdir(exist_ok=True)
    data = [str(folder.resolve() / "data" / name) for name in ("wd.jsonl", "bench.jsonl")]
    peer = [python, str(RUNNERS / "run_datatrove_decont.py"), *data, "./out/kept.npy", "--limit", str(limit)]
    theirs = limit / median(cost(peer, folder).seconds for _ in range(runs))
    print(f"datatrove: {limit:,} rows, {theirs:,.0f} a CPU second; gristmill does {rate / theirs:.0f} times as many")


def interval(found: int, rows: int) -> str:
    """Write a share with its 95 % Wilson interval, in percent."""
    told = wilson(found, rows)
    return f"{found / rows:.2%} [{told[0]:.2%}, {told[1]:.2%}]" if told else "-"


def planted() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give the benchmark, and the samples: the planted kinds, each with all questions in order, and the Alpaca rows."""
    tests = pl.read_ndjson(DATA / "gsm8k/test.jsonl")
    again = pl.read_ndjson(DATA / "benchmarks/gsm8k_rephrased.jsonl")["text"]
    rephrased = again.str.strip_prefix("Question: ").str.replace(r"(?s)\nAnswer:.*", "")
    raw = orjson.loads((DATA / "alpaca/alpaca_data.json").read_bytes())
    alpaca = pl.DataFrame(
        [("\n".join(filter(None, (row["instruction"], row["input"]))), row["output"]) for row in raw],
        schema=["prompt", "reply"],
        orient="row",
    )
    rng, replies = random.Random(7), alpaca["reply"].to_list()

    def inside(text: str) -> str:
        return f"{rng.choice(replies)} {text} {rng.choice(replies)}"

    kinds = {
        "verbatim": tests.select(prompt="question", reply="answer"),
        "prompt only": tests.select(prompt="question", reply=pl.lit(REPLY)),
        "embedded": pl.DataFrame(
            [(inside(text.upper()), REPLY) for text in tests["question"]], ["prompt", "reply"], orient="row"
        ),
        "rephrased": pl.DataFrame({"prompt": rephrased}).with_columns(reply=pl.lit(REPLY)),
        "rephrased, embedded": pl.DataFrame(
            [(inside(text), REPLY) for text in rephrased], ["prompt", "reply"], orient="row"
        ),
    }
    tables = [samples(table, "prompt", kind, "reply") for kind, table in [*kinds.items(), ("alpaca", alpaca)]]
    return samples(tests, "question", "gsm8k"), pl.concat(tables)


def judged(matches: pl.DataFrame) -> pl.DataFrame:
    """Split the ids into `kind` and `row`, and say whether the benchmark's row is the `right` one."""
    row, other = (
        pl.col("id").str.extract(r"/(\d+)$").cast(pl.Int64),
        pl.col("other").str.extract(r":(\d+)$").cast(pl.Int64),
    )
    return matches.with_columns(kind=pl.col("id").str.extract(r"^(.*)/"), row=row, right=row == other)


def found() -> None:
    """Print what each method finds of each kind, and what it flags of Alpaca."""
    benchmark, rows = planted()
    questions, clean = benchmark.height, rows.height - len(PLANTED) * benchmark.height
    print(f"{questions:,} planted rows a kind, {clean:,} Alpaca rows\n")
    print("| method | " + " | ".join(PLANTED) + " | right row of those flagged | Alpaca flagged |")
    print("|---|" + "---|" * (len(PLANTED) + 2))
    for n in (13, 8, 5):
        told(f"{n}-grams", judged(ngrams(n=n).match([rows], [benchmark])), questions, clean)
    alike = judged(fuzzy().match([rows], [benchmark]))
    for threshold in (0.35, 0.38, 0.40, 0.42, 0.44, 0.46, 0.5, 0.6):
        told(f"fuzzy, {threshold}", alike.filter(pl.col("measured") >= threshold), questions, clean)
    chosen(alike, questions, clean)
    show(alike.filter(pl.col("kind") == "alpaca"), benchmark)


def told(method: str, flagged: pl.DataFrame, questions: int, clean: int) -> None:
    """Print a row of the table."""
    leaks, others = flagged.filter(pl.col("kind") != "alpaca"), flagged.filter(pl.col("kind") == "alpaca").height
    recalls = [interval(leaks.filter(pl.col("kind") == kind, "right").height, questions) for kind in PLANTED]
    cells = [*recalls, interval(leaks.filter("right").height, leaks.height), f"{others} = {interval(others, clean)}"]
    print(f"| {method} | {' | '.join(cells)} |", flush=True)


def chosen(alike: pl.DataFrame, questions: int, clean: int) -> None:
    """Print the threshold that the even rows choose, and what it finds among the odd ones."""
    even, odd = (alike.filter(pl.col("row") % 2 == half) for half in (0, 1))

    def flagged(half: pl.DataFrame, threshold: float, kind: str) -> int:
        return half.filter(
            pl.col("kind") == kind, pl.col("measured") >= threshold, (pl.col("kind") == "alpaca") | pl.col("right")
        ).height

    threshold = next(step for step in STEPS if flagged(even, step, "alpaca") <= MOST_FLAGGED * (clean + 1) // 2)
    recall, others = (flagged(odd, threshold, kind) for kind in ("rephrased", "alpaca"))
    print(
        f"\nchosen on even rows: {threshold}; of odd rows it finds {interval(recall, questions // 2)} of the rephrased"
    )
    print(f"and flags {others} = {interval(others, clean // 2)} of Alpaca's")


def show(flagged: pl.DataFrame, benchmark: pl.DataFrame, *, rows: int = 20) -> None:
    """Print the Alpaca rows that are most alike to a question, for a person to judge."""
    asked = benchmark["prompt"].list.first().struct.field("content")
    print(f"\nthe {rows} Alpaca rows most alike to a question:")
    for row, other, measured, span in (
        flagged.sort("measured", descending=True).head(rows).select("id", "other", "measured", "span").rows()
    ):
        print(f"{measured:.2f} {row}: {span}\n     {other}: {asked[int(other.rpartition(':')[2])]}")


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "found", "ours"])
    parser.add_argument("folder", nargs="?", type=Path, default=Path())
    parser.add_argument("--limit", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    tasks: dict[str, Callable[[], None]] = {
        "speed": lambda: speed(given.folder, given.limit, given.runs),
        "found": found,
        "ours": lambda: ours(given.folder),
    }
    tasks[given.what]()


if __name__ == "__main__":
    main()
