"""What a request costs with an engine that answers at once, the ledger on, beside distilabel and Bespoke Curator.

Run as `python -m benchmarks.ledger` from the project's root. The rows are Alpaca's in `GRISTMILL_DATA`, a request each.
A peer is run where `DISTILABEL_PYTHON` and `CURATOR_PYTHON` name its environment's Python, by the runners in
`GRISTMILL_PEERS`; else it is skipped, and that is said. Curator speaks to a server that answers at once, whose own CPU
seconds are not counted, but its client's HTTP is; it wants tiktoken's table of tokens, which `TIKTOKEN_CACHE_DIR` names
where the network has none (litellm, in Curator's environment, brings one along). CPU is that of the whole process with
its imports, children too, less that of the same command on `--few` rows, over the difference of the rows; and whole,
over all rows. Medians. At the end, the seconds of a whole run of ours that is run again with no change.

`--memory PROMPTS` runs our generate stage alone on so many prompts with 8 candidates each and tells its peak.
"""

import argparse
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import orjson

from benchmarks.cost import cost
from benchmarks.rules import RUNNERS
from schemas.engines import Engine, Reply, Request

DATA = Path(os.environ.get("GRISTMILL_DATA", "../shared/data"))
PEERS = {  # name: the variable that names its Python, its runner, the runner's arguments
    "distilabel, batches of 1,000": ("DISTILABEL_PYTHON", "run_distilabel.py", ["--mode", "llm", "--batch", "1000"]),
    "distilabel, its default of 50": ("DISTILABEL_PYTHON", "run_distilabel.py", ["--mode", "llm", "--batch", "50"]),
    "Bespoke Curator": ("CURATOR_PYTHON", "run_curator.py", []),
}
RECIPE = """
name = "instant"
[[sources]]
path = "{rows}"
[generate]
engine = "instant"
samples = {samples}
keep_reply = false
[engines.instant]
use = "benchmarks.ledger:instant"
"""


def instant(*, words: int = 1) -> Engine:
    """Answer "ok", so many times, at once."""
    return _Instant("ok " * words)


@dataclass(frozen=True)
class _Instant:
    text: str
    model: str = "instant"
    revision: str = "1"

    def __call__(self, requests: Iterable[Request], /) -> Iterator[Reply]:
        for request in requests:
            yield Reply(request.key, self.text, "stop", 1, 1)

    def close(self) -> None:
        """Do nothing."""


def ours(rows: str, out: str, samples: int = 1) -> None:
    """Read the rows and make a candidate for each, as a run does, up to and with the generate stage."""
    from pipelines.opened import opened
    from pipelines.progress import Progress
    from pipelines.recipe import Recipe
    from pipelines.run import stages

    recipe = Path(out) / "instant.toml"
    recipe.write_text(RECIPE.format(rows=rows, samples=samples))
    checked = Recipe.read(recipe)
    quiet = Progress(lambda _text: None, lambda _work, _done, _total: None)
    with opened(checked, Path(out), quiet) as run:
        for name in ("ingest", "curate", "generate"):
            stages(checked)[name](run)
        facts = run.made["generate"].facts
    print(orjson.dumps({"candidates": facts["candidates"], "asked": facts["asked"]}).decode())


def memory(prompts: int, out: str) -> None:
    """Tell the peak of a process that makes 8 candidates of 100 words for each of `prompts` kept prompts, in MiB."""
    from generators.ledger import open_ledger
    from pipelines.generate import generate
    from pipelines.sections import Generate
    from pipelines.store import opened

    curated = opened(Path(out) / "curated", reused=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.process_time()
    made = generate(
        Path(out),
        curated,
        Generate.model_validate({"engine": "instant", "samples": 8}),
        seed=0,
        engine=instant(words=100),
        ledger=open_ledger(Path(out) / "ledger.sqlite", recipe="memory"),
        progress=lambda _done, _all: None,
    )
    peak, seconds = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, time.process_time() - start
    count = made.facts["candidates"]
    print(
        f"{prompts:9,} prompts, {count:9,} candidates, {made.facts['asked']:9,} asked: peak {peak:6,.0f} MiB, ", end=""
    )
    print(f"{before:,.0f} of them before; {1_000 * seconds / count:.3f} CPU ms a candidate")


def write_kept(folder: Path, prompts: int) -> None:
    """Write a curated output of so many prompts of about 60 words."""
    import polars as pl

    from pipelines.store import MANIFEST, Writer, sha256
    from schemas.tables import SAMPLES

    filling = "of the quick brown fox and the lazy dog " * 6
    with Writer(folder, "kept", SAMPLES) as table:
        for start in range(0, prompts, 10_000):
            chats = [
                [{"role": "user", "content": f"Question {at} {filling}", "tool_calls": None}]
                for at in range(start, min(start + 10_000, prompts))
            ]
            rows = pl.DataFrame({"id": [f"{start + at:032x}" for at in range(len(chats))], "prompt": chats})
            table.write(
                rows.with_columns(
                    pl.lit(None).cast(kind).alias(name) for name, kind in SAMPLES.items() if name not in rows.columns
                ).select(pl.col(name).cast(kind) for name, kind in SAMPLES.items())
            )
    files = {f"kept/{file.name}": sha256(file) for file in sorted((folder / "kept").iterdir())}
    manifest = {"facts": {"kept": prompts}, "seconds": 0, "files": files}
    (folder / MANIFEST).write_bytes(orjson.dumps(manifest))


def peaks(prompts: int) -> None:
    """Run `memory` on a tenth of the prompts, on all, and on all again with every answer in the ledger."""
    for count in (prompts // 10, prompts):
        with tempfile.TemporaryDirectory() as folder:
            own = [
                sys.executable,
                "-m",
                "benchmarks.ledger",
            ]  # each a process, whose peak begins with its parent's size
            subprocess.run([*own, "--write", str(count), folder], check=True)  # noqa: S603 - this module's own command
            for again in (False, True):
                for left in Path(folder).glob("generate-*"):
                    left.rename(Path(folder) / "first")
                print("again, " if again else "anew,  ", end="", flush=True)
                subprocess.run([*own, "--peak", str(count), folder], check=True)  # noqa: S603 - likewise


@contextmanager
def served(python: str) -> Iterator[int]:
    """Give the port of the server that answers at once."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with subprocess.Popen([python, str((RUNNERS / "fake_openai.py").resolve()), str(port)]) as process:  # noqa: S603
        try:
            while process.poll() is None:
                with socket.socket() as client:
                    if client.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield port
        finally:
            process.terminate()


def milliseconds(command: list[str], rows: dict[int, str], runs: int) -> tuple[float, float]:
    """Give the CPU milliseconds a row, without what a run of few rows costs, and whole."""

    def once(count: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "out").mkdir()
            filled = [part.format(rows=rows[count], out=f"{folder}/out", count=count) for part in command]
            return cost(filled, folder if "-m" not in command else ".").seconds

    few, many = sorted(rows)
    least, most = (median(once(count) for _ in range(runs)) for count in (few, many))
    return 1_000 * (most - least) / (many - few), 1_000 * most / many


def table(rows: dict[int, str], runs: int) -> Iterator[tuple[str, tuple[float, float] | None]]:
    """Give each system's cost; null for a peer that isn't there."""
    own = [sys.executable, "-m", "benchmarks.ledger", "--ours", "{rows}", "{out}"]
    yield "gristmill, ledger on", milliseconds(own, rows, runs)
    for name, (variable, runner, arguments) in PEERS.items():
        python = os.environ.get(variable)
        if not python:
            yield f"{name}: skipped, {variable} names no Python", None
            continue
        command = [python, str((RUNNERS / runner).resolve()), "{rows}", "--limit", "{count}", *arguments]
        if runner == "run_curator.py":
            with served(python) as port:
                yield name, milliseconds([*command, "--port", str(port)], rows, runs)
        else:
            yield name, milliseconds(command, rows, runs)


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=10_000)
    options.add_argument("--few", type=int, default=1_000)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--memory", type=int, metavar="PROMPTS")
    options.add_argument("--ours", nargs=2, metavar=("ROWS", "OUT"), help="only run ours")
    options.add_argument("--peak", nargs=2, metavar=("PROMPTS", "OUT"), help="only one run of --memory")
    options.add_argument("--write", nargs=2, metavar=("PROMPTS", "OUT"), help="only write the prompts of --memory")
    chosen = options.parse_args()
    if chosen.ours:
        ours(*chosen.ours)
    elif chosen.peak:
        memory(int(chosen.peak[0]), chosen.peak[1])
    elif chosen.write:
        write_kept(Path(chosen.write[1]) / "curated", int(chosen.write[0]))
    elif chosen.memory:
        peaks(chosen.memory)
    else:
        lines = alpaca(chosen.rows)
        with tempfile.TemporaryDirectory() as folder:
            rows = {count: f"{folder}/{count}.jsonl" for count in (chosen.few, chosen.rows)}
            for count, file in rows.items():
                Path(file).write_bytes(b"\n".join(lines[:count]) + b"\n")
            for name, told in table(rows, chosen.runs):
                figures = "" if told is None else f"{told[0]:8.3f} CPU ms a row, {told[1]:8.3f} with imports and start"
                print(f"{name:30}{figures}", flush=True)
            print(f"a run of {chosen.rows:,} answers, run again: {again(rows[chosen.rows]):.2f} s")


def again(rows: str) -> float:
    """Give the wall seconds of a whole run over the rows whose like was run before."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "instant.toml"
        recipe.write_text(RECIPE.format(rows=rows, samples=1))
        command = [sys.executable, "-m", "pipelines", "run", str(recipe), "--out", folder]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own command
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - likewise
        return time.perf_counter() - start


def alpaca(count: int) -> list[bytes]:
    """Give the first rows of Alpaca as JSON lines."""
    file = next((DATA / "alpaca").glob("*.json*"), None)
    if file is None:
        sys.exit(f"there are no Alpaca rows in {DATA}/alpaca; set GRISTMILL_DATA")
    content = file.read_bytes()
    rows = orjson.loads(content) if content.lstrip().startswith(b"[") else map(orjson.loads, content.splitlines())
    return [orjson.dumps({"instruction": row["instruction"], "output": row["output"]}) for row in rows][:count]


if __name__ == "__main__":
    main()
