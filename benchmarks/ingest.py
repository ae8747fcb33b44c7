"""What ingest costs: `python -m benchmarks.ingest FOLDER [RUNS [big]]`, in an empty scratch folder.

Makes the planted workload W1 there by the peers' script when it is missing (`GRISTMILL_PEERS` is the peers' folder,
`GRISTMILL_DATA` the data), then, in turns, reads it by polars' bare reader and ingests it, each in a process of its
own: CPU seconds (user and system, of the whole process), medians, and the median ratio. W1 is measured as it is (48,000
of its rows have neither instruction nor input, and so are quarantined) and with `text` as the instruction of such rows
(all are kept). With `big`, ingests 100 MB, 1 GB and 4 GB of JSON Lines too and prints the peaks of memory.
"""

import os
import shutil
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson

from benchmarks.cost import Cost, cost

ROOT = Path(__file__).parent.parent
PEERS = Path(os.environ.get("GRISTMILL_PEERS", ROOT / "../shared/peers")).resolve()
DATA = Path(os.environ.get("GRISTMILL_DATA", ROOT / "../shared/data")).resolve()
WITH = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "SHARED_DATA": str(DATA)}
INGEST = (
    "import sys; from pathlib import Path; from pipelines.ingest import ingest; from pipelines.sources import Source; "
    "facts = ingest(Path(sys.argv[2]), [Source(path=sys.argv[1])]).facts; "
    "import resource; peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024; "
    "print(facts['samples'], facts['rows'] - facts['samples'], peak)"
)


def ingested(file: Path, folder: Path) -> Cost:
    """Ingest a file into a new store."""
    shutil.rmtree(folder / "store", ignore_errors=True)
    return cost([sys.executable, "-c", INGEST, str(file), str(folder / "store")], folder, WITH)


def bare(file: Path, folder: Path) -> Cost:
    """Read a file by polars' bare reader."""
    return cost([sys.executable, str(PEERS / "runners/run_read.py"), str(file), "--tool", "polars"], folder, WITH)


def workloads(folder: Path) -> Iterator[tuple[str, Path]]:
    """Give W1 and its variant in which no row is to be quarantined, made when they are missing."""
    w1, kept = folder / "data/w1.jsonl", folder / "data/w1_kept.jsonl"
    if not w1.exists():
        print("making W1 ...", file=sys.stderr)
        (folder / "out").mkdir(exist_ok=True)
        cost([sys.executable, str(PEERS / "mkdata.py")], folder, WITH)
    if not kept.exists():
        with kept.open("wb") as out:
            for row in map(orjson.loads, w1.open("rb")):
                asked = row["instruction"] or row["input"]
                out.write(orjson.dumps(row if asked else row | {"instruction": row["text"], "output": ""}) + b"\n")
    yield "W1", w1
    yield "W1, no row quarantined", kept


def speed(folder: Path, runs: int) -> None:
    """Print the table of costs."""
    print(f"{'workload':<24} {'samples':>8} {'quarantined':>11} {'bare':>7} {'ingest':>7} {'ratio':>6}")
    for name, file in workloads(folder):
        pairs = [(bare(file, folder), ingested(file, folder)) for _run in range(runs)]
        medians = [statistics.median(one.seconds for one in side) for side in zip(*pairs, strict=True)]
        samples, quarantined, _peak = map(int, pairs[0][1].said.split())
        ratio = statistics.median(ours.seconds / theirs.seconds for theirs, ours in pairs)
        print(f"{name:<24} {samples:8,} {quarantined:11,} {medians[0]:7.2f} {medians[1]:7.2f} {ratio:6.2f}", flush=True)


def memory(folder: Path) -> None:
    """Print the peak of memory for three lengths of a file."""
    _name, source = list(workloads(folder))[1]
    print(f"{'size':>14} {'rows':>10} {'seconds':>8} {'peak MiB':>9}")
    for size in (100 << 20, 1 << 30, 4 << 30):
        file, at = folder / "data/big.jsonl", 0
        with file.open("wb") as out:
            while out.tell() < size:
                for line in source.open("rb"):
                    out.write(line.replace(b'"instruction":"', b'"instruction":"%d ' % at, 1))
                    at += 1
                    if out.tell() >= size:
                        break
        ran = ingested(file, folder)
        print(f"{file.stat().st_size:14,} {at:10,} {ran.seconds:8.2f} {ran.said.split()[2]:>9}", flush=True)
        file.unlink()


def main(folder: Path, runs: int, *, big: bool) -> None:
    """Print the tables."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    if not PEERS.is_dir():
        sys.exit(f"the peers are not in {PEERS}; name their folder in GRISTMILL_PEERS")
    speed(folder, runs)
    if big:
        memory(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 5, big="big" in sys.argv)  # noqa: PLR2004
