"""What other bounds would keep, as a terminal shows it."""

from collections.abc import Iterable, Iterator
from typing import Any

from pipelines.bounds_examples import around
from pipelines.closing import endless, keeps, measured, number, percent, visible

BAR = 30  # characters of the longest
SHOWN = 60  # characters of either end of a text
MARK = " <- the recipe's"

Told = dict[str, Any]


def words(explored: list[Told]) -> str:
    """Say it for a terminal: of each rule the histogram, a table a side, and the examples."""
    return "\n\n".join("\n".join(_lines(told)) for told in explored)


def _lines(told: Told) -> Iterator[str]:
    yield visible(told["rule"])
    yield f"  kept: {visible(keeps(told))}; {_counts(told)}"
    yield from _bars(told["histogram"])
    for side in ("minimum", "maximum"):
        yield from _table(told, side)
    yield from _ran(told)
    apart = [bound for bound in (told["minimum"], told["maximum"]) if bound is not None]
    for which, found in told["examples"].items():
        for one in found:
            yield from _example(which, one, apart)


def _counts(told: Told) -> str:
    """Say what is known of how many samples; a pair is two that match, or one with a row outside."""
    if told["kind"] == "match":
        stays = "" if told["keep"] == "first" else f"; of a cluster stays: {visible(told['keep'])}"
        pairs = f"{number(told['pairs'])} pair{'s' * (told['pairs'] != 1)}"
        return f"{pairs} among {number(told['samples'])} samples{stays}"
    if told["kind"] == "pick":
        return f"placed {number(told['measured'])}, never picked: {number(told['never_picked'])}"
    left = told["not_measurable"]
    return f"measured {number(told['measured'])}, not measurable{' and so kept' if left else ''} {number(left)}"


def _bars(bins: list[Told]) -> list[str]:
    edges = [one[end] for one in bins for end in ("from", "to")]
    most = max((one["rows"] for one in bins), default=0)
    rows = []
    for one in bins:
        span = " to ".join(dict.fromkeys(measured(one[end], edges) for end in ("from", "to")))
        rows.append((span, number(one["rows"]), "▇" * max(round(BAR * one["rows"] / most), 1 if one["rows"] else 0)))
    return [f"  {span:>22}  {count:>9}  {bar}".rstrip() for span, count, bar in rows]


def _table(told: Told, side: str) -> Iterator[str]:
    found = told[f"other_{side}"]
    if not found:
        return
    name = "likeness below" if told["kind"] == "match" else {"minimum": "at least", "maximum": "at most"}[side]
    yield f"  {name:>22}  {'kept':>9}  {'lost':>9}"
    for one in found:
        bound = (
            "all places" if endless(told["kind"], one[side]) else measured(one[side], (each[side] for each in found))
        )
        share = percent(one["lost"] / max(one["kept"] + one["lost"], 1))
        here = MARK if one[side] == told[side] else ""
        yield f"  {bound:>22}  {number(one['kept']):>9}  {number(one['lost']):>9}  {share:>7}{here}"


def _ran(told: Told) -> Iterator[str]:
    """Say how many broke a rule on matches in the run, where that is not what it would drop alone."""
    own = next((one["lost"] for one in told["other_maximum"] if one["maximum"] == told["maximum"]), None)
    if told["kind"] == "match" and own != told["broken"]:
        yield f"  in the run {number(told['broken'])} broke it: a row that another rule drops stands for no other"


def _example(which: str, one: Told, apart: Iterable[float]) -> Iterator[str]:
    value = "never picked" if one["value"] is None else f"at {measured(one['value'], apart)}"
    why = f" ({one['why']})" if one.get("why") else ""
    yield visible(f"  {which} {value}{why}: {_excerpt(one['text'], one['found'])}")
    if "other" in one:
        span = f"{one['other']}: {_excerpt(one['span'], None)}" if one["span"] else one["other"]
        yield visible(f"      beside: {_excerpt(one['other_text'], one['found']) if 'other_text' in one else span}")


def _excerpt(text: str, found: str | None) -> str:
    return around(" ".join(text.split()), found and " ".join(found.split()), SHOWN) or "(empty)"
