"""A run opened for review: its decks in reading order, its texts by id, and what people said of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import polars as pl

from pipelines.closing import shortened, visible
from pipelines.review.decks import deck, table
from pipelines.review.order import Wanted, drawn_order, first_is_a, telling_order
from pipelines.review.verdicts import DECKS, SKIP, Said, VerdictFile, file_of, key_of, now
from schemas.errors import InputError

LONGEST_TEXT = 100_000  # characters that are shown
SIDES = ("first", "second")


@dataclass
class Texts:
    """A table of texts whose ids alone are in memory: a row is read from its shard when it is asked for."""

    folder: Path
    name: str

    @cached_property
    def _ids(self) -> pl.Series:
        return self._rows.select("id").collect()["id"]

    @cached_property
    def _rows(self) -> pl.LazyFrame:
        found = table(self.folder, self.name)
        return pl.LazyFrame(schema={"id": pl.String}) if found is None else found

    def row(self, name: str) -> dict[str, Any]:
        """Give the first row with an id; raises `InputError` where there is none."""
        at = (self._ids == name).arg_true()
        if at.is_empty():
            raise InputError(f"{self.folder}/{self.name} has no row {name!r}")
        return self._rows.slice(at[0], 1).collect().row(0, named=True)

    def column(self, column: str, names: Iterable[str]) -> dict[str, Any]:
        """Give one column of many rows, by id."""
        wanted = pl.LazyFrame({"id": list(dict.fromkeys(names))}, {"id": pl.String})
        return dict(self._rows.select("id", column).join(wanted, on="id", how="semi").collect().iter_rows())


@dataclass
class Review:
    """A finished run being read by people.

    `people` is how many read each thing, before those who come later are given others; `seed` draws sides and order.
    """

    folder: Path
    seed: int = 0
    people: int = 2
    order: Literal["telling", "drawn"] = "telling"
    verdicts: VerdictFile = field(init=False)
    decks: dict[str, pl.DataFrame] = field(default_factory=dict)
    tables: dict[str, Texts] = field(init=False)

    def __post_init__(self) -> None:
        self.folder = self.folder.resolve()
        self.verdicts = VerdictFile(file_of(self.folder))
        self.verdicts.refresh()
        self.tables = {name: Texts(self.folder, name) for name in ("candidates", "kept", "dropped")}

    def deck(self, name: str) -> pl.DataFrame:
        """Give a deck in reading order. Raises `InputError` for a name that is none."""
        if name not in DECKS:
            raise InputError(f"no deck {name!r}; there are: {', '.join(DECKS)}")
        if name not in self.decks:
            ordered = drawn_order if self.order == "drawn" else telling_order
            self.decks[name] = ordered(deck(self.folder, name), self.seed)
        return self.decks[name]

    def open_to(self, name: str, person: str, wanted: Wanted) -> pl.DataFrame:
        """Give what a person has yet to read of a deck: not what the person or enough others have judged."""
        self.verdicts.refresh()
        said = self.verdicts.said(name)
        own = {key_of(one["ids"]) for one in said if one["person"] == person}
        others: dict[str, int] = {}
        for one in said:
            if one["person"] != person and one["verdict"] != SKIP:
                others[key_of(one["ids"])] = others.get(key_of(one["ids"]), 0) + 1
        done = own | {key for key, count in others.items() if count >= self.people}
        known = pl.DataFrame({"key": sorted(done)}, {"key": pl.String})
        return wanted.of(self.deck(name)).join(known, on="key", how="anti", maintain_order="left")

    def next(self, name: str, person: str, wanted: Wanted) -> tuple[dict[str, Any] | None, int]:
        """Give what a person reads next of a deck, null at its end, and how much is left."""
        left = self.open_to(name, person, wanted)
        return (self.item(name, left["key"][0], person) if left.height else None), left.height

    def item(self, name: str, key: str, person: str) -> dict[str, Any]:
        """Give the texts of a thing as the person is shown them: of a pair nothing tells which one was chosen."""
        row = self.row(name, key)
        sample = self.tables["dropped" if name == "dropped" else "kept"].row(row["sample_id"])
        order = self.sides(name, key, person)
        replies = (
            [sample["reply"]] if name == "dropped" else [self.tables["candidates"].row(one)["text"] for one in order]
        )
        known = self.verdicts.current.get((name, key, person))
        return {
            "deck": name,
            "key": key,
            "prompt": [
                {"role": turn["role"], "text": shown(turn["content"]), "calls": shown(turn.get("tool_calls"))}
                for turn in sample["prompt"]
            ],
            "replies": [shown(text) for text in replies],
            "note": known["note"] if known else "",
        }

    def row(self, name: str, key: str) -> dict[str, Any]:
        """Give a thing's row of its deck. Raises `InputError` for one that is not in it."""
        rows = self.deck(name).filter(pl.col("key") == key)
        if rows.is_empty():
            raise InputError(f"this run has no such thing among its {name}: {key!r}")
        return rows.row(0, named=True)

    def sides(self, name: str, key: str, person: str) -> list[str]:
        """Give a thing's ids in the order in which the person is shown them."""
        ids = key.split(".")
        return ids[::-1] if name == "pairs" and not first_is_a(self.seed, person, key) else ids

    def judge(self, name: str, key: str, person: str, verdict: str, note: str = "") -> Said:
        """Save what a person says of a thing; of a pair `first` or `second`, as the person was shown them.

        Raises `InputError` for a verdict that can't be given of it.
        """
        row, order = self.row(name, key), self.sides(name, key, person)
        if name == "pairs" and verdict in SIDES:
            better = order[SIDES.index(verdict)]
            verdict = "a" if better == row["a_id"] else "b"
        elif name == "pairs" and verdict in {"a", "b"}:
            raise InputError("of a pair it is said whether the first or the second is better")
        if verdict not in DECKS[name]:
            raise InputError(f"{verdict!r} is no verdict on {name}")
        said = self.said(name, key, row["sample_id"], person, verdict) | {"note": note, "order": self.order}
        if name == "pairs":
            said["first"] = order[0]
        self.verdicts.add(said)
        return said

    def said(self, name: str, key: str, sample: str, person: str, verdict: str) -> Said:
        """Give a statement, as one that was taken in from a file is stored."""
        return {
            "deck": name,
            "ids": key.split("."),
            "sample_id": sample,
            "person": person,
            "verdict": verdict,
            "note": "",
            "first": None,
            "at": now(),
            "run": self.folder.name,
            "order": "file",
        }

    def undo(self, person: str) -> Said | None:
        """Take back what a person said last; gives it, or null where nothing is left to take back."""
        self.verdicts.refresh()
        last = self.verdicts.last_of(person)
        if last is not None:
            self.verdicts.add(last | {"verdict": None, "at": now()})
        return last

    def choices(self, name: str) -> dict[str, Any]:
        """Give by what a deck can be narrowed: its sources, its rules, the range of its scores."""
        rows = self.deck(name)
        return {
            "rows": rows.height,
            "sources": sorted(rows["source"].drop_nulls().unique().to_list()),
            "rules": sorted(rows["rule"].drop_nulls().unique().to_list()),
            "least": rows["score"].min(),
            "most": rows["score"].max(),
            "apart": rows.filter(pl.col("apart") > 0).height,
        }


def shown(text: str | None) -> str | None:
    """Give a text as it is shown: characters that are not seen made visible, and cut where it is very long."""
    if text is None or len(text) <= LONGEST_TEXT:
        return text if text is None else visible(text)
    return visible(shortened(text, LONGEST_TEXT, LONGEST_TEXT))
