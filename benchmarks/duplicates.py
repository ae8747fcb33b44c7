"""How fast and how right is the search for duplicates? `python -m benchmarks.duplicates SCRATCH [WORKLOAD ...]`.

Makes the planted workloads in SCRATCH by the peers' own generators (W1, 100,002 rows; W2, 1,000,000; `fresh`, W1's
generator with another seed), and runs ours and the peers on them in turn, each three times in a process of its own.
Prints the medians of CPU seconds, the ratio to the first peer, and what the planted truth says: recall of the pairs at
a Jaccard of at least 0.8, pairs below that were merged, families of which no row was kept. Ours is the whole process,
from Parquet to the kept ids, imports and split included; compiled code is in the cache, as it is from the second run.

GRISTMILL_PEERS is the peers' folder, GRISTMILL_PEERS_PYTHON an interpreter with rensa, datasets, numpy and polars,
GRISTMILL_DATA the folder of the data.
"""

import json
import os
import resource
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

RUNS = 3
SEEDS = {"w1": None, "w2": None, "fresh": 20_261}  # None is the generator's own
ROWS = 65_536


@dataclass(frozen=True)
class Parquet:
    """The rows of a workload as samples, a shard at a time: their text is the reply."""

    path: str

    def __iter__(self) -> Iterator[pl.DataFrame]:
        rows = pl.scan_parquet(self.path).select(pl.col("id").cast(pl.String), reply="text")
        yield from rows.collect_batches(chunk_size=ROWS, maintain_order=True)


def near(path: str) -> pl.Series:
    """Give the ids that our near-duplicate rule keeps."""
    from filters.duplicates import near as part
    from filters.split import split
    from schemas.tables import SAMPLES

    rule = part(part="reply", differs="")  # the peers have no such distinction
    matches = rule.match(Parquet(path), [])
    ids = pl.scan_parquet(path).select(pl.col("id").cast(pl.String)).collect()
    empty = [pl.lit(None, kind).alias(name) for name, kind in SAMPLES.items() if name != "id"]
    return split(ids.with_columns(empty).select(*SAMPLES), {"near": rule}, {"near": matches})[0]["id"]


def exact(path: str) -> pl.Series:
    """Give the ids that our exact-duplicate rule keeps: all but those that match the one that stands for them."""
    from filters.duplicates import exact as part

    matches = part(part="reply").match(Parquet(path), [])
    ids = pl.scan_parquet(path).select(pl.col("id").cast(pl.String)).collect()["id"]
    return ids.filter(~ids.is_in(matches["id"].implode()))


def ours(rule: str, path: str, kept: str) -> None:
    """Run a rule, store the ids it keeps and print what the process used, as the peers' runners do."""
    ids = {"near": near, "exact": exact}[rule](path)
    if rule == "near":  # the peers' judge reads it
        import numpy as np

        np.save(kept, ids.cast(pl.Int64).to_numpy())
    else:
        ids.to_frame().write_ipc(kept)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"cpu_s": used.ru_utime + used.ru_stime, "peak_mib": used.ru_maxrss // 1024, "kept": ids.len()}))


def index(path: str, target: str) -> None:
    """Write an index of the workload and print what it takes."""
    from filters.index import write_index

    rows = write_index(Parquet(path), target, name="workload", parts=["reply"])
    used = resource.getrusage(resource.RUSAGE_SELF)
    texts = pl.scan_parquet(path).select(pl.col("text").str.len_bytes().sum()).collect().item()
    size = Path(target).stat().st_size
    facts = {"rows": rows, "bytes a row": size / rows, "text bytes a row": texts / rows}
    print(json.dumps(facts | {"cpu_s": used.ru_utime + used.ru_stime}))


def made(scratch: Path, workload: str, peers: Path) -> Path:
    """Give the folder of a workload, made by the peers' generator when it is missing."""
    folder = scratch / workload
    (folder / "out").mkdir(parents=True, exist_ok=True)
    (folder / "data").mkdir(exist_ok=True)
    if not (folder / "data" / f"{name(workload)}.parquet").is_file():
        generator = peers / ("mkdata2.py" if workload == "w2" else "mkdata.py")
        seed = SEEDS[workload]
        code = generator.read_text()
        own = "random.Random(11)" if workload == "w2" else "random.Random(7)"
        if own not in code:
            raise SystemExit(f"{generator} has another seed than {own}")
        (folder / "make.py").write_text(code if seed is None else code.replace(own, f"random.Random({seed})"))
        data = str(Path(os.environ.get("GRISTMILL_DATA", "../shared/data")).resolve())
        _told([sys.executable, "make.py"], folder, {"SHARED_DATA": data})
    return folder


def name(workload: str) -> str:
    """Give what the peers' generator calls the workload."""
    return "w2" if workload == "w2" else "w1"


def _told(command: Sequence[str], folder: Path, more: Mapping[str, str]) -> str:
    import subprocess  # `ours` needs none

    from benchmarks.cost import surroundings

    done = subprocess.run(  # noqa: S603 - our own arguments
        command,
        cwd=folder,
        env=surroundings(more),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    return done.stdout.strip().rsplit("\n", 1)[-1]


def systems(workload: str, folder: Path, peers: Path, python: str) -> dict[str, list[str]]:
    """Give the command of each system on a workload, the peer that ours is held against first."""
    data = str(folder / "data" / f"{name(workload)}.parquet")
    rensa = [python, str(peers / "runners" / "run_rensa.py"), data]
    ours = [sys.executable, "-m", "benchmarks.duplicates"]
    near = {"rensa R + LSH": [*rensa, "out/rlsh.npy", "--algo", "rlsh"]}
    if workload != "w2":
        near = {"rensa C-MinHash": [*rensa, "out/c.npy", "--algo", "c"]} | near
    runner = [str(peers / "runners" / "run_exact.py"), data]
    return {
        **near,
        "near": [*ours, "near", data, "out/near.npy"],
        "datasets (exact)": [python, *runner, "out/datasets.npy", "--tool", "datasets"],
        "polars (exact)": [sys.executable, *runner, "out/polars.npy", "--tool", "polars"],  # the texts as they are
        "exact": [*ours, "exact", data, "out/exact.arrow"],
    }


def run(workload: str, folder: Path, peers: Path, python: str) -> None:
    """Run every system in turn and print the table."""
    import statistics  # `ours` needs none

    commands = systems(workload, folder, peers, python)
    told: dict[str, list[dict[str, Any]]] = {system: [] for system in commands}
    root = {"PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
    for _ in range(RUNS):
        for system, command in commands.items():
            told[system].append(json.loads(_told(command, folder, root)))
    print(f"\n{workload}: {folder}")
    print(f"{'system':<18} {'CPU s':>7} {'ratio':>6} {'MiB':>6} {'kept':>8}  recall >= .8  merged below  families lost")
    first: dict[str, float] = {}
    for system, runs in told.items():
        job = "exact" if "exact" in system else "near"
        cpu = statistics.median(run["cpu_s"] for run in runs)
        ratio = cpu / first.setdefault(job, cpu)
        peak = max(run["peak_mib"] for run in runs)
        truth = _judged(folder, workload, commands[system]) if job == "near" else ""
        print(f"{system:<18} {cpu:7.2f} {ratio:6.3f} {peak:6} {runs[0]['kept']:8}  {truth}", flush=True)


def _judged(folder: Path, workload: str, command: Sequence[str]) -> str:
    kept = next(word for word in command if word.endswith(".npy"))
    peers = Path(os.environ.get("GRISTMILL_PEERS", "../shared/peers")).resolve()
    truth = json.loads(_told([sys.executable, str(peers / "evald.py"), name(workload), kept], folder, {}))
    recall, pairs = truth["true_pairs"]["jc5>=0.8"]
    merged, others = truth["true_pairs"]["jc5<0.8 merged"]
    return f"{recall:.4f} of {pairs}  {merged:.2%} of {others}  {truth['families_lost_all']}"


def main(scratch: Path, workloads: Sequence[str]) -> None:
    """Make the workloads and print a table each, then what an index of the first takes."""
    peers = Path(os.environ.get("GRISTMILL_PEERS", "../shared/peers")).resolve()
    if not peers.is_dir():
        raise SystemExit(f"{peers}: the peers' folder is not there; name it by GRISTMILL_PEERS")
    python = os.environ.get("GRISTMILL_PEERS_PYTHON", sys.executable)
    _told([python, "-c", "import rensa, datasets"], Path.cwd(), {})
    for workload in workloads:
        run(workload, made(scratch.resolve(), workload, peers), peers, python)
    folder = made(scratch.resolve(), workloads[0], peers)
    data = str(folder / "data" / f"{name(workloads[0])}.parquet")
    command = [sys.executable, "-m", "benchmarks.duplicates", "index", data, "out/index.parquet"]
    print(f"\nindex of {workloads[0]}:", _told(command, folder, {"PYTHONPATH": str(Path.cwd())}))


if __name__ == "__main__":
    if sys.argv[1] in {"near", "exact"}:
        ours(*sys.argv[1:4])
    elif sys.argv[1] == "index":
        index(*sys.argv[2:4])
    else:
        main(Path(sys.argv[1]), sys.argv[2:] or list(SEEDS))
