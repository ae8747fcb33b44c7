"""The last look for secrets and personal data, over what is about to be published: rows and documents."""

from collections.abc import Iterator

import polars as pl

from filters.private import HINTS, KINDS, spans

FOUND = pl.Schema({"id": pl.String, "column": pl.String, "kind": pl.String, "shown": pl.String})
HASHES = {"id", "sample_id", "candidate_id", "chosen_id", "rejected_id", "a_id", "b_id", "request_key", "revision"}
SHOWN = 3  # characters of what was found


def scanned(rows: pl.DataFrame) -> pl.DataFrame:
    """Give what is private in the texts of `rows`: the row's id, the column, the kind, and how the first of it starts.

    Looked at are chats, with their tool calls, and texts, in structs and lists too; not the columns that hold hashes.
    What is private is told by form, as by the rules of `filters.private`; an address that is nobody's is not.
    """
    hint = "|".join(f"(?:{pattern})" for pattern in HINTS.values())
    found: list[tuple[str, str, str, str]] = []
    for column, kind in rows.schema.items():
        told = None if column in HASHES else _text(column, kind)
        if told is None:
            continue
        texts = rows.select("id", text=told)
        for row, words in texts.filter(pl.col("text").str.contains(hint)).iter_rows():
            found += [(row, column, *one) for one in _private(words)]
    return pl.DataFrame(found, schema=FOUND, orient="row").unique(
        ["id", "column", "kind"], keep="first", maintain_order=True
    )


def scanned_text(name: str, text: str) -> list[tuple[str, str, str, str]]:
    """Give what is private in a document, as `scanned` does: its name with the line, in the place of a row's id."""
    lines = enumerate(text.splitlines(), 1)
    found = [(f"{name}:{at}", "text", *one) for at, line in lines for one in _private(line)]
    long = [one for one in _private(text) if one not in {(kind, shown) for _, _, kind, shown in found}]
    return found + [(name, "text", *one) for one in long]  # a private key has several lines


def _private(words: str) -> Iterator[tuple[str, str]]:
    for start, end, kind in spans(words, KINDS):
        yield kind, f"{words[start : start + SHOWN]}... ({end - start} characters)"


def _text(column: str, kind: pl.DataType | type[pl.DataType]) -> pl.Expr | None:
    """Give a column's texts as one a row: of a text, a struct, or a list of either; null where it holds none."""
    inner = kind.inner if isinstance(kind, pl.List) else kind
    if isinstance(inner, pl.Struct):
        fields = [field.name for field in inner.fields if field.dtype == pl.String and field.name not in HASHES]
    elif inner == pl.String:
        fields = []
    else:
        return None
    base = pl.element() if isinstance(kind, pl.List) else pl.col(column)
    parts = [base.struct.field(name) for name in fields] or [base]
    told = pl.concat_str(parts, separator="\n", ignore_nulls=True)
    return pl.col(column).list.eval(told).list.join("\n", ignore_nulls=True) if isinstance(kind, pl.List) else told
