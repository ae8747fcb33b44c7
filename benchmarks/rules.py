"""Six heuristic rules on a planted workload, beside data-juicer and datatrove, in one run.

Run as `python -m benchmarks.rules WORKLOAD.jsonl` (a row a line: `id`, `text`) from the project's root. A peer is run
where `DATATROVE_PYTHON` and `DATA_JUICER_PYTHON` name its environment's Python, by the runners in `GRISTMILL_PEERS`
(../shared/peers/runners), which filter the first `--limit` rows; else it is skipped, and that is said. CPU seconds are
of the whole process, children too; medians of `--runs`.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.cost import cost

RUNNERS = Path(os.environ.get("GRISTMILL_PEERS", "../shared/peers/runners"))
PEERS = {  # name: the variable that names its Python, its runner, the runner's arguments
    "datatrove Gopher": ("DATATROVE_PYTHON", "run_datatrove_filters.py", ["--which", "gopher"]),
    "datatrove C4": ("DATATROVE_PYTHON", "run_datatrove_filters.py", ["--which", "c4"]),
    "datatrove FineWeb": ("DATATROVE_PYTHON", "run_datatrove_filters.py", ["--which", "fineweb"]),
    "data-juicer, six filters": ("DATA_JUICER_PYTHON", "run_dj_filters.py", []),
}


def ours(workload: str) -> tuple[int, int]:
    """Read the workload and apply six rules in one pass; give its rows and how many stay."""
    import polars as pl

    from filters import length, prose, repetition, symbols

    rules = {
        "words": length.words(minimum=5, maximum=100_000),
        "alphabetic words": symbols.alphabetic_words(minimum=0.8),
        "repeated lines": repetition.repeated_lines(maximum=0.3),
        "stop words": prose.stop_words(minimum=2),
        "end mark": prose.end_mark(minimum=1),
        "symbols": symbols.symbols(maximum=0.1),
    }
    samples = pl.scan_ndjson(workload).select("id", reply="text").collect()
    values = (
        samples.lazy()
        .select(**{name: rule.measure for name, rule in rules.items() if isinstance(rule.measure, pl.Expr)})
        .collect()
    )
    bounds = [
        bound
        for name, rule in rules.items()
        for bound in (
            pl.lit(value=True) if rule.minimum is None else pl.col(name).cast(pl.Float64) >= rule.minimum,
            pl.lit(value=True) if rule.maximum is None else pl.col(name).cast(pl.Float64) <= rule.maximum,
        )
    ]
    return samples.height, values.select(pl.all_horizontal(bounds).fill_null(value=True).sum()).item()


def speeds(workload: str, limit: int, runs: int) -> Iterator[tuple[str, float | None]]:
    """Give rows a CPU second of ours and of the peers, medians of `runs`; null for a peer that isn't there."""
    with Path(workload).open("rb") as lines:
        rows = sum(1 for _ in lines)
    own = [sys.executable, "-m", "benchmarks.rules", "--ours", workload]
    yield "gristmill, six rules", rows / median(cost(own).seconds for _ in range(runs))
    for name, (variable, runner, arguments) in PEERS.items():
        python = os.environ.get(variable)
        if not python:
            yield f"{name}: skipped, {variable} names no Python", None
            continue
        command = [
            python,
            str((RUNNERS / runner).resolve()),
            workload,
            "out/kept.npy",
            "--limit",
            str(limit),
            *arguments,
        ]
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "out").mkdir()
            yield name, limit / median(cost(command, folder).seconds for _ in range(runs))


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("workload")
    options.add_argument("--limit", type=int, default=20_000, help="rows that a peer filters")
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--ours", action="store_true", help="only apply our rules")
    chosen = options.parse_args()
    if chosen.ours:
        print(*ours(chosen.workload))
        return
    own = 0.0
    for name, speed in speeds(str(Path(chosen.workload).resolve()), chosen.limit, chosen.runs):
        own = own or speed or 0.0
        told = "" if speed is None else f"{speed:10,.0f} rows a CPU second, ours {own / speed:6.1f} times"
        print(f"{name:26} {told}", flush=True)


if __name__ == "__main__":
    main()
