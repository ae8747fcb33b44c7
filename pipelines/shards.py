"""Samples on their way to the disk: named by what they say, gathered into shards, written one at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, NamedTuple

import orjson
import polars as pl

from pipelines.naming import Names
from pipelines.store import Shard
from pipelines.turns import Reading
from schemas.chats import Chat
from schemas.tables import SAMPLES

SMALL = Shard(10_000, 8 << 20)  # in memory that was used before: fresh one costs more than writing
AT_ONCE = 5_000  # plain samples that become a frame, fewer where they are long


def said_plainly(asked: str, reply: str | None) -> bytes:
    """Give the bytes that name a sample of one user's turn and a reply or none, and nothing else."""
    return f"{len(asked)}-{asked}".encode() if reply is None else f"{len(asked)}:{asked}{reply}".encode()


def said(reading: Reading) -> bytes:
    """Give the bytes that name any sample; for a plain one `said_plainly`'s, which no JSON begins like."""
    first = reading.prompt[0]
    rest = (reading.reference, reading.tools, reading.weight, reading.replies, reading.check)
    if len(reading.prompt) == 1 and first["role"] == "user" and not first.get("tool_calls") and rest == (None,) * 5:
        return said_plainly(first["content"], reading.reply)
    return orjson.dumps((reading.prompt, reading.reply, *rest), option=orjson.OPT_SORT_KEYS)


@dataclass(frozen=True)
class Told:
    """What all samples of a file have in common."""

    file: str
    source: str
    license: str | None


class Plain(NamedTuple):
    """Samples of one user's turn and a reply, as columns."""

    ids: list[str]
    asks: list[str]
    replies: list[str | None]
    rows: list[int]


class Shards:
    """Gathers samples in order and gives them to `write` about a small shard at a time."""

    def __init__(self, write: Callable[[pl.DataFrame], object]) -> None:
        self.write = write
        self.names = Names()
        self.told: Told | None = None  # of the plain samples, which are those of one user's turn and a reply
        self.lists, self.listed = Plain([], [], [], []), 0  # and about how many bytes they have
        self.plain: list[pl.DataFrame] = []
        self.whole: list[pl.DataFrame] = []
        self.rows = self.size = 0

    def add_plain(self, told: Told, row: int, asks: list[str], replies: list[str | None], size: int) -> Sequence[int]:
        """Add samples of one user's turn and a reply, from `row` on; gives the indices of blank turns, no samples.

        `size` is about how many bytes they have.
        """
        if told is not self.told:
            self._settle()
            self.told = told
        blank = [at for at, asked in enumerate(asks) if not asked or asked.isspace()]
        rows: Sequence[int] = range(row, row + len(asks))
        if blank:
            good = bytearray(b"\1") * len(asks)
            for at in blank:
                good[at] = 0
            rows, asks, replies = list(compress(rows, good)), list(compress(asks, good)), list(compress(replies, good))
        self.lists.ids.extend(self.names(map(said_plainly, asks, replies)))
        self.lists.asks.extend(asks)
        self.lists.replies.extend(replies)
        self.lists.rows.extend(rows)
        self.listed += size
        if len(self.lists.ids) >= AT_ONCE or self.listed >= SMALL.bytes:
            self._framed()
        return blank

    def _framed(self) -> None:
        """Make a frame of the plain samples."""
        lists, self.lists, self.listed = self.lists, Plain([], [], [], []), 0
        columns = [
            pl.Series("id", lists.ids, dtype=pl.String),
            pl.Series("content", lists.asks, dtype=pl.String),
            pl.Series("reply", lists.replies, dtype=pl.String),
            pl.Series("row", lists.rows, dtype=pl.Int64),
        ]
        self._added(self.plain, pl.DataFrame(columns))

    def add(self, told: Told, rows: list[int], readings: list[Reading]) -> None:
        """Add samples of any kind with the rows they come from."""
        self._settle()
        self._added(self.whole, _frame(told, rows, readings, self.names(map(said, readings))))

    def _added(self, to: list[pl.DataFrame], frame: pl.DataFrame) -> None:
        to.append(frame)
        self.rows += frame.height
        self.size += int(frame.estimated_size())
        if self.rows >= SMALL.rows or self.size >= SMALL.bytes:
            self.flush()

    def _settle(self) -> None:
        """Give the plain samples of a file the table's form."""
        if self.lists.ids:
            self._framed()
        if self.plain and self.told:
            self.whole.append(_from_plain(self.told, pl.concat(self.plain)))
        self.plain = []

    def flush(self) -> None:
        """Write what has been gathered."""
        self._settle()
        if self.whole:
            self.write(pl.concat(self.whole))
        self.whole, self.rows, self.size = [], 0, 0


def _from_plain(told: Told, frame: pl.DataFrame) -> pl.DataFrame:
    null = pl.lit(None, pl.String)
    turn = pl.struct(role=pl.lit("user"), content="content", tool_calls=null)
    return frame.select(
        "id",
        turn.reshape((-1, 1)).arr.to_list().alias("prompt"),
        "reply",
        *(pl.lit(None, SAMPLES[name]).alias(name) for name in ("weight", "replies", "reference", "check", "tools")),
        pl.lit(told.source).alias("source"),
        pl.lit(told.license, pl.String).alias("license"),
        pl.struct(file=pl.lit(told.file), row="row").alias("origin"),
    )


def _frame(told: Told, rows: list[int], readings: list[Reading], ids: list[str]) -> pl.DataFrame:
    replies = [
        None if reading.replies is None else [{"text": text, "score": score} for text, score in reading.replies]
        for reading in readings
    ]
    columns: dict[str, Any] = {
        name: [getattr(reading, name) for reading in readings]
        for name in ("reply", "weight", "reference", "check", "tools")
    }
    columns |= {
        "id": ids,
        "prompt": _chats([reading.prompt for reading in readings]),
        "replies": replies,
        "source": [reading.source or told.source for reading in readings],
        "license": [told.license or reading.license for reading in readings],
        "origin": [{"file": told.file, "row": row} for row in rows],
    }
    return pl.DataFrame([pl.Series(name, columns[name], dtype=kind) for name, kind in SAMPLES.items()])


def _chats(chats: list[Chat]) -> pl.Series:
    """Give chats as a column: its parts as flat columns, then grouped, which is ten times as quick as nested rows."""
    turns = [turn for chat in chats for turn in chat]
    flat = pl.DataFrame(
        {
            "chat": pl.Series([at for at, chat in enumerate(chats) for _turn in chat], dtype=pl.UInt32),
            "role": pl.Series([turn["role"] for turn in turns], dtype=pl.String),
            "content": pl.Series([turn["content"] for turn in turns], dtype=pl.String),
            "tool_calls": pl.Series([turn.get("tool_calls") for turn in turns], dtype=pl.String),
        }
    )
    struct = pl.struct("role", "content", "tool_calls").alias("prompt")
    return flat.select("chat", struct).group_by("chat", maintain_order=True).agg("prompt")["prompt"]
