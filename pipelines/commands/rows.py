"""Commands on rows: what changed, where one comes from, and taking them out."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pipelines.commands.told import Json, Out, as_json


def diff(a: str, b: str, *, html: Path | None = None, out: Out = Path("runs"), json: Json = False) -> None:
    """Say what differs between two runs, two datasets or two recipes: settings, rows and why, distributions.

    Parameters
    ----------
    a
        A recipe's newest run (demo), a version of it or its beginning (demo/9be720), a folder, or a recipe's file.
    b
        The same; what is added is there alone.
    html
        Write it as a page to this file, too.
    """
    from pipelines.diff import compare
    from pipelines.diff_page import page_of

    told = compare(a, b, out)
    if html:
        from pipelines.page import html as shown

        html.write_text(shown(page_of(told, out, drawn=True)), encoding="utf-8")
    if json:
        print(as_json(told))
    else:
        from pipelines.plain import plain

        print(plain(page_of(told, out, drawn=False)))


def trace(name: str, row: str, *, html: Path | None = None, out: Out = Path("runs"), json: Json = False) -> None:
    """Tell one row's whole life in a run: file and line, edits, rules, candidates, judges' words, selection, split.

    Parameters
    ----------
    name
        A recipe's newest run (demo), a version of it or its beginning (demo/9be720), or a run's folder.
    row
        The id of a sample, candidate, SFT row or pair, or its beginning; or file:row, rows counted from 0.
    html
        Write it as a page to this file, too.
    """
    from pipelines.finished import run_named
    from pipelines.trace import trace as life
    from pipelines.trace_page import page_of

    told = life(run_named(name, out), row)
    if html:
        from pipelines.page import html as shown

        html.write_text(shown(page_of(told)), encoding="utf-8")
    if json:
        print(as_json(told))
    else:
        from pipelines.plain import plain

        print(plain(page_of(told)))


def forget(
    *,
    source: list[str] | None = None,
    file: list[str] | None = None,
    row: list[str] | None = None,
    author: list[str] | None = None,
    yes: Annotated[bool, Parameter(negative=())] = False,
    out: Out = Path("runs"),
    json: Json = False,
) -> None:
    """Remove what came from a source, a file, a row or an author from all runs, stages and the ledger, for good.

    Says first which datasets it was in; nothing changes without --yes. No later run reads it again. After a kill the
    same command finishes what was begun.

    Parameters
    ----------
    source
        A source's name, as the report shows it: its rows, in that source alone.
    file
        A file, or the end of its path: its rows, in the sources it was read as.
    row
        A sample's id, or its beginning: what it says, wherever it was read.
    author
        COLUMN=VALUE as the files have it, at any depth of a row: the rows, wherever they were read.
    yes
        Do it.
    """
    from pipelines.forget import forget as remove
    from pipelines.forget import words
    from pipelines.forget_plan import Selection, plan

    chosen = Selection(tuple(source or ()), tuple(file or ()), tuple(row or ()), tuple(author or ()))
    told = remove(out, chosen, say=_progress) if yes else plan(out, chosen)
    print(as_json(told) if json else words(told, done=yes))


def _progress(text: str) -> None:
    print(text, file=sys.stderr)
