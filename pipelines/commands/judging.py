"""Commands on judges: measured by people, gamed, and the weights of rule-based rewards."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from pipelines.commands.told import Json, Out, as_json
from pipelines.finished import run_named


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
    from pipelines.calibrate import calibrate as measure
    from pipelines.calibrate import words
    from pipelines.opened import opened
    from pipelines.progress import shown
    from pipelines.recipe import Recipe

    folder = run_named(name, out)
    with shown() as progress, opened(Recipe.read(folder / "recipe.toml"), out, progress) as run:
        cards = measure(run, folder, human, judge=judge, least=least, trusted=trusted, family=family)
    print(as_json(cards) if json else words(cards))


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
    from pipelines.opened import opened
    from pipelines.probe import probe as attack
    from pipelines.probe import words
    from pipelines.progress import shown
    from pipelines.recipe import Recipe

    with shown() as progress, opened(Recipe.read(recipe), out, progress) as run:
        told = attack(run, judge=judge, count=count, least=least)
    print(as_json(told) if json else words(told))


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
    from pipelines.weigh import weigh as fit
    from pipelines.weigh import words

    told = fit(rules, graded, to, seed=seed, reward_model=reward_model or ())
    print(as_json(told) if json else words(told))
