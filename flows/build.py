"""The flow `build`: a recipe from raw rows to datasets, one task a stage, the report as an artifact."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # a worker puts only this folder there
    sys.path.insert(0, str(ROOT))

from prefect import flow, get_run_logger  # noqa: E402 - Prefect reads the environment when it is imported

from flows.stages import HOOKS, run_stages, show_report  # noqa: E402 - the path comes first
from pipelines.calibrate import cards_of  # noqa: E402
from pipelines.folder import lay_out  # noqa: E402
from pipelines.opened import opened  # noqa: E402
from pipelines.progress import lines  # noqa: E402
from pipelines.recipe import Recipe  # noqa: E402
from pipelines.run import stages  # noqa: E402


@flow(name="build", log_prints=True, persist_result=False, **HOOKS)
def build(
    recipe: str = "recipes/demo.toml",
    out: str = "runs",
    *,
    lease: str | None = None,
    notify: tuple[str, ...] = (),  # noqa: ARG001 - a hook reads it
) -> str:
    """Run a recipe, and give the folder of its datasets and report; what was made before is used again.

    `lease` names the global concurrency limit of the device that is needed, `notify` the saved blocks to tell the end.
    """
    checked = Recipe.read(recipe)
    with opened(checked, Path(out), lines(get_run_logger().info)) as run:
        run_stages(run, stages(checked), lease)
        summary = lay_out(checked, run.folder, run.made, cards_of(run))
    folder = Path(summary["folder"]).resolve()
    show_report(checked.name, folder)
    return str(folder)


if __name__ == "__main__":
    build(*sys.argv[1:])
