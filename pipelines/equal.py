"""Datasets of equal size in tokens: an arm with fewer rows reads them more often, none reads more than another."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from pipelines.held_out import DIGITS
from pipelines.store import Stored, once, write_table
from pipelines.train import DATASET, training_rows
from pipelines.versions import code_version
from schemas.chats import content_id

SIDES = ("completion", "chosen", "rejected")
LEARNED = ("prompt", *SIDES, "label", "check", "reference")  # the columns that a job learns from
Count = Callable[[pl.DataFrame], pl.Series]  # a table's tokens, row by row


def rows_of(selected: Stored, method: str, share: float = 1.0) -> pl.DataFrame:
    """Read what a job of `method` would train on, of the `share` of prompts whose ids' hashes come first."""
    table = pl.concat(
        pl.read_parquet(file) for file in sorted(training_rows(selected.folder / DATASET[method]).glob("*.parquet"))
    )
    if share == 1:
        return table
    sample = "sample_id" if "sample_id" in table.columns else "id"
    kept = [one for one in table[sample].unique().to_list() if int(content_id(one)[:DIGITS], 16) < share * 16**DIGITS]
    return table.filter(pl.col(sample).is_in(kept))


def content(table: pl.DataFrame) -> str:
    """Name what is to be learned from a table, whatever its rows' ids, order and provenance."""
    return content_id(sorted(_texts(table)))


def _texts(table: pl.DataFrame) -> list[str]:
    learned = [column for column in LEARNED if column in table.columns]
    return [orjson.dumps(row).decode() for row in table.select(learned).iter_rows()]


def filled(table: pl.DataFrame, tokens: Sequence[int], budget: int, seed: int) -> pl.DataFrame:
    """Give rows in passes over the table until the next would make more than `budget` tokens; at least one.

    Each pass is in an order of its own, by the hash of `seed` and the row's texts: arms that share rows read them in
    the same order.
    """
    texts = _texts(table)
    taken: list[int] = []
    left, number = budget, 0
    while table.height:
        order = sorted(range(table.height), key=lambda at: (content_id(seed, number, texts[at]), at))
        for at in order:
            if tokens[at] > left and taken:
                return table[taken]
            taken.append(at)
            left -= max(tokens[at], 1)
        number += 1
    return table


def equalised(
    store: Path, table: pl.DataFrame, method: str, *, budget: int, seed: int, count: Count, counted_by: str
) -> Stored:
    """Store the rows that an arm's job reads; equal rows have the same place, so that they are trained on once.

    `counted_by` names what `count` counts by. The facts are those of a selection, with `tokens`, the table's own `rows`
    and the `passes` over them.
    """
    question = {
        "rows": content(table),
        "method": method,
        "budget": budget,
        "seed": seed,
        "counted_by": counted_by,
        "code": code_version(__name__),
    }

    def build(folder: Path) -> dict[str, Any]:
        ordered = table[sorted(range(table.height), key=_texts(table).__getitem__)]  # the same rows, the same bytes
        tokens = count(ordered)
        rows = filled(ordered, tokens.to_list(), budget, seed)
        read = count(rows)
        name = DATASET[method]
        write_table(folder, name, rows, rows.schema)
        return {
            name: rows.height,
            "held_out": {},
            "rows": table.height,
            "tokens": int(read.sum()),
            "passes": rows.height / table.height,
        }

    return once(store, "equal", question, build)


def counter(model: str, max_length: int) -> Count:
    """Give what counts a row's tokens by the model's own template: of each side the prompt and it, up to `max_length`.

    That is what training reads, of a pair twice the prompt.
    """

    def count(table: pl.DataFrame) -> pl.Series:
        sides = [side for side in SIDES if side in table.columns]
        chats = [
            [_plain(row["prompt"]) + _plain(row[side]) for side in sides] or [_plain(row["prompt"])]
            for row in table.select("prompt", *sides).iter_rows(named=True)
        ]
        return pl.Series(
            [sum(min(_length(model, orjson.dumps(chat)), max_length) for chat in row) for row in chats], dtype=pl.Int64
        )

    return count


def _plain(chat: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in turn.items() if value is not None} for turn in chat]


@cache
def _length(model: str, chat: bytes) -> int:
    tokenizer = _tokenizer(model)
    return len(tokenizer(tokenizer.apply_chat_template(orjson.loads(chat), tokenize=False))["input_ids"])


@cache
def _tokenizer(model: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model, model_max_length=1 << 30)  # a longer row is cut later, not warned of
