"""Growers: what makes new prompts, from the samples there are or from nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

import polars as pl

from schemas.chats import Chat
from schemas.engines import Reply
from schemas.tables import Sample

LINEAGE = pl.Schema(
    {
        "id": pl.String(),  # the new sample's
        "parents": pl.List(pl.String()),  # the ids of the samples it was made from, in the order they were used
        "method": pl.String(),  # the part
        "round": pl.Int64(),  # from 1: a parent may come from the round before
        "seed": pl.Int64(),  # of this growth
        "request_keys": pl.List(pl.String()),  # the requests whose answers it was read from, in order
    }
)

UNREAD = pl.Schema(
    {
        "method": pl.String(),
        "parents": pl.List(pl.String()),
        "round": pl.Int64(),
        "seed": pl.Int64(),
        "request_keys": pl.List(pl.String()),
        "status": pl.String(),  # "unread", "error" (the engine's), "repeat" or "surplus" (more than were asked for)
        "why": pl.String(),
        "text": pl.String(),  # the last reply, or the prompt that was read and not taken; or null
    }
)


@dataclass(frozen=True)
class Ask:
    """One question of a growth: the model's answer to `chat`, or where it `writes` "user" the user's next turn."""

    chat: Chat
    writes: Literal["assistant", "user"] = "assistant"


@dataclass(frozen=True)
class Growth:
    """One try at new prompts: its parents, its seed, and what was answered so far, in the order it was asked for."""

    parents: Sequence[Sample]
    seed: int
    replies: Sequence[Reply] = ()

    def random(self) -> Random:
        """Give a generator that draws the same each time it is asked for."""
        return Random(self.seed)


@dataclass(frozen=True)
class Draft:
    """A new prompt: the messages up to the reply wanted, and the reply or the check (JSON) that comes with it."""

    prompt: Chat
    reply: str | None = None
    check: str | None = None


@dataclass(frozen=True)
class Unread:
    """Why there is no new prompt where there should be one."""

    why: str


@dataclass(frozen=True)
class Grower:
    """Two pure functions: `ask` gives a growth's next question, null where it has all answers; `read` gives its drafts.

    Of its `parents` samples, all of which meet `fits` where that is given, `grown` come from the round before where
    there are so many; `rounds` share the count of new prompts evenly. A growth is expected to give `drafts` new
    prompts. `asks` tells whether an engine is needed; `files` are those that the prompts depend on. A growth with a
    reply that is an error is not read.
    """

    ask: Callable[[Growth], Ask | None]
    read: Callable[[Growth], list[Draft | Unread]]
    parents: int = 1
    grown: int = 0
    rounds: int = 1
    drafts: int = 1
    fits: pl.Expr | None = None
    asks: bool = True
    files: tuple[str, ...] = ()
