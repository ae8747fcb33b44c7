"""A run opened for review: its decks in reading order, its texts by id, and what people said of them."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.closing import shortened, visible
from pipelines.review.decks import IDS, deck, table
from pipelines.review.order import Wanted, first_is_a, in_reading_order
from pipelines.review.verdicts import DECKS, SKIP, Said, VerdictFile, file_of, key_of, now
from schemas.errors import InputError

LONGEST_TEXT = 100_000  # characters that are shown
SIDES = {"first", "second"}


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


@dataclass
class Review:
    """A finished run being read by people.

    `people` is how many read each thing, before those who come later are given others; `seed` draws sides and order.
    """

    folder: Path
    seed: int = 0
    people: int = 2
    verdicts: VerdictFile = field(init=False)
    decks: dict[str, pl.DataFrame] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder = self.folder.resolve()
        self.verdicts = VerdictFile(file_of(self.folder))
        self.verdicts.refresh()
        self._texts = {name: Texts(self.folder, name) for name in ("candidates", "kept", "dropped")}

    def deck(self, name: str) -> pl.DataFrame:
        """Give a deck in reading order. Raises `InputError` for a name that is none."""
        if name not in DECKS:
            raise InputError(f"no deck {name!r}; there are: {', '.join(DECKS)}")
        if name not in self.decks:
            self.decks[name] = in_reading_order(deck(self.folder, name), self.seed)
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
        ids = self.ids(name, key)
        row = self.deck(name).row(by_predicate=pl.col("key") == key, named=True)
        sample = self._texts["dropped" if name == "dropped" else "kept"].row(row["sample_id"])
        if name == "pairs" and not first_is_a(self.seed, person, key):
            ids = ids[::-1]
        replies = [sample["reply"]] if name == "dropped" else [self._texts["candidates"].row(one)["text"] for one in ids]
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

    def ids(self, name: str, key: str) -> list[str]:
        """Give the ids of a thing. Raises `InputError` for one that is not in the deck."""
        ids = key.split(".")
        if len(ids) != len(IDS[name]) or not (self.deck(name)["key"] == key).any():
            raise InputError(f"this run has no such thing among its {name}: {key!r}")
        return ids

    def judge(self, name: str, key: str, person: str, verdict: str, note: str = "") -> Said:
        """Save what a person says of a thing; of a pair `first` or `second`, as the person was shown them.

        Raises `InputError` for a verdict that can't be given of it.
        """
        ids = self.ids(name, key)
        first = None
        if name == "pairs":
            a_first = first_is_a(self.seed, person, key)
            first = ids[0] if a_first else ids[1]
            if verdict in SIDES:
                verdict = "a" if (verdict == "first") == a_first else "b"
            elif verdict in {"a", "b"}:
                raise InputError("of a pair it is said whether the first or the second is better")
        if verdict not in DECKS[name]:
            raise InputError(f"{verdict!r} is no verdict on {name}")
        sample = self.deck(name).row(by_predicate=pl.col("key") == key, named=True)["sample_id"]
        return self._add(name, ids, sample, person, verdict, note, first)

    def undo(self, person: str) -> Said | None:
        """Take back what a person said last; gives it, or null where nothing is left to take back."""
        self.verdicts.refresh()
        last = self.verdicts.last_of(person)
        if last is not None:
            self._add(last["deck"], last["ids"], last["sample_id"], person, None, last["note"], last["first"])
        return last

    def _add(
        self, name: str, ids: list[str], sample: str, person: str, verdict: str | None, note: str, first: str | None
    ) -> Said:
        said: Said = {
            "deck": name,
            "ids": ids,
            "sample_id": sample,
            "person": person,
            "verdict": verdict,
            "note": note,
            "first": first,
            "at": now(),
            "run": self.folder.name,
        }
        self.verdicts.add(said)
        return said

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
