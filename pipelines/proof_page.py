"""What a proof says: a table for the terminal, lines that a person understands, and a page of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from pipelines import charts, page
from pipelines.arms import CURATED, RAW, SHUFFLED
from pipelines.closing import aligned, number, percent, points, visible
from pipelines.page import Block, code, note, table, words
from pipelines.store import write_bytes

Proof = dict[str, Any]
ONE_SEED = (
    "one seed alone: these intervals are over the tasks, and leave out how far two trainings on like data are apart by "
    "chance, which can be as much; --seeds with three or more tells"
)


def lines(proof: Proof) -> list[str]:
    """Give a line for each arm: what its part of the recipe does, in points of pass@1, or that nothing was measured.

    Of one seed a last line says what its intervals leave out.
    """
    told = [_line(name, arm) for name, arm in proof["arms"].items()]
    return told if len(proof["seeds"]) > 1 else [*told, ONE_SEED]


def _line(name: str, arm: Proof) -> str:
    told = arm["pass"]["1"]
    rise = points(told["rise"]["mean"], told["rise"]["interval"])
    if name == CURATED:
        return f"trained on the curated data, pass@1 is {percent(told['mean'])}: {rise}"
    below = told["below_curated"]
    apart = points(below["mean"], below["interval"])
    subject = _subject(name, arm["what"])
    if name == SHUFFLED:
        rose = "" if told["rise"]["interval"][0] > 0 else " (no rise)"
        return f"{subject}: {apart}; with shuffled labels the model moved by {rise}{rose}"
    if name == RAW:
        return f"{subject}: {apart}; on the raw data the model moved by {rise}"
    if arm["same_data"]:
        return f"{subject}: the training data is the same without it"
    if not told["differs"]:
        return f"{subject}: no effect measured, {apart}"
    return f"{subject}: {apart}"


def _subject(name: str, what: Proof) -> str:
    """Name what the difference to the curated arm is due to."""
    if name == RAW:
        return "curation as a whole, against the raw data"
    if name == SHUFFLED:
        return "the labels, against shuffled ones"
    if set(what) == {"without"}:
        kinds = {"filters": "the rule", "judges": "the judge"}
        return ", ".join(f"{kinds.get(part.partition('.')[0], 'the part')} {part}" for part in what["without"])
    return f"the recipe's own way, against the arm {name}"


def rows(proof: Proof) -> Iterator[list[str]]:
    """Give each arm's row: what it trained on, pass@k, the rise, how far curated is above it."""
    for name, arm in proof["arms"].items():
        jobs = ", ".join(_read(job) for job in arm["jobs"])
        passes = [percent(told["mean"]) for told in arm["pass"].values()]
        told = arm["pass"]["1"]
        rise = points(told["rise"]["mean"], told["rise"]["interval"])
        below = told["below_curated"]
        apart = points(below["mean"], below["interval"]) if name != CURATED else ""
        differs = "" if name == CURATED else "same data" if arm["same_data"] else "yes" if told["differs"] else "no"
        yield [name, jobs, *passes, rise, apart, differs]


def _read(job: Proof) -> str:
    return f"{job['method']}: {number(job['rows'])} rows {number(round(job['passes'], 2))} times"


def terminal(proof: Proof) -> str:
    """Give the proof as plain text."""
    sizes = [f"pass@{k}" for k in proof["k"]]
    head = ["arm", "trained on", *sizes, "rise", "curated is above it by", "differs"]
    before = ["before", "", *(percent(proof["before"][str(k)]) for k in proof["k"]), "", "", ""]
    return "\n".join(
        [
            f"{visible(proof['name'])}: {_how(proof)}",
            "",
            *aligned([head, before, *rows(proof)], words=2),
            "",
            *map(visible, lines(proof)),
        ]
    )


def _how(proof: Proof) -> str:
    tasks = next(iter(proof["arms"].values()))["pass"]["1"]["tasks"]
    read = ", ".join(f"{number(job['tokens'])} tokens of {job['method']}" for job in proof["tokens"])
    seeds = ("s " if len(proof["seeds"]) > 1 else " ") + ", ".join(map(str, proof["seeds"]))
    return (
        f"each arm trains the same model on at most {read}, with the seed{seeds}; "
        f"{number(proof['samples'])} answers to each of {number(tasks)} held-out tasks"
    )


def whole(proof: Proof) -> Block:
    """Give the page of a proof."""
    sizes = [f"pass@{k}" for k in proof["k"]]
    columns = ["Arm", "Trained on", *sizes, "Rise over before", "Curated is above it by", "Differs"]
    before = ["before", "", *(percent(proof["before"][str(k)]) for k in proof["k"]), "", "", ""]
    told = [[code(name), *rest] for name, *rest in rows(proof)]
    seeds = [[code(name), *(points(value, None) for value in _by_seed(proof, name))] for name in proof["arms"]]
    every = [*(f"{at}" for at in range(2, 2 + len(sizes)))]
    sections = {
        "Effects": [words(line + ".") for line in lines(proof)] + _chart(proof),
        "Arms": [note("proof"), table(columns, [before, *told], "".join(every)), *_jobs(proof)],
        **({} if proof["ablation"] else {"Pairs": [note("proof_pairs"), _pairs(proof)]}),
        "Seeds": [
            note("proof_seeds"),
            table(
                ["Rise of pass@1", *(f"seed {one}" for one in proof["seeds"])],
                seeds,
                "123456789"[: len(proof["seeds"])],
            ),
        ],
    }
    return {
        "name": f"{proof['name']}: " + ("what each part does" if proof["ablation"] else "does the data help?"),
        "facts": _how(proof),
        "result": lines(proof)[0] + ".",
        "sections": [{"title": title, "id": title.lower(), "blocks": blocks} for title, blocks in sections.items()],
    }


def _pairs(proof: Proof) -> Block:
    told = [
        [
            code(one["above"]),
            code(one["below"]),
            points(one["mean"], one["interval"]),
            "yes" if one["differs"] else "no",
        ]
        for one in proof["pairs"]
    ]
    return table(["Arm", "Other", "The first is above the other by", "Differs"], told)


def _by_seed(proof: Proof, name: str) -> list[float]:
    found: list[float] = proof["arms"][name]["pass"]["1"]["rise"]["by_seed"]
    return found


def _jobs(proof: Proof) -> list[Block]:
    told = [
        [code(name), job["method"], *(number(job[key]) for key in ("rows", "passes", "read", "tokens", "steps"))]
        for name, arm in proof["arms"].items()
        for job in arm["jobs"]
    ]
    return [table(["Arm", "Job", "Its rows", "Passes", "Rows read", "Tokens read", "Steps"], told, "23456")]


def _chart(proof: Proof) -> list[Block]:
    """Draw each arm's rise with its interval, in points, beside no rise."""
    values = []
    for name, arm in proof["arms"].items():
        told = arm["pass"]["1"]["rise"]
        low, high = told["interval"]
        values.append({"name": visible(name), "mean": 100 * told["mean"], "low": 100 * low, "high": 100 * high})
    y = {"field": "name", "type": "nominal", "sort": None, "title": None, "axis": {"domain": False, "ticks": False}}
    x = {"field": "low", "type": "quantitative", "title": "points of pass@1 over before", "axis": {"tickCount": 6}}
    layers: list[dict[str, Any]] = [
        {"mark": {"type": "rule", "strokeDash": [4, 3], "stroke": charts.INK}, "encoding": {"x": {"datum": 0}}},
        {
            "mark": {"type": "rule", "color": charts.KEPT, "strokeWidth": 2},
            "encoding": {"x": x, "x2": {"field": "high"}, "y": y},
        },
        {
            "mark": {"type": "point", "color": charts.KEPT, "filled": True, "size": 70, "opacity": 1},
            "encoding": {"x": x | {"field": "mean"}, "y": y},
        },
    ]
    label = "Rise of pass@1: " + "; ".join(
        f"{one['name']} {one['mean']:+.1f} points [{one['low']:.1f}, {one['high']:.1f}]" for one in values
    )
    return [charts.drawn({"data": {"values": values}, "layer": layers}, label, 50 + 26 * len(values))]


def lay_out(proof: Proof, root: Path) -> Path:
    """Write the proof beside the recipe's runs, as HTML, Markdown and JSON, and give the folder."""
    folder = root / ("ablation" if proof["ablation"] else "proof")
    folder.mkdir(parents=True, exist_ok=True)
    told = whole(proof)
    write_bytes(folder / "proof.html", page.html(told).encode())
    write_bytes(folder / "proof.md", page.markdown(told).encode())
    write_bytes(folder / "proof.json", orjson.dumps(proof | {"lines": lines(proof)}, option=orjson.OPT_INDENT_2))
    return folder
