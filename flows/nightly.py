"""The flow `nightly`: the rows that are new since the last publication, from their files to a published version."""

from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.states import Completed

from flows.publish import release
from flows.stages import HOOKS, run_stages, show_report
from pipelines.calibrate import cards_of
from pipelines.folder import lay_out
from pipelines.increment import data_stages, new_rows, write_published_index
from pipelines.opened import opened
from pipelines.progress import lines
from pipelines.recipe import Recipe


@flow(name="nightly", log_prints=True, persist_result=False, **HOOKS)
def nightly(
    *,
    recipe: str,
    to: str,
    out: str = "runs",
    new_only: bool = True,
    ask: bool = False,
    lease: str | None = None,
    notify: tuple[str, ...] = (),  # noqa: ARG001 - a hook reads it
) -> Any:
    """Publish what is new: ingest, curate against what was published, generate, judge, report, gate, publish.

    A night without a new row publishes nothing. With `new_only` false a version holds all rows, the old ones from the
    store and the ledger. Fine-tuning is the flow that the event of the publication starts.
    """
    checked = Recipe.read(recipe)
    if new_only:
        checked = new_rows(checked, Path(out), to)
    before, after = data_stages(checked)
    with opened(checked, Path(out), lines(get_run_logger().info)) as run:
        run_stages(run, before, lease)
        if not run.made["curate"].facts["kept"]:
            return Completed(name="NothingNew", message="no new row: nothing to publish")
        run_stages(run, after, lease)
        if not run.made["select"].facts["sft"] + run.made["select"].facts["preferences"]:
            return Completed(name="NothingNew", message="the new rows gave no row of a dataset: nothing to publish")
        summary = lay_out(checked, run.folder, run.made, cards_of(run))
    folder = Path(summary["folder"]).resolve()
    show_report(checked.name, folder)
    told = release(folder, to, ask=ask)
    if isinstance(told, dict) and told["done"] != "proposed":
        write_published_index(checked, folder, Path(out), to)
    return told
