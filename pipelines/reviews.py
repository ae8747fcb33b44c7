"""The command `./mill review`: read what a run made, blind, and say what is better; take verdicts in and out."""

import signal
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter, validators

from pipelines.finished import run_named
from pipelines.in_use import reading

app = App(name="review", help="Read what a run made on a page of this machine, blind, and judge it by keys.")
Out = Annotated[Path, Parameter(help="The folder that the runs are kept in.")]
Deck = Annotated[Literal["pairs", "replies", "dropped"], Parameter(help="What the verdicts are on.")]
Port = Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65_535), help="0 takes one that is free.")]
People = Annotated[int, Parameter(validator=validators.Number(gte=1), help="How many people read each thing.")]
Run = Annotated[str, Parameter(help="A recipe's name, whose newest run is read, or a run's folder.")]


@app.default
@app.command(name="read")
def read(
    run: Run,
    *,
    person: Annotated[str | None, Parameter(name="--as", help="The reviewer; the page asks, unless told.")] = None,
    people: People = 2,
    order: Literal["telling", "drawn"] = "telling",
    seed: int = 0,
    port: Port = 0,
    out: Out = Path("runs"),
) -> None:
    """Serve the page until it is interrupted; open the address that is shown. Every verdict is saved at once.

    Parameters
    ----------
    order
        What is read first: what tells most of the judges, or drawn, which a judge's card needs.
    seed
        By which sides and order are drawn.
    """
    from pipelines.review.reading import Review
    from pipelines.review.serve import name_of, serve

    # Where a shell has started it in the background, it has interrupts ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = run_named(run, out)
    with reading(folder):
        review = Review(folder, seed=seed, people=people, order=order)
        say(f"verdicts: {review.verdicts.file}")
        serve(review, port=port, person=person and name_of(person), say=say)


@app.command
def export(
    run: Run, to: Path, *, deck: Deck = "pairs", count: int | None = None, seed: int = 0, out: Out = Path("runs")
) -> None:
    """Write a CSV file of labels (TO ends in .csv), or a folder that Argilla loads, with the verdicts there are.

    Parameters
    ----------
    count
        For Argilla: the first so many things in the order in which they are read; all, unless told.
    """
    from pipelines.review import argilla, labels
    from pipelines.review.reading import Review

    review = Review(run_named(run, out), seed=seed)
    if to.suffix == ".csv":
        say(f"{to}: {labels.export(review, deck, to):,} verdicts")
    else:
        say(f"{to}: {argilla.export(review, deck, to, count=count):,} records")


@app.command(name="import")
def take(
    run: Run,
    file: Path,
    *,
    deck: Deck = "pairs",
    users: Annotated[Path | None, Parameter(help="JSON: the name of each of Argilla's user ids.")] = None,
    out: Out = Path("runs"),
) -> None:
    """Add the verdicts of a CSV file of labels, or of a folder or records file that Argilla wrote."""
    from pipelines.review import argilla, labels
    from pipelines.review.reading import Review

    folder = run_named(run, out)
    with reading(folder):
        review = Review(folder)
        if file.suffix == ".csv":
            added, known, strange = labels.take(review, deck, file)
        else:
            added, known, strange = argilla.take(review, deck, file, users)
    say(f"{added:,} verdicts added, {known:,} were known, {strange:,} are of nothing in this run")


@app.command
def agreement(
    run: Run,
    *,
    out: Out = Path("runs"),
    json: Annotated[bool, Parameter(help="Print JSON on standard output.", negative=())] = False,
) -> None:
    """Tell how far the reviewers agree, beyond chance."""
    import orjson

    from pipelines.review.agreed import agreement as measured
    from pipelines.review.agreed import words
    from pipelines.review.verdicts import DECKS, file_of, read_verdicts

    verdicts = read_verdicts(file_of(run_named(run, out)))
    told = {deck: measured(verdicts.said(deck), deck) for deck in DECKS}
    say(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode() if json else words(told))


def say(text: str) -> None:
    """Print, and at once: the page's address is waited for."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
