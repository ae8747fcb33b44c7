"""Measures the review page's server on a large run: CPU seconds to open it, and for each of its answers.

`.venv/bin/python -m benchmarks.review --pairs 100000` makes a run of that many pairs in a temporary folder and prints a
table: medians of three openings in processes of their own, user and system time together.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl

from pipelines.review.order import Wanted
from pipelines.review.reading import Review
from pipelines.store import write_table
from schemas.chats import content_id
from schemas.tables import CANDIDATES, COMPARISONS, DROPPED, PREFERENCES, SAMPLES, SCORES

CANDIDATES_EACH = 4
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
ANSWERS = 20  # of each kind are timed
OPENINGS = 3


def make(folder: Path, pairs: int) -> None:
    """Write the tables of a finished run of so many pairs, each of a prompt with four candidates of 100 words."""
    samples = [content_id("sample", at) for at in range(pairs)]
    text = " ".join(WORDS * 10)
    prompt = [{"role": "user", "content": text, "tool_calls": None}]
    kept = pl.DataFrame({"id": samples, "prompt": [prompt] * pairs, "source": ["a", "b"] * (pairs // 2)})
    rows = [(sample, at) for sample in samples for at in range(CANDIDATES_EACH)]
    ids = [content_id(*row) for row in rows]
    candidates = pl.DataFrame(
        {
            "id": ids,
            "sample_id": [sample for sample, _ in rows],
            "text": [f"{at} {text} {name}" for name, (_, at) in zip(ids, rows, strict=True)],
            "status": ["answered"] * len(rows),
            "model": ["m"] * len(rows),
        }
    )
    scores = candidates.select("sample_id", candidate_id="id", judge=pl.lit("j"), status=pl.lit("scored"))
    scores = scores.with_columns(score=pl.Series([float(at) for _, at in rows]) / CANDIDATES_EACH)
    chosen, rejected = ids[::CANDIDATES_EACH], ids[1::CANDIDATES_EACH]
    picked = pl.DataFrame({"sample_id": samples, "chosen_id": chosen, "rejected_id": rejected})
    picked = picked.with_columns(id="sample_id", rule=pl.lit("r"), margin=pl.int_range(pl.len()).cast(pl.Float64))
    compared = picked.select("sample_id", a_id="chosen_id", b_id="rejected_id", judge=pl.lit("p"))
    compared = compared.with_columns(score=(pl.int_range(pl.len()) % 3 - 1).cast(pl.Float64))
    for name, frame, schema in (
        ("kept", kept, SAMPLES),
        ("candidates", candidates, CANDIDATES),
        ("scores", scores, SCORES),
        ("comparisons", compared, COMPARISONS),
        ("preferences", picked, PREFERENCES),
        ("dropped", pl.DataFrame(), DROPPED),
    ):
        write_table(folder, name, _filled(frame, schema), schema)


def _filled(frame: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    if not frame.width:
        return pl.DataFrame(schema=schema)
    missing = {name: pl.lit(None, kind) for name, kind in schema.items() if name not in frame.columns}
    return frame.with_columns(**missing).select(*schema).cast(schema)


def measure(folder: Path) -> None:
    """Print the CPU seconds of one opening: all decks, then each kind of answer; and the most memory held."""
    start = time.process_time()
    review = Review(folder)
    review.choices("pairs")
    review.next("pairs", "anna", Wanted())
    opened = time.process_time() - start
    start = time.process_time()
    review.choices("replies")
    more = time.process_time() - start
    start = time.process_time()
    keys = []
    for _ in range(ANSWERS):
        item, _left = review.next("pairs", "anna", Wanted())
        assert item is not None  # noqa: S101 - there are more pairs than answers
        review.judge("pairs", item["key"], "anna", "first")
        keys.append(item["key"])
    answered = (time.process_time() - start) / ANSWERS
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    whole = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    print(f"{opened} {more} {answered} {memory} {whole}")


def _opening(folder: Path) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.review", "--measure", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own arguments
    return [float(figure) for figure in done.stdout.split()]


def main() -> None:
    """Make the run, open it three times, print the medians."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--pairs", type=int, default=100_000)
    asked.add_argument("--measure", type=Path)
    given = asked.parse_args()
    if given.measure:
        measure(given.measure)
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "large" / "version"
        folder.mkdir(parents=True)
        make(folder, given.pairs)
        told = [_opening(folder) for _ in range(OPENINGS)]
    opened, more, answered, memory, whole = (statistics.median(one) for one in zip(*told, strict=True))
    print(f"{given.pairs:,} pairs, {given.pairs * CANDIDATES_EACH:,} candidates, medians of {OPENINGS}")
    print(f"the first pair to be read    {opened:8.2f} CPU s")
    print(f"changing to the replies      {more:8.2f} CPU s")
    print(f"the next pair and a verdict  {answered:8.3f} CPU s")
    print(f"the whole process            {whole:8.2f} CPU s")
    print(f"most memory                  {memory:8.0f} MiB")


if __name__ == "__main__":
    main()
