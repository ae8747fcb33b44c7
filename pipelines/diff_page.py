"""What differs between two versions, as a page: for the terminal and as HTML."""

from pathlib import Path
from typing import Any

from pipelines import charts
from pipelines.closing import number
from pipelines.finished import dataset_named
from pipelines.page import Block, Cell, beside, code, heading, note, table, words
from pipelines.sides import Side

Told = dict[str, Any]
ID = 12  # characters of an id: `./mill trace` takes the beginning of one


def page_of(told: Told, out: Path, *, drawn: bool) -> Block:
    """Give the page of what `compare` told; with charts where `drawn`."""
    sections = [_section("Settings", _settings(told["settings"]))] if "settings" in told else []
    if "figures" in told:
        sections.append(_section("Figures", _figures(told["figures"])))
        sections.append(_section("Samples", _samples(told["samples"])))
    datasets = told.get("datasets", [])
    sections += [_section(one["dataset"], _dataset(one, told, out, drawn=drawn)) for one in datasets]
    return {
        "name": "What differs",
        "facts": f"from {told['a']} to {told['b']}",
        "result": _result(told),
        "sections": sections,
    }


def _section(title: str, blocks: list[Block]) -> Block:
    return {"title": title, "id": title.lower(), "blocks": blocks}


def _result(told: Told) -> str:
    parts = [f"{number(len(told['settings']))} settings differ"] if "settings" in told else []
    if "samples" in told:
        parts.append(f"{number(sum(one['rows'] for one in told['samples']))} samples are elsewhere")
    parts += [
        f"{one['dataset']}: {number(one['added'])} rows added, {number(one['removed'])} removed"
        for one in told.get("datasets", [])
    ]
    return "; ".join(parts) + "."


def _settings(told: list[Told]) -> list[Block]:
    if not told:
        return [words("No setting differs.")]
    rows = [
        [code(one["setting"]), *(code("not set" if one[side] is None else one[side]) for side in ("was", "is"))]
        for one in told
    ]
    return [table(["Setting", "A", "B"], rows)]


def _figures(told: list[Told]) -> list[Block]:
    rows = [[code(one["figure"]), *_two(one["was"], one["is"])] for one in told]
    return [table(["Of the run", "A", "B", "Change"], rows, "123")] if rows else [words("No figure differs.")]


def _two(a: float | None, b: float | None) -> list[Cell]:
    change = "" if a is None or b is None else f"{b - a:+,.4g}"
    return ["none" if a is None else number(a), "none" if b is None else number(b), change]


def _samples(told: list[Told]) -> list[Block]:
    if not told:
        return [words("Every sample is where it was.")]
    counts = [[code(one["was"]), code(one["is"]), number(one["rows"])] for one in told]
    kinds = [
        block
        for one in told
        for block in (
            heading("In A ", code(one["was"]), ", in B ", code(one["is"])),
            table(["From", "Sample", "Why"], [_shown(row) for row in one["examples"]]),
        )
    ]
    return [note("diff_samples"), table(["In A", "In B", "Samples"], counts, "2"), *kinds]


def _shown(row: Told) -> list[Cell]:
    return [code(row["origin"]), code(row["id"][:ID]), code(row["why"] or "by another version's files or rules")]


def _dataset(told: Told, whole: Told, out: Path, *, drawn: bool) -> list[Block]:
    counts = [["In both", number(told["same"])], ["Added", number(told["added"])], ["Removed", number(told["removed"])]]
    counts += [[f"Moved from {one['was']} to {one['is']}", number(one["rows"])] for one in told["splits"]]
    beside_each_other = [[code(one["figure"]), *_two(one["a"], one["b"])] for one in told["distributions"]]
    return [
        table(["Rows", "Count"], counts, "1"),
        *_reasons("Added: why A does not have them", told["why_added"]),
        *_reasons("Removed: why B does not have them", told["why_removed"]),
        table(["Distribution", "A", "B", "Change"], beside_each_other, "123"),
        *(_charts(told["dataset"], whole, out) if drawn else []),
    ]


def _reasons(title: str, told: list[Told]) -> list[Block]:
    if not told:
        return []
    counts = [[code(one["why"]), number(one["rows"])] for one in told]
    rows = [
        [code(row["id"]), code(row["sample"]), code(row["why"] or one["why"])]
        for one in told
        for row in one["examples"]
    ]
    return [heading(title), table(["Reason", "Rows"], counts, "1"), table(["Row", "Sample", "Found"], rows)]


def _charts(name: str, whole: Told, out: Path) -> list[Block]:
    """Draw the lengths of both sides' replies with the same axes."""
    sides = {side: Side(dataset_named(whole[side], out)).rows(name)["characters"].drop_nulls() for side in ("a", "b")}
    if not all(len(values) for values in sides.values()):
        return []
    return [beside(*charts.lengths({side.upper(): values for side, values in sides.items()}))]
