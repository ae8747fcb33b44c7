"""How far the people of a review agree."""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from judges.agreement import alpha, kappa
from pipelines.review.verdicts import DECKS, SKIP, Said, key_of


def agreement(said: Sequence[Said], deck: str) -> dict[str, Any]:
    """Give each person's verdicts, Krippendorff's alpha (nominal) over all, and Cohen's kappa of each two people.

    What a person skipped is no verdict. Figures are null where nothing was read by two.
    """
    codes = {verdict: float(at) for at, verdict in enumerate(DECKS[deck])}
    units: dict[str, dict[str, float]] = defaultdict(dict)
    counts: dict[str, int] = defaultdict(int)
    for one in said:
        if one["verdict"] and one["verdict"] != SKIP:
            units[key_of(one["ids"])][one["person"]] = codes[one["verdict"]]
            counts[one["person"]] += 1
    both = [list(unit.values()) for unit in units.values()]
    return {
        "things": len(units),
        "by_several": sum(len(unit) > 1 for unit in both),
        "people": dict(sorted(counts.items())),
        "alpha": alpha(both),
        "pairs": [_two(units, *two) for two in itertools.combinations(sorted(counts), 2)],
    }


def _two(units: dict[str, dict[str, float]], one: str, other: str) -> dict[str, Any]:
    shared = [(unit[one], unit[other]) for unit in units.values() if one in unit and other in unit]
    same = sum(a == b for a, b in shared) / len(shared) if shared else None
    beyond = kappa([a for a, _ in shared], [b for _, b in shared])
    return {"people": [one, other], "both": len(shared), "same": same, "kappa": beyond}


def words(told: dict[str, dict[str, Any]]) -> str:
    """Give the agreement on each deck for the terminal."""
    return "\n".join(line for deck, one in told.items() for line in _words(deck, one)) or "nothing was judged yet"


def _words(deck: str, told: dict[str, Any]) -> list[str]:
    if not told["things"]:
        return []
    counts = ", ".join(f"{name} {count:,}" for name, count in told["people"].items())
    lines = [f"{deck}: {told['things']:,} judged, {told['by_several']:,} by several ({counts})"]
    lines += [f"  Krippendorff's alpha: {told['alpha']:.3f}"] if told["alpha"] is not None else []
    for two in told["pairs"]:
        if two["both"]:
            beyond = "" if two["kappa"] is None else f", kappa {two['kappa']:.3f}"
            lines.append(f"  {' and '.join(two['people'])}: the same on {two['same']:.1%} of {two['both']:,}{beyond}")
    return lines
