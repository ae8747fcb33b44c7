"""A run's stages as Prefect tasks, its report as artifacts, and what every flow does: leases and notifications."""

from collections.abc import Callable, Collection
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from prefect import runtime, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.blocks.core import Block
from prefect.cache_policies import NO_CACHE
from prefect.concurrency.sync import concurrency

from pipelines.opened import Run
from pipelines.run import needed, stages
from schemas.errors import GristmillError

ASKS_A_MODEL = {"generate", "score", "evaluate before", "evaluate after"}  # a server may come back: worth a retry
LEASE = 60.0  # seconds until the next run is given a dead one's device; a run that lives renews its own
STARTS = 3  # of one run, its process having died: what kills it each time is not found by trying on


def run_stages(run: Run, names: Collection[str], lease: str | None) -> None:
    """Run the named stages as tasks, from the first to the last that needs an engine or a trainer under the lease.

    `lease` is the name of a global concurrency limit. Raises `GristmillError` where the run was started too often.
    """
    if (runtime.flow_run.run_count or 0) > STARTS:
        raise GristmillError(f"this run's process died {STARTS} times: look at its logs before you start it again")
    steps = {name: stage for name, stage in stages(run.recipe).items() if name in names}
    needing = [name for name in steps if lease and needed(run.recipe, name)]
    with ExitStack() as held:
        for name, stage in steps.items():
            if lease and name == next(iter(needing), None):
                held.enter_context(concurrency(lease, lease_duration=LEASE, strict=True))
            as_task(name, stage, run)()
            if needing and name == needing[-1]:
                run.close_engines()  # before another run gets the device
                held.close()


def as_task(name: str, stage: Callable[[Run], None], run: Run) -> Callable[[], None]:
    """Give a stage as a task without parameters: frames and engines stay out of Prefect's hands.

    The store is the cache, so Prefect keeps none; a stage that is tried again asks only what is not in the ledger.
    """
    retries = 2 if name in ASKS_A_MODEL else 0

    @task(name=name, task_run_name=name, cache_policy=NO_CACHE, retries=retries, retry_delay_seconds=10)
    def run_stage() -> None:
        stage(run)

    return run_stage


def show_report(name: str, folder: Path) -> None:
    """Leave the report in `folder` as artifacts of the run: its text, and a link to its page."""
    key = "".join(sign if sign.isalnum() else "-" for sign in name.lower())
    create_markdown_artifact((folder / "report.md").read_text(), f"report-{key}", f"{name} {folder.name}")
    create_link_artifact((folder / "report.html").as_uri(), key=f"page-{key}", description="the report as a page")


def notify(flow: Any, flow_run: Any, state: Any) -> None:
    """Tell how a run ended by the saved blocks that its parameter `notify` names (`slack-webhook/team`)."""
    told = f"{flow.name} {flow_run.name}: {state.name}" + (f"\n{state.message}" if state.message else "")
    for name in flow_run.parameters.get("notify") or ():
        block: Any = Block.load(name)
        block.notify(body=told, subject=f"Gristmill: {flow.name} {state.name}")


HOOKS: dict[str, Any] = {
    "on_completion": [notify],
    "on_failure": [notify],
    "on_crashed": [notify],
    "on_cancellation": [notify],
}
