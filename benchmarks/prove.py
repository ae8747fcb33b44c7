"""Does the data help, and what of it? `python -m benchmarks.prove [RUNS]`.

The proof of `recipes/prove.toml`: the tiny model trained on the demo's rows raw, curated, with shuffled verdicts, and
by its own judgment in the verifier's place; equal tokens, three seeds. Prints the proof and its CPU and wall seconds,
those of trainers and engines included; what was done before took none. Ends with 1 where a claim does not hold: curated
data raises pass@1 and shuffled data does not; verified selection is above judged, and that above shuffled.
"""

import resource
import sys
import time
from pathlib import Path

from pipelines.opened import opened
from pipelines.progress import lines
from pipelines.proof_page import lay_out, terminal
from pipelines.prove import prove
from pipelines.recipe import Recipe


def main(out: Path) -> int:
    """Prove, print, and check the claims."""
    recipe = Recipe.read("recipes/prove.toml")
    start = time.monotonic()
    with opened(recipe, out, lines(lambda text: print(text, file=sys.stderr, flush=True))) as run:
        told = prove(run)
        folder = lay_out(told, run.folder)
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(one.ru_utime + one.ru_stime for one in spent)
    print(f"{terminal(told)}\n\n{folder}\n{cpu:,.0f} CPU s, {time.monotonic() - start:,.0f} s")
    passes = {name: arm["pass"]["1"] for name, arm in told["arms"].items()}
    pairs = {(pair["above"], pair["below"]): pair for pair in told["pairs"]}
    claims = {
        "curated data raises pass@1": passes["curated"]["rise"]["interval"][0] > 0,
        "shuffled labels do not": passes["shuffled"]["rise"]["interval"][0] <= 0,
        "verified selection is above judged": passes["judged"]["below_curated"]["interval"][0] > 0,
        "judged selection is above shuffled": pairs["shuffled", "judged"]["interval"][1] < 0,
    }
    for claim, holds in claims.items():
        print(f"{'holds' if holds else 'FAILS'}: {claim}")
    return int(not all(claims.values()))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs")))
