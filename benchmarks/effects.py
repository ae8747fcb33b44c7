"""Do the intervals of a proof hold the truth as often as they say? `python -m benchmarks.effects [PROOFS]`.

Simulated proofs with a known effect: 400 tasks of unlike difficulty, 8 answers to each, seeds that move a whole arm by
chance (standard deviation in points). Prints for several numbers of seeds and spreads how often the 95 % interval holds
the effect, and how often an effect is found where there is none. PROOFS a setting: 400 unless given.
"""

import sys

import numpy as np

from pipelines.effects import effect

TASKS, ANSWERS, EFFECT = 400, 8, 0.05


def arm(chance: np.random.Generator, difficulty: np.ndarray, seeds: int, spread: float, shift: float) -> np.ndarray:
    """Give a simulated grid of pass@1."""
    moved = difficulty[None, :] + shift + chance.normal(0, spread, (seeds, 1))
    return chance.binomial(ANSWERS, moved.clip(0, 1)) / ANSWERS


def main(proofs: int) -> None:
    """Simulate and print."""
    chance = np.random.default_rng(0)
    print(f"{'seeds':>5} {'spread':>8} {'interval holds':>16} {'found where none is':>21}   {proofs} proofs each")
    for seeds in (3, 5, 10):
        for spread in (0.0, 0.01, 0.02):
            holds = found = 0
            for _ in range(proofs):
                difficulty = chance.beta(3, 2, TASKS) * 0.9 + 0.02
                grids = [arm(chance, difficulty, seeds, spread, shift) for shift in (EFFECT, 0.0, 0.0)]
                low, high = effect(grids[0], grids[1], draws=1_000).interval
                truth = float(((difficulty + EFFECT).clip(0, 1) - difficulty).mean())
                holds += low <= truth <= high
                found += effect(grids[1], grids[2], draws=1_000).p <= 0.05  # noqa: PLR2004 - the level it says
            print(f"{seeds:>5} {100 * spread:>6.0f} pt {holds / proofs:>16.1%} {found / proofs:>21.1%}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
