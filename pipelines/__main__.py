"""The command line: `./mill`."""

import os
import sys
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated

from cyclopts import App, Parameter, validators

from pipelines import ledgers, reviews
from pipelines.training_told import Told
from schemas.errors import GristmillError

app = App(name="mill", help="Turn raw instruction data into SFT and preference datasets people can trust.")
app.command(ledgers.app)
app.command(reviews.app)
Json = Annotated[bool, Parameter(help="Print the summary as JSON on standard output.", negative=())]
Out = Annotated[Path, Parameter(help="The folder that runs, their stages and the ledger are kept in.")]


@app.command
def run(
    recipe: Path,
    *,
    out: Out = Path("runs"),
    limit: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None,
    budget: list[str] | None = None,
    json: Json = False,
) -> None:
    """Run a recipe from raw rows to datasets, report and fine-tuned model; what was made before is used again.

    Parameters
    ----------
    limit
        Run the first so many rows of each source, kept apart, and show the rows before and after each stage.
    budget
        What the engines may cost in this run: 500requests, 100000tokens, 5USD, 30min, 2h; several hold together.
        The run goes on with what there is, and running it again continues.
    """
    from generators.budget import read_budget
    from pipelines.progress import shown
    from pipelines.recipe import Recipe
    from pipelines.run import build

    checked = Recipe.read(recipe)
    with shown() as progress:
        summary = build(checked, out, progress, budget=read_budget(budget) if budget else None, limit=limit)
    tell(summary, json=json)


@app.command
def plan(recipe: Path, *, out: Out = Path("runs"), json: Json = False) -> None:
    """Say what running a recipe would ask, stage by stage: rows, requests, tokens, time and cost; no model is asked."""
    import orjson

    from pipelines.forecast import words
    from pipelines.plan import plan
    from pipelines.progress import shown
    from pipelines.recipe import Recipe

    checked = Recipe.read(recipe)
    with shown() as progress:
        told = plan(checked, out, progress)
    print(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode() if json else words(told))


@app.command
def check(path: str, *, json: Json = False) -> None:
    """Check a recipe (a .toml) or a preference dataset (a file, a folder, a run's folder) whole; nothing is run.

    Everything that is wrong is told; of a dataset each fault with its rows. Ends with 1 where a dataset has an error.
    """
    from pipelines.recipe import Recipe

    if not path.endswith(".toml"):
        from pipelines.checking import check_dataset, words

        told = check_dataset(path)
        print(_as_json(told) if json else words(told))
        sys.exit(int(told["errors"] > 0))
    checked = Recipe.read(path)
    if json:
        print(checked.model_dump_json(indent=2))
    else:
        print(f"{path}: no fault. It reads {len(checked.sources)} source(s) and applies {len(checked.filters)} rules.")


def _as_json(told: object) -> str:
    import orjson

    return orjson.dumps(told, option=orjson.OPT_INDENT_2).decode()


@app.command
def show(name: str, *, out: Out = Path("runs"), json: Json = False) -> None:
    """Tell again how the newest run of a recipe ended."""
    import orjson

    tell(orjson.loads((finished(name, out) / "summary.json").read_bytes()), json=json)


@app.command
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
        print(_as_json(told))
    else:
        from pipelines.plain import plain

        print(plain(page_of(told, out, drawn=False)))


@app.command
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
        print(_as_json(told))
    else:
        from pipelines.plain import plain

        print(plain(page_of(told)))


@app.command
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
    print(_as_json(told) if json else words(told, done=yes))


def _progress(text: str) -> None:
    print(text, file=sys.stderr)


@app.command
def bounds(name: str, rule: str | None = None, *, out: Out = Path("runs"), json: Json = False) -> None:
    """Show what each rule of a recipe's newest run measured and what other bounds would keep; nothing is measured."""
    import orjson

    from pipelines.bounds import explore, words

    found = explore(finished(name, out), rule)
    print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() if json else words(found))


@app.command
def prove(
    recipe: Path,
    *,
    ablate: Annotated[bool, Parameter(negative=())] = False,
    seeds: Annotated[list[int] | None, Parameter(consume_multiple=True)] = None,
    out: Out = Path("runs"),
    json: Json = False,
) -> None:
    """Say whether a recipe's data helps: the same model trained on raw, curated and shuffled data, with equal tokens.

    Parameters
    ----------
    ablate
        Leave out each rule and each judge once instead, and say what each does.
    seeds
        The seeds; those of [prove], or three from the recipe's own on, unless given.
    """
    import orjson

    from pipelines.opened import opened
    from pipelines.progress import shown
    from pipelines.proof_page import lay_out, terminal
    from pipelines.prove import prove as measure
    from pipelines.recipe import Recipe

    checked = Recipe.read(recipe)
    with shown() as progress, opened(checked, out, progress) as run:
        told = measure(run, ablate=ablate, seeds=seeds or ())
        folder = lay_out(told, run.folder)
    print(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode() if json else f"{terminal(told)}\n\n{folder}")


@app.command
def index(name: str, to: Path, *, out: Out = Path("runs")) -> None:
    """Write the index of what a recipe's newest run kept; a later recipe's duplicate rules take it as `against`."""
    from pipelines.curate import write_kept_index

    folder = finished(name, out)
    print(f"{to}: {write_kept_index(folder, to):,} texts of {name} {folder.resolve().name}")


@app.command
def calibrate(
    name: str,
    *,
    human: Path,
    judge: str | None = None,
    least: float = 1.0,
    trusted: float = 0.8,
    family: str | None = None,
    out: Out = Path("runs"),
    json: Json = False,
) -> None:
    """Measure the judges of a recipe's newest run by people's labels, and store the card that a recipe can demand.

    Parameters
    ----------
    human
        A CSV file: candidate_id, or a_id and b_id; the person's verdict; person, where there are several. Or `review`:
        what was said of this recipe's runs on the page of ./mill review.
    least
        The score from which a reply counts as good, where people said good or bad.
    trusted
        The agreement from which a score is trusted.
    family
        The family of the judge's own model, where its name does not start with it.
    """
    import orjson

    from pipelines.calibrate import calibrate as measure
    from pipelines.calibrate import words
    from pipelines.opened import opened
    from pipelines.progress import shown
    from pipelines.recipe import Recipe

    folder = finished(name, out).resolve()
    with shown() as progress, opened(Recipe.read(folder / "recipe.toml"), out, progress) as run:
        cards = measure(run, folder, human, judge=judge, least=least, trusted=trusted, family=family)
    print(orjson.dumps(cards, option=orjson.OPT_INDENT_2).decode() if json else words(cards))


@app.command
def probe(
    recipe: Path,
    *,
    judge: str | None = None,
    count: Annotated[int, Parameter(validator=validators.Number(gte=2))] = 50,
    least: float = 1.0,
    out: Out = Path("runs"),
    json: Json = False,
) -> None:
    """Try to game a recipe's judges: texts that answer nothing in the place of replies, and how often they win.

    Parameters
    ----------
    judge
        One of the judges, as the report names it; all, unless told.
    count
        How many of the recipe's samples are tried.
    least
        The score from which a reply passes, of a judge that scores single replies.
    """
    import orjson

    from pipelines.opened import opened
    from pipelines.probe import probe as attack
    from pipelines.probe import words
    from pipelines.progress import shown
    from pipelines.recipe import Recipe

    with shown() as progress, opened(Recipe.read(recipe), out, progress) as run:
        told = attack(run, judge=judge, count=count, least=least)
    print(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode() if json else words(told))


@app.command
def weigh(
    rules: Path,
    graded: Path,
    to: Path,
    *,
    seed: int = 0,
    reward_model: list[str] | None = None,
    json: Json = False,
) -> None:
    """Fit the weights of rule-based rewards to graded replies, and write them to a file that a recipe names.

    Parameters
    ----------
    reward_model
        A reward model's checkpoint, or several: the weights are fitted on top of what it says of the lines' replies.
    """
    import orjson

    from pipelines.weigh import weigh as fit
    from pipelines.weigh import words

    told = fit(rules, graded, to, seed=seed, reward_model=reward_model or ())
    print(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode() if json else words(told))


@app.command
def publish(
    name: str,
    *,
    to: str,
    version: str | None = None,
    public: Annotated[bool, Parameter(negative=())] = False,
    pr: Annotated[bool, Parameter(negative=())] = False,
    license: str | None = None,  # noqa: A002 - the option's name
    license_reason: str | None = None,
    despite: str | None = None,
    leave_out: Annotated[bool, Parameter(negative=())] = False,
    out: Out = Path("runs"),
    json: Json = False,
) -> None:
    """Publish a recipe's newest run: its datasets, card, recipe and lock, checked, in one visible step; private first.

    Parameters
    ----------
    name
        The recipe's name, or a run's folder.
    to
        org/name on the hub, a folder (path/ or ./path), or s3://bucket/prefix.
    version
        v1.2 or the like; the next by itself where left out.
    public
        Make the dataset on the hub public once all of it is there.
    pr
        Propose it as a pull request instead.
    license
        The dataset's licence, where the sources' own leave none; with --license-reason, which the card gives.
    despite
        The reason to publish in spite of what the checks found; the card gives it. Secrets are never published.
    leave_out
        Leave out the rows in which a secret or personal data was found.
    """
    from pipelines.licences import stated
    from pipelines.publish import publish as put
    from pipelines.publish import words

    folder = Path(name) if (Path(name) / "summary.json").is_file() else finished(name, out)
    licence = stated(license, license_reason)
    told = put(folder, to, version=version, public=public, pr=pr, licence=licence, despite=despite, leave_out=leave_out)
    print(_as_json(told) if json else words(told))


@app.command
def unpublish(to: str, *, version: str, reason: str, json: Json = False) -> None:
    """Withdraw a published version with a reason: its data and tag are removed, and the card says why."""
    from pipelines.publish import unpublish as withdraw
    from pipelines.publish import words

    told = withdraw(to, version, reason)
    print(_as_json(told) if json else words(told))


@app.command(help_flags=[])
def serve(*arguments: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> None:
    """Start the flows of recipes with their schedules and triggers (Prefect), until it is ended; see serve --help."""
    _flows("serve", arguments)


@app.command(help_flags=[])
def watch(*arguments: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> None:
    """Set up a Prefect API for work pools: dead runs are started again, leases; see watch --help."""
    _flows("watch", arguments)


@app.command(help_flags=[])
def approve(*arguments: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> None:
    """Answer a run that waits for a person's yes before it publishes; see approve --help."""
    _flows("approve", arguments)


def _flows(command: str, arguments: tuple[str, ...]) -> None:
    """Hand a command over to the flows: by name, since Prefect is theirs alone."""
    resolve_name("flows.serving:app")([command, *arguments])


@app.command
def train(name: str, *, told: Told | None = None, out: Out = Path("runs"), json: Json = False) -> None:
    """Fine-tune on the datasets of a finished run: by its recipe's [[train]], another's, or what is told here.

    Parameters
    ----------
    name
        The recipe, whose newest run is taken, a version (my-name/0123), or a run's folder.
    """
    from pipelines.finetune import finetune
    from pipelines.finished import run_named
    from pipelines.progress import shown

    sections = told.sections() if told else ()
    with shown() as progress:
        summary = finetune(run_named(name, out), progress, sections=sections)
    tell(summary, json=json)


def finished(name: str, out: Path) -> Path:
    """Give the folder of a recipe's newest finished run."""
    folder = out / name / "latest"
    if not (folder / "summary.json").is_file():
        known = ", ".join(sorted(found.parent.parent.name for found in out.glob("*/latest/summary.json"))) or "none"
        raise GristmillError(f"no finished run {name!r} in {out}; there are: {known}")
    return folder


def tell(summary: dict[str, object], *, json: bool) -> None:
    """Print a summary for a person, or as JSON."""
    if json:
        import orjson

        sys.stdout.write(orjson.dumps(summary, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        from pipelines.closing import closing_words

        print(closing_words(summary))
        if "loop" in summary:
            from pipelines.rounds_page import terminal

            print(f"\n{terminal(summary)}")


def main() -> None:
    """Answer a command; a fault that a user can mend is told without a traceback and exits with 2."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # more threads on busy cores made decoding 8 to 20 times slower
    try:
        app()
    except GristmillError as error:
        print(f"mill: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
