"""The ledger's answers to requests about given samples: their own, and those of judges and rules that quote them."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import sqlalchemy as sql

from generators.ledger import ANSWERS, CHUNK, USES, Ledger

AT_ONCE = 5_000  # requests in memory
SHORT = 12  # characters below which a quoted prompt tells nothing without a reply beside it


def keys(
    ledger: Ledger, out: Path, samples: Collection[str], candidates: Collection[str], own: Collection[str]
) -> set[str]:
    """Give the keys of what was asked about the samples.

    `own` are the requests of their candidates. A request of a judge or a rule is one when a message holds a sample's
    last turn as whole words, and of one below 12 characters one of its replies too; unless it holds a longer turn, of a
    sample that stays, that the turn is part of.
    """
    quoted, stay = _turns(out, samples)
    replies = _replies(out, samples, candidates)
    found = set(own)
    back = {orjson.dumps(text).decode()[1:-1]: text for text in sorted(quoted)}
    hits = pl.col("request").str.extract_many(list(back), overlapping=True)
    for some in _requests(ledger) if back else ():
        for key, request, texts in some.with_columns(texts=hits).filter(pl.col("texts").list.len() > 0).iter_rows():
            said = "\n\n".join(str(turn.get("content")) for turn in orjson.loads(request)["chat"])
            if any(_quotes(said, back[one], replies[back[one]], stay.get(back[one], ())) for one in set(texts)):
                found.add(key)
    return found


def _quotes(said: str, text: str, replies: Collection[str], stay: Collection[str]) -> bool:
    """Tell whether a request is about a turn, and not about one of a sample that stays."""
    if any(longer in said for longer in stay):
        return False
    if len(text) < SHORT and not any(reply and _holds(said.replace(text, ""), reply) for reply in replies):
        return False
    return _holds(said, text)


def _holds(said: str, text: str) -> bool:
    """Tell whether a text stands in another, no letter or digit touching it."""
    edge = (r"(?<!\w)" if text[:1].isalnum() else "", r"(?!\w)" if text[-1:].isalnum() else "")
    return re.search(edge[0] + re.escape(text) + edge[1], said) is not None


def _tables(out: Path, *names: str) -> Iterator[Path]:
    for name in names:
        yield from sorted(out.rglob(f"stages/*/{name}/*.parquet"))


def _turns(out: Path, samples: Collection[str]) -> tuple[set[str], dict[str, set[str]]]:
    """Give the last turns of the samples, and by each the turns of samples that stay in which it stands."""
    last = pl.col("prompt").list.last().struct.field("content")
    gone = pl.col("id").is_in(list(samples))
    own: set[str] = set()
    for file in _tables(out, "samples"):
        own.update(pl.scan_parquet(file).filter(gone).select(text=last).collect()["text"].drop_nulls())
    own = {text for text in own if text.strip()}
    stay: dict[str, set[str]] = {}
    held = pl.col("text").str.extract_many(sorted(own), overlapping=True)
    for file in _tables(out, "samples") if own else ():
        others = pl.scan_parquet(file).filter(~gone).select(text=last).drop_nulls().with_columns(held=held)
        for longer, texts in others.filter(pl.col("held").list.len() > 0).collect().iter_rows():
            for text in texts:
                stay.setdefault(text, set()).add(longer)
    return own, stay


def _replies(out: Path, samples: Collection[str], candidates: Collection[str]) -> dict[str, set[str]]:
    """Give by last turn the replies that were given to it."""
    last = pl.col("prompt").list.last().struct.field("content")
    turns: dict[str, str] = {}
    found: dict[str, set[str]] = {}
    for file in _tables(out, "samples"):
        own = pl.scan_parquet(file).filter(pl.col("id").is_in(list(samples))).select("id", "reply", text=last)
        for sample, reply, text in own.collect().iter_rows():
            turns[sample] = text
            found.setdefault(text, set()).update([reply] if reply else [])
    for file in _tables(out, "candidates"):
        own = pl.scan_parquet(file).filter(pl.col("id").is_in(list(candidates))).select("sample_id", "text")
        for sample, text in own.collect().iter_rows():
            if text and sample in turns:
                found[turns[sample]].add(text)
    return found


def _requests(ledger: Ledger) -> Iterator[pl.DataFrame]:
    """Give the ledger's requests, some at a time."""
    rows = sql.select(ANSWERS.c.key, ANSWERS.c.request)
    with ledger.engine.connect() as connection:
        for some in connection.execution_options(yield_per=AT_ONCE).execute(rows).partitions():
            told: list[Any] = [tuple(row) for row in some]
            yield pl.DataFrame(told, schema={"key": pl.String, "request": pl.String}, orient="row")


def remove(ledger: Ledger, gone: Collection[str]) -> None:
    """Remove answers and who used them, and what the file still holds of them."""
    every = sorted(gone)
    with ledger.engine.begin() as connection:
        for start in range(0, len(every), CHUNK):
            some = every[start : start + CHUNK]
            connection.execute(ANSWERS.delete().where(ANSWERS.c.key.in_(some)))
            connection.execute(USES.delete().where(USES.c.key.in_(some)))
    if ledger.engine.dialect.name == "sqlite":
        with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sql.text("VACUUM"))
            connection.execute(sql.text("PRAGMA wal_checkpoint(TRUNCATE)"))
