"""An edit that takes personal data and secrets out of a row and leaves the row."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Literal

import polars as pl

from filters.inside import edited, holding, texts_edited
from filters.private import HINTS, KINDS, Kind, spans
from schemas.tables import SAMPLES, check

Edit = Callable[[pl.DataFrame], tuple[pl.DataFrame, pl.DataFrame]]
Place = Literal["prompt", "reply", "conversation"]
REDACTED = pl.Schema({"id": pl.String, "part": pl.String, "kind": pl.String, "count": pl.Int64})


def redact(*, kinds: tuple[Kind, ...] = KINDS, part: Place = "conversation", template: str = "[{kind}]") -> Edit:
    """Put `template` in the place of everything of `kinds` in `part`, `{kind}` being its kind's name.

    The edit takes a shard of the samples and gives it with the same ids in the same order, and a table that counts by
    id, part and kind; what was taken out is kept nowhere, and the rules of `filters.private` find none of it with the
    same `part`. In JSON strings and numbers are edited, at any depth, and it stays JSON (`filters.inside`).
    Raises `ValueError` for a template that would break JSON that is quoted in a text, or that is itself of a kind.
    """
    marks = {kind: template.replace("{kind}", kind) for kind in kinds}
    for mark in marks.values():
        if set(mark) & set('"\\\n') or spans(mark, KINDS) or spans(f"call me on {mark}", KINDS):
            raise ValueError(
                f"template gives {mark!r}, which has a quote, a backslash or a line's end, or is private itself"
            )

    def edit(samples: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        check(samples, SAMPLES, "samples")
        hinted = samples.filter(holding(part, "|".join(f"(?:{HINTS[kind]})" for kind in kinds)))
        counts: Counter[tuple[str, str, str]] = Counter()
        rows = [
            row | texts_edited(row, part, _without(marks, row["id"], counts)) for row in hinted.iter_rows(named=True)
        ]
        others = samples.with_row_index().join(hinted.select("id"), on="id", how="anti")
        at = samples.with_row_index().join(hinted.select("id"), on="id", how="semi").select("index")
        both = pl.concat([others, at.hstack(pl.DataFrame(rows, schema=SAMPLES))]).sort("index").drop("index")
        table = pl.DataFrame([(*key, count) for key, count in counts.items()], schema=REDACTED, orient="row")
        return both, table.sort("id", "part", "kind")

    return edit


def _without(
    marks: dict[Kind, str], row: str, counts: Counter[tuple[str, str, str]]
) -> Callable[[str, str | None], str | None]:
    """Give what takes private things out of the row's texts, and counts them."""

    def clean(column: str, told: str | None) -> str | None:
        found = True

        def replaced(words: str, key: str) -> str:
            nonlocal found
            pieces = list(_pieces(words, key, marks))
            counts.update((row, column, kind) for _, kind in pieces if kind)
            found = found or len(pieces) > 1
            return "".join(piece for piece, _ in pieces)

        while told and found:  # what is left may be private beside a mark, and wasn't beside what the mark replaced
            found = False
            told = edited(told, replaced)
        return told

    return clean


def _pieces(words: str, key: str, marks: dict[Kind, str]) -> Iterator[tuple[str, str]]:
    """Give the text's pieces, a mark with its kind in the place of what is private."""
    at = 0
    for start, end, kind in spans(words, tuple(marks), key):
        yield words[at:start], ""
        yield marks[kind], kind
        at = end
    yield words[at:], ""
