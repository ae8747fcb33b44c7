"""Verdicts as labels: the CSV file that `./mill calibrate` reads, out and in."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from pipelines.labels import Labels, labels_of, read_labels
from pipelines.review.decks import IDS
from pipelines.review.verdicts import SKIP, Said, file_of, key_of, read_verdicts
from pipelines.store import sha256, write_bytes
from schemas.errors import InputError

if TYPE_CHECKING:
    from pipelines.review.reading import Review

WORDS = {"both_bad": "tie", SKIP: ""}  # in labels: both bad is no preference, and what was skipped is not labelled yet
OWN = Path("review")  # in the place of a file: the run's own verdicts
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run


def export(review: "Review", deck: str, file: Path) -> int:
    """Write what was said of a deck as a CSV file of labels; gives the rows."""
    review.verdicts.refresh()
    said = review.verdicts.said(deck)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*IDS[deck], "verdict", "person", "note"])
    rows.writerows([*one["ids"], _word(one), _plain(one["person"]), _plain(one["note"])] for one in said)
    write_bytes(file, text.getvalue().encode())
    return len(said)


def _word(one: Said) -> str:
    return WORDS.get(one["verdict"] or "", one["verdict"] or "")


def _plain(text: str) -> str:
    """Keep a spreadsheet from taking a text for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def take(review: "Review", deck: str, file: Path) -> tuple[int, int, int]:
    """Add the verdicts of a CSV file of labels; gives those added, those known before, and those of nothing here.

    Raises `InputError` for labels of another deck, and for numbers in the place of pass and fail.
    """
    labels = read_labels(file)
    if tuple(labels.ids) != IDS[deck]:
        raise InputError(f"{file}: these are labels by {', '.join(labels.ids)}, and those of {deck} are by {IDS[deck]}")
    names = {1.0: "a", -1.0: "b", 0.0: "tie"} if deck == "pairs" else {1.0: "pass", 0.0: "fail"}
    if not set(labels.rows["verdict"]) <= set(names):
        raise InputError(f"{file}: a review says pass or fail of a reply, and these labels hold other numbers")
    rows = labels.rows.select(*labels.ids, "person", "verdict").iter_rows()
    told = ((key_of(list(ids)), person, names[verdict], "") for *ids, person, verdict in rows)
    return add(review, deck, told, as_labels=True)


def add(
    review: "Review", deck: str, told: Iterable[tuple[str, str, str, str]], *, as_labels: bool = False
) -> tuple[int, int, int]:
    """Add verdicts (key, person, verdict, note) from elsewhere; gives those added, known before, and of nothing here.

    With `as_labels` a verdict is known where its word in labels is: one that was exported as a tie is not made one.
    """
    review.verdicts.refresh()
    samples = dict(review.deck(deck).select("key", "sample_id").iter_rows())
    fresh: list[Said] = []
    known = strange = 0
    for key, person, verdict, note in told:
        before = review.verdicts.current.get((deck, key, person))
        if key not in samples:
            strange += 1
        elif before is not None and verdict in {before["verdict"], as_labels and _word(before)}:
            known += 1
        else:
            said = review.said(deck, key, samples[key], person, verdict)
            said["note"] = note
            fresh.append(said)
    if fresh:
        review.verdicts.add(*fresh)
    return len(fresh), known, strange


def labelled(human: Path, folder: Path) -> tuple[list[Labels], str]:
    """Give people's labels, of pairs and of replies apart, and the hash of their file.

    `human` is a CSV file, or `review`: what was said of the finished run in `folder` on the review page. Raises
    `InputError` where nothing was.
    """
    if human != OWN or human.is_file():
        return [read_labels(human)], sha256(human)
    file = file_of(folder)
    verdicts = read_verdicts(file)
    found = [_labels(verdicts.said(deck), deck, file) for deck in ("pairs", "replies")]
    return [one for one in found if not one.rows.is_empty()], sha256(file)


def _labels(said: Sequence[Said], deck: str, file: Path) -> Labels:
    columns = dict.fromkeys([*IDS[deck], "verdict", "person"], pl.String)
    rows = [[*one["ids"], _word(one), one["person"]] for one in said]
    return labels_of(pl.DataFrame(rows, columns, orient="row"), file)
