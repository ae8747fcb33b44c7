"""The command `./mill train`: fine-tuning on the datasets of a finished run."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipelines.calibrate import cards_of
from pipelines.folder import lay_out
from pipelines.increment import made_in, training_stages
from pipelines.opened import opened
from pipelines.progress import Progress
from pipelines.recipe import Recipe, read_toml
from pipelines.run import stages
from pipelines.store import write_bytes
from pipelines.training import Training
from schemas.chats import content_id
from schemas.errors import RecipeError

LIMITED = re.compile(r"first-(\d+)")
TABLE = re.compile(r"^[ \t]*\[\[?[ \t]*([\w\"'-]+)[^\n]*\]", re.MULTILINE)


def finetune(folder: Path, progress: Progress, *, sections: Sequence[Training] = ()) -> dict[str, Any]:
    """Train on the datasets of the finished run in `folder`, evaluate where its recipe does, and give the new summary.

    By its recipe's `[[train]]` or by `sections`. The result is laid out beside `folder` as a version of its own, with
    the recipe that it is by. Raises `RecipeError` where nothing says what to train.
    """
    folder = folder.resolve()
    limited = LIMITED.fullmatch(folder.parent.name)
    root = folder.parent.parent if limited else folder.parent
    recipe = Recipe.read(folder / "recipe.toml")
    if sections:
        recipe = with_sections(recipe, sections, root)
    recipe = recipe.model_copy(update={"loop": None})  # its datasets are there: they are trained on once
    if not recipe.train:
        fault = 'there is no [[train]]: --method says what to train ("preference": DPO or KTO, as the data has pairs)'
        raise RecipeError(recipe.file, [fault])
    limit = int(limited[1]) if limited else None
    with opened(recipe, root.parent, progress, limit=limit) as run:
        run.made |= made_in(folder)
        for name in training_stages(recipe):
            progress.say(name)
            stages(recipe)[name](run)
        progress.say("report")
        return lay_out(recipe, run.folder, run.made, cards_of(run))


def read_sections(path: Path) -> tuple[Training, ...]:
    """Read the `[[train]]` sections of a recipe, or of a file with nothing else in it; raises `RecipeError`."""
    raw = read_toml(path).get("train")
    if not isinstance(raw, list) or not raw:
        raise RecipeError(str(path), ["there is no [[train]] in it"])
    return tuple(section_of(one, f"{path}, train.{at}") for at, one in enumerate(raw))


def section_of(told: Mapping[str, Any], where: str) -> Training:
    """Check one training section; raises `RecipeError` with all that is wrong with it."""
    try:
        return Training.model_validate(told)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}".removeprefix(": ") for one in error.errors()]
        raise RecipeError(where, faults) from error


def with_sections(recipe: Recipe, sections: Sequence[Training], root: Path) -> Recipe:
    """Give the recipe with other training sections, its text written to a file beside the runs.

    Raises `RecipeError` for a text whose sections can't be told apart line by line.
    """
    text = Path(recipe.file).read_text(encoding="utf-8")
    kept = "\n".join([_without_training(text).rstrip(), "", *(_toml(section) for section in sections)])
    file = root / "recipes" / f"{content_id(kept)}.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(file, kept.encode())
    read = Recipe.read(file)
    wanted = recipe.model_copy(update={"train": tuple(sections), "file": str(file)})
    if read.model_dump() != wanted.model_dump():
        file.unlink()
        raise RecipeError(recipe.file, ["its [[train]] can't be replaced: write the sections into a copy of it"])
    return read


def _without_training(text: str) -> str:
    """Leave out the tables `[[train]]` and those below them, from heading to heading."""
    heads = [*TABLE.finditer(text)]
    starts = [0, *(head.start() for head in heads)]
    ends = [*(head.start() for head in heads), len(text)]
    names = ["", *(head[1] for head in heads)]
    return "".join(text[start:end] for name, start, end in zip(names, starts, ends, strict=True) if name != "train")


def _toml(section: Training) -> str:
    told = section.model_dump(mode="json", exclude_defaults=True) | {"method": section.method}
    return "\n".join(["[[train]]", *(f"{name} = {_value(one)}" for name, one in told.items()), ""])


def _value(value: Any) -> str:
    """Give a value as TOML; numbers, texts and truth are as in JSON."""
    if isinstance(value, dict):
        pairs = [f"{json.dumps(name)} = {_value(one)}" for name, one in value.items() if one is not None]
        return "{ " + ", ".join(pairs) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
