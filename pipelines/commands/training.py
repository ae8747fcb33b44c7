"""Commands that fine-tune on a run's datasets, and say whether the data helps."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pipelines.commands.told import Json, Out, as_json, tell
from pipelines.finished import run_named
from pipelines.training_told import Told


def train(name: str, *, told: Told | None = None, out: Out = Path("runs"), json: Json = False) -> None:
    """Fine-tune on the datasets of a finished run: by its recipe's [[train]], another's, or what is told here.

    Parameters
    ----------
    name
        The recipe, whose newest run is taken, a version (my-name/0123), or a run's folder.
    """
    from pipelines.finetune import finetune
    from pipelines.progress import shown

    sections = told.sections() if told else ()
    with shown() as progress:
        summary = finetune(run_named(name, out), progress, sections=sections)
    tell(summary, json=json)


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
    from pipelines.opened import opened
    from pipelines.progress import shown
    from pipelines.proof_page import lay_out, terminal
    from pipelines.prove import prove as measure
    from pipelines.recipe import Recipe

    checked = Recipe.read(recipe)
    with shown() as progress, opened(checked, out, progress) as run:
        told = measure(run, ablate=ablate, seeds=seeds or ())
        folder = lay_out(told, run.folder)
    print(as_json(told) if json else f"{terminal(told)}\n\n{folder}")
