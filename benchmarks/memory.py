"""The peak of memory of a whole run, from reading to the report, stage by stage: does it grow with the rows?

Run as `python -m benchmarks.memory [--prompts 10000 100000]` from the project's root. Prompts are sums in some 60
words, each with 8 candidates of 100 words by an engine that answers at once, every other one right; a verifier scores
them. Each number of prompts is run in a process of its own; told is the greatest resident size (MiB) that each stage
met, with what was held before. From 50,000 prompts on each table has a full shard.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from schemas.engines import Engine, Reply, Request

RECIPE = """
name = "memory"
[[sources]]
path = "{folder}/rows.jsonl"
[[filters]]
use = "filters.length:words"
part = "prompt"
minimum = 3
[[filters]]
use = "filters.duplicates:exact"
[generate]
engine = "sums"
samples = 8
[engines.sums]
use = "benchmarks.memory:sums"
[[judges]]
use = "judges.math:final_answer"
"""
FILLING = "of the quick brown fox and the lazy dog " * 6
REASONS = "because the one and the other are so " * 12


def sums() -> Engine:
    """Answer sums at once in 100 words, every other one wrongly."""
    return _Sums()


@dataclass(frozen=True)
class _Sums:
    model: str = "sums"
    revision: str = "1"

    def __call__(self, requests: Iterable[Request], /) -> Iterator[Reply]:
        for request in requests:
            left, right = (int(word) for word in request.chat[-1]["content"].split() if word.isdigit())
            yield Reply(
                request.key, f"{REASONS}{request.sample}. A: {left + right + request.sample % 2}", "stop", 80, 100
            )

    def close(self) -> None:
        """Do nothing."""


def peak(*, anew: bool = False) -> float:
    """Give the greatest resident size of this process since it was last asked for `anew`, in MiB."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def measured(folder: Path) -> dict[str, float]:
    """Run the recipe in `folder`; gives each stage's peak."""
    from pipelines.folder import lay_out
    from pipelines.opened import opened
    from pipelines.progress import Progress
    from pipelines.recipe import Recipe
    from pipelines.run import stages

    recipe = Recipe.read(folder / "memory.toml")
    peaks = {"before": peak()}
    with opened(recipe, folder / "runs", Progress(lambda _text: None, lambda _work, _done, _all: None)) as run:
        for name, stage in stages(recipe).items():
            peak(anew=True)
            stage(run)
            peaks[name] = peak()
        peak(anew=True)
        summary = lay_out(recipe, run.folder, run.made)
        peaks["report"] = peak()
    return peaks | {"candidates": summary["rows"]["candidates"], "pairs": summary["rows"]["preferences"]}


def write(folder: Path, prompts: int) -> None:
    """Write the recipe and its rows."""
    (folder / "memory.toml").write_text(RECIPE.format(folder=folder))
    with (folder / "rows.jsonl").open("wb") as file:
        for at in range(prompts):
            row = {"instruction": f"What is {at} plus {7 * at} ? {FILLING}", "reference": f"{8 * at}"}
            file.write(orjson.dumps(row) + b"\n")


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--prompts", type=int, nargs="+", default=[10_000, 100_000])
    options.add_argument("--only", type=Path, metavar="FOLDER", help="run the recipe in this folder")
    chosen = options.parse_args()
    if chosen.only:
        print(orjson.dumps(measured(chosen.only)).decode())
        return
    told = []
    for prompts in chosen.prompts:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), prompts)
            command = [sys.executable, "-m", "benchmarks.memory", "--only", folder]
            done = subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - this module's own command
            told.append({"prompts": prompts} | orjson.loads(done.stdout))
    for name in told[0]:
        print(f"{name:12}" + "".join(f"{one[name]:12,.0f}" for one in told))
    stages = [[one[name] for name in one if name not in {"prompts", "candidates", "pairs"}] for one in told]
    print(f"{'whole run':12}" + "".join(f"{max(one):12,.0f}" for one in stages) + "  MiB")


if __name__ == "__main__":
    main()
