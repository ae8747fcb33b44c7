"""Pages: a list of sections, each a list of blocks, shown as one HTML file or as Markdown with the same content.

Words are plain strings; a name or a text that came with the data is wrapped by `code`. The templates show either as
text, whatever is in it: HTML by escaping, Markdown by code spans and by fences longer than any in the text.
"""

import re
import tomllib
from collections.abc import Iterable, Sequence
from functools import cache
from math import inf
from pathlib import Path
from typing import Any

from pipelines.closing import measured, number, shortened, visible

TEMPLATES = Path(__file__).with_name("templates")
MARKS = re.compile(r"[!-/:-@\[-`{-~]")  # ASCII punctuation: all that Markdown gives a meaning to
BAR = 12  # characters of a full bar in Markdown

Block = dict[str, Any]
Cell = Any  # a string, a `code`, a `bar`, or a list of strings and codes


def code(text: object, limit: int = 200) -> Block:
    """Mark a name or text that came with the data."""
    return {"code": shortened(str(text), limit)}


def bar(part: float, whole: float = 1.0, tone: str = "kept") -> Block:
    """Mark a cell as a bar of `part` in `whole`."""
    return {"bar": round(min(max(part / whole if whole else 0.0, 0.0), 1.0), 4), "tone": tone}


def note(name: str) -> Block:
    """Give a paragraph of `notes.toml`."""
    return words(_notes()[name])


@cache
def _notes() -> dict[str, str]:
    return tomllib.loads((TEMPLATES / "notes.toml").read_text(encoding="utf-8"))


def chat(turns: Sequence[dict[str, Any]]) -> str:
    """Give a chat as text, shortened: one message alone, or each after its role."""
    if len(turns) == 1:
        return reply(turns[0]["content"])
    return "\n\n".join(f"{turn['role']}: {reply(turn['content'])}" for turn in turns)


def reply(text: str | None) -> str:
    """Give a text, shortened; in brackets where there is none."""
    return "(none)" if text is None else shortened(text) if text else "(empty)"


def words(*parts: Cell) -> Block:
    """Give a paragraph."""
    return {"kind": "text", "parts": list(parts)}


def heading(*parts: Cell) -> Block:
    """Give a heading inside a section."""
    return {"kind": "heading", "parts": list(parts)}


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], numbers: str = "") -> Block:
    """Give a table; `numbers` names the columns, by place from 0, that are set flush right."""
    return {"kind": "table", "columns": columns, "rows": list(rows), "numbers": {int(place) for place in numbers}}


def figures(rows: Iterable[Sequence[Cell]]) -> Block:
    """Give a table of named figures."""
    return table(["Figure", "Value"], rows, "1")


def beside(*blocks: Block | None) -> Block:
    """Give blocks that stand side by side where there is room."""
    return {"kind": "beside", "blocks": [block for block in blocks if block is not None]}


def examples(items: Sequence[Block], shown: int = 4) -> list[Block]:
    """Give examples, each with `facts` and with named `texts`, all but the first few folded; nothing without any."""
    return [{"kind": "examples", "items": list(items[:shown]), "more": list(items[shown:])}] if items else []


def origin(place: dict[str, Any]) -> str:
    """Give where a sample came from, as file:row."""
    return f"{place['file']}:{place['row']}"


def dropped(row: dict[str, Any], named: dict[str, dict[str, Any]]) -> Block:
    """Give a dropped sample as an example; `named` holds the samples that others match."""
    facts: list[Cell] = [code(origin(row["origin"])), *_taken(row)]
    texts = [("prompt", chat(row["prompt"])), ("reply", reply(row["reply"]))]
    if row["match"] is not None:
        other = named.get(row["match"])
        facts += [", matches ", code(origin(other["origin"]) if other else row["match"])]
        texts += (
            [("prompt that it matches", chat(other["prompt"])), ("reply to that", reply(other["reply"]))]
            if other
            else []
        )
    if row["span"] is not None:
        facts += [" in ", code(row["span"])]
    facts += [part for name in row["also"] or [] for part in (", also broke ", code(name))]
    return {"facts": facts, "texts": texts}


def _taken(row: dict[str, Any]) -> list[Cell]:
    """Say what a rule measured of a dropped sample: infinity is the place of one that is never picked."""
    if row["measured"] == inf:
        return [", never picked: ", code(row["why"])]
    return [f", measured {measured(row['measured'])}"]


def kept(row: dict[str, Any], value: float | None) -> Block:
    """Give a kept sample as an example, with what a rule measured of it."""
    facts = [] if value is None else [f", measured {measured(value)}"]
    texts = [("prompt", chat(row["prompt"])), ("reply", reply(row["reply"]))]
    return {"facts": [code(origin(row["origin"])), *facts], "texts": texts}


def match(one: dict[str, Any], named: dict[str, dict[str, Any]]) -> Block:
    """Give two rows that are alike as an example; `named` holds the samples among them."""
    both = [(name, named.get(one[name])) for name in ("id", "other")]
    places = [code(origin(row["origin"]) if row else one[name]) for name, row in both]
    span = [] if one["span"] is None else [" in ", code(one["span"])]
    texts = [
        (said, text)
        for (_name, row), order in zip(both, ("first", "second"), strict=True)
        if row
        for said, text in ((f"{order} prompt", chat(row["prompt"])), (f"{order} reply", reply(row["reply"])))
    ]
    return {"facts": [places[0], " and ", places[1], f", likeness {number(one['measured'])}", *span], "texts": texts}


def learned(row: dict[str, Any]) -> Block:
    """Give a row of SFT as an example."""
    facts = [code(row["generator"]), f", score {number(row['score'])}, from ", code(row["source"])]
    return {"facts": facts, "texts": [(name, chat(row[name])) for name in ("prompt", "completion")]}


def leak(row: dict[str, Any]) -> Block:
    """Give a candidate that gives a benchmark away as an example."""
    facts: list[Cell] = [code(", ".join(row["picked"] or [])), " gives away ", code(row["match"])]
    facts += [" by ", code(row["rule"]), f", measured {number(row['measured'])}"]
    facts += [] if row["span"] is None else [" in ", code(row["span"])]
    return {"facts": facts, "texts": [("candidate", reply(row["text"]))]}


def pair(row: dict[str, Any]) -> Block:
    """Give a preference pair as an example."""
    margin = f", margin {number(row['margin'])}"
    texts = [(name, chat(row[name])) for name in ("prompt", "chosen", "rejected")]
    return {"facts": [code(row["chosen_generator"]), " over ", code(row["rejected_generator"]), margin], "texts": texts}


def html(page: Block) -> str:
    """Give the page as one HTML file without scripts; nothing in it is loaded from elsewhere."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def shown(value: object) -> object:
        return value if isinstance(value, Markup) else visible(str(value))

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    css = Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))  # noqa: S704 - our own file
    drawing = Markup  # the charts are drawn from our specs, their texts escaped by Vega
    return environment.get_template("report.html.j2").render(page=page, css=css, drawing=drawing) + "\n"


def markdown(page: Block) -> str:
    """Give the page as Markdown (GitHub's, for its tables)."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(  # noqa: S701 - `inline` and `fenced` escape what Markdown gives a meaning to
        loader=FileSystemLoader(TEMPLATES), trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters |= {"inline": inline, "fenced": fenced}
    text = environment.get_template("report.md.j2").render(page=page)
    return re.sub(r"\n{3,}", "\n\n", text.strip()) + "\n"


def inline(value: Cell) -> str:
    """Give a cell's Markdown on one line, whatever is in it."""
    if isinstance(value, list):
        return "".join(inline(part) for part in value)
    if isinstance(value, dict):
        return "█" * round(BAR * value["bar"]) if "bar" in value else _span(value["code"])
    return re.sub(r"([\\`*_<>&|~#]|\](?=[(\[:]))", r"\\\1", _one_line(value))


def _span(text: str) -> str:
    """Give a code span, or the text with its punctuation as entities where a span can't hold it in a table."""
    line = _one_line(text)
    if not line.strip():
        return "(empty)"
    if "|" in line:
        return MARKS.sub(lambda mark: f"&#{ord(mark[0])};", line)
    fence = "`" * (_longest(line) + 1)
    edge = " " if line.startswith(("`", " ")) or line.endswith(("`", " ")) else ""
    return f"{fence}{edge}{line}{edge}{fence}"


def fenced(text: str) -> str:
    """Give a block of code whose fence is longer than any run of backticks in the text."""
    fence = "`" * max(3, _longest(text) + 1)
    return f"{fence}text\n{visible(text)}\n{fence}"


def _one_line(text: str) -> str:
    return visible(re.sub(r"\s*\n\s*", " ↵ ", text).replace("\t", " "))


def _longest(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
