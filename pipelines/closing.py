"""What a person is shown: numbers and row texts made readable and safe, and a run's closing words."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

UNSEEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}  # categories of control, format and other characters without a shape
BLANK = {"\u115f", "\u1160", "\u3164", "\uffa0", "\u2800"}  # letters that show as nothing
NO_FIGURE = "no figure"
UNITS = 1_000  # a measured value from here on is told to the unit
SEPARATED = 10_000  # and from here on with thousands separators
HUGE = 1e15  # and from here on with its power of ten
ENDLESS = 1_000_000_000  # rows: the default maximum of `filters.picks:mixed`


def visible(text: str) -> str:
    """Give the text with each character that is not seen, or that reorders its neighbours, as ⟦U+202E⟧.

    Line feeds and tabs stay. So do the two variation selectors that emoji are written with.
    """
    return "".join(f"⟦U+{ord(letter):04X}⟧" if _hidden(letter) else letter for letter in text)


def _hidden(letter: str) -> bool:
    if letter in "\n\t" or "\x20" <= letter <= "\x7e":
        return False
    selector = "\ufe00" <= letter <= "\ufe0d" or "\U000e0100" <= letter <= "\U000e01ef"
    return selector or letter in BLANK or unicodedata.category(letter) in UNSEEN


def shortened(text: str, limit: int = 400, lines: int = 12) -> str:
    """Give the first `limit` characters and `lines` lines, and how many characters there are when that is not all."""
    start = "\n".join(text[:limit].split("\n")[:lines])
    return text if start == text else f"{start} … ({len(text):,} characters)"


def number(value: float | None) -> str:
    """Give a number with thousands separators; up to four significant digits below 1,000."""
    if value is None:
        return NO_FIGURE
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 1_000 else f"{value:.4g}"  # noqa: PLR2004


def measured(value: float | None, apart: Iterable[float] = ()) -> str:
    """Give a rule's value, or a bound, with thousands separators from 10,000 on: 2022 may be a year.

    Whole numbers are given as such; others to four significant digits, or to the unit from 1,000 on, and to as many
    more as tell the value from the others in `apart`.
    """
    if value is None:
        return NO_FIGURE
    others = {float(other) for other in apart} - {float(value)}
    told = (_digits(value, more) for more in range(14))  # 17 digits tell any two apart
    return next(
        (one for more, one in enumerate(told) if all(_digits(other, more) != one for other in others)), str(value)
    )


def _digits(value: float, more: int) -> str:
    size = abs(value)
    if size >= HUGE or (size < UNITS and not float(value).is_integer()):
        return f"{value:.{4 + more}g}"
    decimals = 0 if float(value).is_integer() else more
    return f"{value:,.{decimals}f}" if size >= SEPARATED else f"{value:.{decimals}f}"


def keeps(rule: Mapping[str, Any]) -> str:
    """Say what a rule keeps: its `minimum` and `maximum`, or the likeness below which rows do not match."""
    if rule["kind"] == "match":
        return f"likeness below {measured(rule['maximum'])}" if rule["maximum"] else "what matches nothing"
    if endless(rule["kind"], rule["maximum"]):
        return "every row that gets a place"
    ends = [("at least", rule["minimum"]), ("at most", rule["maximum"])]
    return " and ".join(f"{side} {measured(bound)}" for side, bound in ends if bound is not None) or "everything"


def endless(kind: str, maximum: float | None) -> bool:
    """Tell whether a bound is the one that `filters.picks:mixed` has by default: more rows than there are."""
    return kind == "pick" and maximum is not None and maximum >= ENDLESS


def percent(value: float | None) -> str:
    """Give a fraction in percent, with one digit."""
    return NO_FIGURE if value is None else f"{100 * value:.1f} %"


def share(value: float | None, interval: Sequence[float] | None) -> str:
    """Give a fraction in percent with its interval, as 61.0 % [58.2, 63.8]."""
    return percent(value) + _bracket(interval)


def points(value: float | None, interval: Sequence[float] | None) -> str:
    """Give a difference of fractions in points with its sign and interval, as +22.2 points [19.9, 24.5]."""
    return NO_FIGURE if value is None else f"{100 * value:+.1f} points" + _bracket(interval)


def _bracket(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def of(part: int, whole: int) -> str:
    """Give a count with its share, as 28 (0.1 %)."""
    return f"{number(part)} ({percent(part / whole)})" if whole else number(part)


def duration(seconds: float | None) -> str:
    """Give seconds, or minutes and seconds from 100 s on."""
    if seconds is None:
        return NO_FIGURE
    if seconds < 100:  # noqa: PLR2004 - the bound that the first sentence tells
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60:,} min {int(seconds) % 60:02} s"


def aligned(rows: Sequence[Sequence[str]], *, words: int) -> list[str]:
    """Give the lines of a plain table: the first `words` columns to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if at < words else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(map(visible, row), widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def result(summary: dict[str, Any]) -> str:
    """Give what a run came to in one sentence."""
    rows = summary["rows"]
    words = (
        f"{number(rows['read'])} rows read; {number(rows['kept'])} kept; "
        f"{number(rows['sft'])} SFT rows and {number(rows['preferences'])} preference pairs"
    )
    return "; ".join([words, *_rise(summary["evaluation"])])


def _rise(evaluation: dict[str, Any]) -> list[str]:
    told = [
        share(evaluation[when]["pass@1"], evaluation[when]["interval"])
        for when in ("before", "after")
        if when in evaluation
    ]
    return [f"pass@1 {' -> '.join(told)}"] if told else []


def reviewed(told: dict[str, Any]) -> str:
    """Give what people's reviews changed of a selection in one sentence."""
    changed = (
        f"{number(told['flipped'])} pairs flipped and {number(told['removed'])} removed, "
        f"{number(told['sft_removed'])} SFT rows removed"
    )
    same = f"{number(told['confirmed'])} pairs and {number(told['sft_confirmed'])} SFT rows confirmed"
    rest = f"{number(told['split'])} without a majority left as they were, {number(told['not_picked'])} not picked"
    return f"reviews by {number(len(told['people']))} people: {changed}; {same}; {rest}"


def closing_words(summary: dict[str, Any]) -> str:
    """Give the end of a run as plain text: rows at every stage, requests, judges, pass@1, seconds, and the folders."""
    lines = [
        f"{summary['name']}, version {summary['version']}",
        "",
        *(_flow(summary["flow"]) if "flow" in summary else _rows(summary["rows"])),
        "",
        _requests(summary["requests"]),
        *(_judge(name, judge) for name, judge in summary["judges"].items()),
        *([reviewed(summary["reviews"])] if summary.get("reviews") else []),
        *_evaluation(summary["evaluation"]),
        f"time: {duration(sum(summary['seconds'].values()))} in all stages, counting those that were used again",
        "",
        *_places(summary),
    ]
    return "\n".join(visible(line) for line in lines)


def _rows(rows: dict[str, int]) -> list[str]:
    told = {
        "rows read": "read",
        "quarantined": "quarantined",
        "dropped": "dropped",
        "kept": "kept",
        "candidates": "candidates",
        "SFT rows": "sft",
        "preference pairs": "preferences",
    }
    return [f"  {name:<18}{number(rows[key]):>12}" for name, key in told.items()]


def _flow(flow: Sequence[dict[str, Any]]) -> list[str]:
    lines = []
    for stage in flow:
        after = ", ".join(f"{number(count)} {name}" for name, count in stage["after"].items()) or "nothing"
        lines.append(f"  {stage['stage']:<32}{number(stage['before']):>12} -> {after}")
    return lines


def _requests(requests: dict[str, Any]) -> str:
    again = "; run again to ask the failed ones again" if requests["failed"] else ""
    if left := requests.get("not_asked"):
        again = f", {number(left)} of them not asked: the budget is used up; run again with a larger one to go on"
    return (
        f"requests: {number(requests['asked'])} asked, {number(requests['from_ledger'])} from the ledger, "
        f"{number(requests['failed'])} failed{again}"
    )


def _judge(name: str, judge: dict[str, Any]) -> str:
    if judge["kind"] == "verifier":
        passed = percent(judge["passed"] / judge["scored"]) if judge["scored"] else NO_FIGURE
        told = f"{name}: {number(judge['passed'])} of {number(judge['scored'])} candidates pass ({passed})"
        if outside := judge.get("outside"):  # a run of an earlier version doesn't tell it
            told += f"; {number(outside)} scores are not between 0 and 1: a `least` says from which on one passes"
        return told
    if judge["kind"] == "reply judge" and judge["agreement"] is None:
        return f"{name}: {number(judge['scored'])} of {number(judge['candidates'])} candidates scored, none checkable"
    if judge["agreement"] is None:
        return f"{name}: {number(judge['comparisons'])} comparisons, none of which a verifier can check"
    agreement = share(judge["agreement"], judge["interval"])
    return f"{name}: agrees with the verifiers in {agreement} of {number(judge['verified_pairs'])} pairs"


def _evaluation(evaluation: dict[str, Any]) -> list[str]:
    lines = [words.replace("pass@1", "pass@1:") for words in _rise(evaluation)]
    if "rise" in evaluation:
        rise = evaluation["rise"]
        lines.append(f"rise: {points(rise['pass@1'], rise['interval'])}, paired over {number(rise['tasks'])} tasks")
    return lines


def _places(summary: dict[str, Any]) -> list[str]:
    folder = Path(summary["folder"])
    names = ["sft/", "preferences/", "dropped/", "report.html", *(["checkpoint/"] if summary["training"] else [])]
    return [f"{folder}", f"  {'  '.join(names)}", f"the newest run is always {folder.with_name('latest')}"]
