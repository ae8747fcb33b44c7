"""A page for a terminal: the same blocks as in HTML, as aligned plain text."""

from collections.abc import Iterator

from pipelines.closing import visible
from pipelines.page import BAR, Block, Cell

WIDE = 100  # characters of a cell


def plain(page: Block) -> str:
    """Give a page as plain text."""
    lines = [page["name"], page["facts"], page["result"]]
    for section in page["sections"]:
        lines += ["", section["title"], "-" * len(section["title"])]
        for block in section["blocks"]:
            lines += _block(block)
    return "\n".join(line.rstrip() for line in lines)


def _block(block: Block) -> Iterator[str]:
    if block["kind"] in {"text", "heading"}:
        yield from ("", _cell(block["parts"])) if block["kind"] == "heading" else (_cell(block["parts"]),)
    elif block["kind"] == "table":
        yield from _table(block)
    elif block["kind"] == "beside":
        for one in block["blocks"]:
            yield from _block(one)
    elif block["kind"] == "examples":
        for item in [*block["items"], *block["more"]]:
            yield from _example(item)


def _cell(value: Cell) -> str:
    if isinstance(value, list):
        return "".join(map(_cell, value))
    if isinstance(value, dict):
        return "█" * round(BAR * value["bar"]) if "bar" in value else visible(value["code"])
    return visible(value)


def _table(block: Block) -> Iterator[str]:
    rows = [list(block["columns"]), *([_one_line(_cell(cell)) for cell in row] for row in block["rows"])]
    if block["columns"] == ["Figure", "Value"]:
        rows = rows[1:]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, widths, range(len(widths)), strict=True)
        yield "  " + "  ".join(one.rjust(w) if at in block["numbers"] else one.ljust(w) for one, w, at in cells)
    yield ""


def _one_line(text: str) -> str:
    line = " ↵ ".join(text.split("\n"))
    return line if len(line) <= WIDE else line[:WIDE] + " …"


def _example(item: Block) -> Iterator[str]:
    if item["facts"]:
        yield "* " + _cell(item["facts"])
    for name, text in item["texts"]:
        first, *rest = visible(text).split("\n")
        yield f"    {name}: {first}"
        yield from (f"    {' ' * len(name)}  {line}" for line in rest)
