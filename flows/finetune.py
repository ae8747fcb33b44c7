"""The flow `finetune`: the recipe's training and evaluation on the datasets of a finished run."""

from pathlib import Path

from prefect import flow, get_run_logger

from flows.stages import HOOKS, run_stages, show_report
from pipelines.calibrate import cards_of
from pipelines.folder import lay_out
from pipelines.increment import made_in, training_stages
from pipelines.opened import opened
from pipelines.progress import lines
from pipelines.recipe import Recipe


@flow(name="finetune", log_prints=True, persist_result=False, **HOOKS)
def finetune(run: str, lease: str | None = None, notify: tuple[str, ...] = ()) -> str:  # noqa: ARG001 - a hook reads it
    """Fine-tune on the datasets of the run in the folder `run`, as its recipe says, and give the new folder.

    The rows are those that were published, whatever has come to the sources since.
    """
    folder = Path(run).resolve()
    recipe = Recipe.read(folder / "recipe.toml")
    with opened(recipe, folder.parent.parent, lines(get_run_logger().info)) as at:
        at.made |= made_in(folder)
        run_stages(at, training_stages(recipe), lease)
        summary = lay_out(recipe, at.folder, at.made, cards_of(at))
    made = Path(summary["folder"]).resolve()
    show_report(recipe.name, made)
    return str(made)
