"""What a loop's rounds came to: a table for the terminal, and a page beside the run's report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from judges.best_of_n import divergence
from pipelines import charts, page
from pipelines.closing import aligned, number, percent, points, share, visible
from pipelines.page import Block, note, table, words
from pipelines.store import write_bytes
from pipelines.train import DATASET

Summary = dict[str, Any]
WHAT = {"sft": "rows", "preferences": "pairs"}
LOST = 0.01  # of pass@k, below the first policy's: told as lost diversity


def verdict(loop: Summary) -> list[str]:
    """Say how the rounds ended, which was the best, and whether diversity was lost."""
    first, best = loop["rounds"][0], loop["rounds"][loop["best"]]
    told = [f"ended: {loop['why_ended']}"]
    if loop["best"]:
        rise = best["held_out"]["rise"]
        told.append(
            f"the best is round {loop['best']}: {points(rise['pass@1'], rise['interval'])} over the first policy"
        )
    else:
        told.append("no round is better than the first policy; no checkpoint is given")
    for k, before in list(first["held_out"]["pass"].items())[1:]:
        after = best["held_out"]["pass"][k]
        if before is not None and after is not None and after < before - LOST:
            told.append(f"pass@{k} fell from {percent(before)} to {percent(after)}: the policy has lost diversity")
    for one in loop["rounds"]:
        if "targeted" in one:
            weak = ", ".join(one["targeted"]["weak"]) or "none, so there was no RL"
            told.append(f"round {one['round']}: RL on the weak families: {weak}")
    if "divergence" in loop:
        told.append(f"the replies learned from are at most {loop['divergence']:.3f} nats from the policy's own")
    return told


def rows(loop: Summary) -> list[list[str]]:
    """Give each round's row; candidates and what was learned are of the policy before it, the rest of what came out."""
    return [
        [
            str(one["round"]),
            *(percent(value) for value in one["held_out"]["pass"].values()),
            points(one["held_out"]["rise"]["pass@1"], one["held_out"]["rise"]["interval"]) if one["round"] else "",
            number(_rounded(one.get("reward"))) if one["round"] else "",
            percent(one.get("solved")) if one["round"] else "",
            percent(one.get("agreement")) if one.get("agreement") is not None else "",
            ", ".join(_learned(told, several=len(one["passes"]) > 1) for told in one.get("passes", ())),
            _stale(one.get("stale")),
            number(_rounded(one["held_out"]["characters"])),
            percent(one["held_out"]["distinct"]),
        ]
        for one in loop["rounds"]
    ]


def columns(loop: Summary) -> list[str]:
    """Name the columns of `rows`."""
    sizes = [f"pass@{k}" for k in loop["rounds"][0]["held_out"]["pass"]]
    return ["round", *sizes, "rise", "reward", "solved", "agreement", "learned", "stale", "characters", "distinct"]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _learned(told: Summary, *, several: bool) -> str:
    """Say what a pass learned, and where there are several from which score on."""
    kinds = dict.fromkeys(DATASET[method] for method in told["jobs"])
    rows = " and ".join(f"{number(told[kind])} {WHAT[kind]}" for kind in kinds if kind in WHAT) or ", ".join(
        told["jobs"]
    )
    return rows if told["threshold"] is None or not several else f"{rows} from {number(told['threshold'])}"


def _stale(told: Summary | None) -> str:
    seen = [one for one in (told or {}).values() if one is not None]
    return percent(max(one["older"] for one in seen)) if seen else ""


def terminal(summary: Summary) -> str:
    """Give the rounds as plain text."""
    loop = summary["loop"]
    lines = aligned([columns(loop), *rows(loop)], words=0)
    return "\n".join([f"rounds of {loop['method']}", *lines, *map(visible, verdict(loop))])


def lay_beside(summary: Summary) -> Summary:
    """Write the rounds' page into the run's folder, `summary.json` with them, and give the summary."""
    folder = Path(summary["folder"])
    told = whole(summary)
    write_bytes(folder / "rounds.html", page.html(told).encode())
    write_bytes(folder / "rounds.md", page.markdown(told).encode())
    write_bytes(folder / "summary.json", orjson.dumps(summary, option=orjson.OPT_INDENT_2))
    return summary


def whole(summary: Summary) -> Block:
    """Give the page of the rounds."""
    loop = summary["loop"]
    names = [name.capitalize() if "@" not in name else name for name in columns(loop)]
    sections = {
        "Rounds": [
            note("rounds"),
            table(names, rows(loop), "".join(str(at) for at in range(min(len(names), 10)))),
            *_chart(loop),
        ],
        "Outcome": [words(line + ".") for line in verdict(loop)],
    }
    if loop["method"] == "best-of-n":
        sizes = (2, 4, 8, 16, 64)
        sections["Divergence"] = [
            note("best_of_n"),
            table(["n", "nats at most"], [[number(n), f"{divergence(n):.3f}"] for n in sizes], "01"),
        ]
    last = loop["rounds"][loop["best"]]["held_out"]
    return {
        "name": f"{summary['name']}: rounds of {loop['method']}",
        "facts": f"version {summary['version']}, seed {summary['seed']}",
        "result": f"{verdict(loop)[1]}; pass@1 {share(last['pass']['1'], last['interval'])}.",
        "sections": [{"title": title, "id": title.lower(), "blocks": blocks} for title, blocks in sections.items()],
    }


def _chart(loop: Summary) -> Sequence[Block]:
    """Draw pass@k by round."""
    values = [
        {"round": one["round"], "k": f"pass@{k}", "value": value}
        for one in loop["rounds"]
        for k, value in one["held_out"]["pass"].items()
        if value is not None
    ]
    x = {"field": "round", "type": "ordinal", "title": "round", "axis": {"labelAngle": 0}}
    y = {
        "field": "value",
        "type": "quantitative",
        "title": None,
        "scale": {"domain": [0, 1]},
        "axis": {"format": ".0%"},
    }
    tone = {
        "field": "k",
        "type": "nominal",
        "title": None,
        "scale": {"range": [charts.KEPT, charts.BROKEN, charts.INK]},
    }
    line = {"mark": {"type": "line", "point": True}, "encoding": {"x": x, "y": y, "color": tone}}
    label = "By round: " + "; ".join(f"{one['round']}, {one['k']} {percent(one['value'])}" for one in values)
    return [charts.drawn({"data": {"values": values}, **line}, label, 180)]
