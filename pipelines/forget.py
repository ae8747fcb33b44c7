"""`./mill forget`: what came from a source, a file, a row or an author, out of stages, runs, ledger and future runs.

What is to be done is written down first, without any text; after a kill the same command finishes it.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from generators.ledger import open_ledger
from pipelines import forgotten, requests_of
from pipelines.forget_files import Gone, rewrite, rewrite_stage
from pipelines.forget_plan import Selection, plan, run_tables, runs_in, stages_in
from pipelines.in_use import alone
from pipelines.review.verdicts import VerdictFile
from pipelines.store import sync, write_bytes
from schemas.errors import GristmillError

PENDING, LOG = "forgetting.json", "forgotten-log.jsonl"

Told = dict[str, Any]


def forget(out: Path, selection: Selection, say: Callable[[str], None]) -> Told:
    """Remove what `plan` tells, and see to it that no later run reads it; what a kill left undone is finished first.

    Raises `GristmillError` where a run is going on in `out`, or a review page is served from it.
    """
    if not out.is_dir():
        raise GristmillError(f"{out}: there is no such folder of runs")
    with alone(out):
        return _forget(out, selection, say)


def _forget(out: Path, selection: Selection, say: Callable[[str], None]) -> Told:
    if (out / PENDING).is_file():
        say("finishing what was begun before")
        begun = orjson.loads((out / PENDING).read_bytes())
        done = apply(out, begun, say)
        if begun["what"] == selection.words():
            return done
    told = plan(out, selection)
    write_bytes(out / PENDING, orjson.dumps(told))
    return apply(out, told, say)


def apply(out: Path, told: Told, say: Callable[[str], None]) -> Told:
    """Do what was written down; every step may be done again."""
    gone = Gone(frozenset(told["ids"]), frozenset(told["raw"]))
    from pipelines.folder import shown_again

    _list(out, told)
    _sweep(out)
    links: dict[int, Path] = {}
    rows = 0
    for stage in stages_in(out):
        rows += rewrite_stage(stage, gone, links)
    for folder in runs_in(out):
        rows += sum(rewrite(file, gone, links) for file in run_tables(folder))
        name = str(folder.relative_to(out))
        if name in told["touched"]:
            say(f"  {name}: {shown_again(folder, told['samples'] + told['records'])}")
    for file in sorted(out.rglob("review/verdicts.jsonl")):
        VerdictFile(file).forget(gone.ids)
    for place, keys in told["keys"].items():
        ledger = open_ledger(place)
        requests_of.remove(ledger, keys)
        ledger.close()
    _log(out, told)
    (out / PENDING).unlink()
    sync(out)
    return {**told, "rows_removed": rows}


def _sweep(out: Path) -> None:
    """Remove what killed processes left half written: it may hold the rows, and nothing reads it."""
    for folder in sorted(out.rglob("stages")):
        for left in folder.glob(".*"):
            shutil.rmtree(left, ignore_errors=True)


def _list(out: Path, told: Told) -> None:
    """Add to the list that later runs honour; the first thing done, so that none reads the rows meanwhile."""
    known = forgotten.load(out)
    rows = {(key, source) for key, source in told["rows"]}
    own = {stage.name for stage in stages_in(out) if stage.name.startswith(("ingest-", "benchmark-"))}
    forgotten.save(
        out,
        replace(
            known,
            salt=told["salt"],
            rows=known.rows | rows,
            records=known.records | set(map(replace(known, salt=told["salt"]).record, told["raw"])),
            clean=frozenset((own if not known else known.clean) - set(told["holding"])),
        ),
    )


def _log(out: Path, told: Told) -> None:
    """Note that it was done: when, how much, in which datasets it was; no id and no text."""
    keep = {key: told[key] for key in ("what", "samples", "records", "datasets", "models")}
    line = orjson.dumps({"at": datetime.now(UTC).isoformat(timespec="seconds"), **keep})
    file = out / LOG
    write_bytes(file, (file.read_bytes() if file.is_file() else b"") + line + b"\n")


def words(told: Told, *, done: bool) -> str:
    """Tell a person what is, or was, removed."""
    from pipelines.closing import visible

    answers = sum(len(keys) for keys in told["keys"].values())
    verb = "forgotten" if done else "would be forgotten"
    lines = [f"{told['what']}: {told['samples']:,} samples and {told['records']:,} quarantined records {verb},"]
    lines += [f"with {len(told['ids']) - told['samples']:,} candidates and {answers:,} answers in the ledger"]
    for one in told["datasets"]:
        lost = ", ".join(f"{rows:,} rows of {name}" for name, rows in one["lost"].items())
        lines.append(f"  {one['run']}: {lost}")
        lines += [f"    published as {place}: `./mill unpublish` withdraws it" for place in one["published"]]
    if told["models"]:
        lines.append("Models that were trained in these runs may have learned from it; they are left as they are:")
        lines += [f"  {one}" for one in told["models"]]
    lines += [] if done else ["Nothing was changed. Add --yes to do it."]
    return visible("\n".join(lines))
