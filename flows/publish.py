"""The flow `publish`: the gate, a person's yes where one is wanted, the datasets made visible, and the event of it."""

from pathlib import Path
from typing import Any

from prefect import flow, runtime, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event
from prefect.flow_runs import pause_flow_run, suspend_flow_run
from prefect.input import RunInput
from prefect.states import Cancelled

from flows.stages import HOOKS
from pipelines import gate as gates
from pipelines.checking import words
from pipelines.finished import run_named
from pipelines.page import fenced

PUBLISHED = "gristmill.dataset.published"  # the event
WAIT = 7 * 24 * 3600  # seconds that a run waits for a person


class Approval(RunInput):
    """What a person says to a run that waits."""

    yes: bool = False
    who: str = ""
    why: str = ""


@flow(name="publish", log_prints=True, persist_result=False, **HOOKS)
def publish(
    *,
    run: str,
    to: str,
    out: str = "runs",
    ask: bool = False,
    notify: tuple[str, ...] = (),  # noqa: ARG001 - a hook reads it
) -> Any:
    """Publish a run, by its recipe's name or its folder, to a target; with `ask` a person has to say yes before."""
    return release(run_named(run, Path(out)), to, ask=ask)


def release(folder: Path, to: str, *, ask: bool) -> Any:
    """Publish the finished run in `folder`: what was done, or where a person said no the state that says so."""
    passed = gate(folder)
    if ask:
        answer = approval(folder, to, passed)
        if not answer.yes:
            return Cancelled(message=f"{answer.who or 'a person'} said no: {answer.why or 'no reason given'}")
        print(f"{answer.who or 'a person'} said yes: {answer.why}")  # noqa: T201 - into the run's log
    told = put(folder, to)
    if told["done"] != "proposed":
        emit_event(
            PUBLISHED,
            resource={"prefect.resource.id": f"gristmill.dataset.{folder.parent.name}", "gristmill.gate": "passed"},
            payload={"run": str(folder), "to": told["to"], "version": told["version"], "content": told["content"]},
        )
    return told


@task(name="gate", task_run_name="gate", cache_policy=NO_CACHE)
def gate(folder: Path) -> str:
    """Hold the run to its gate; what was found is an artifact."""
    told = gates.gate(folder)
    text = fenced(words(told)) if told else "No preference pairs: nothing for the integrity suite."
    create_markdown_artifact(text, "gate", f"{folder.parent.name} {folder.name}")
    return text


@task(name="publish", task_run_name="publish", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=10)
def put(folder: Path, to: str) -> dict[str, Any]:
    """Publish; a cut connection is tried again, and nothing is published twice."""
    from pipelines.publish import publish as publish_run
    from pipelines.publish import words as told_in_words

    told = publish_run(folder, to)
    create_markdown_artifact(fenced(told_in_words(told)), "published", f"{folder.parent.name} {told['version']}")
    return told


def approval(folder: Path, to: str, passed: str) -> Approval:
    """Wait for a person's answer: in Prefect's page of the run, or by `./mill approve`.

    A deployed run ends meanwhile, and starts anew when it is answered: it finds what it made in the store.
    """
    asked = Approval.with_initial_data(description=f"Publish `{folder}` to `{to}`?\n\n{passed}", yes=False)
    wait = suspend_flow_run if runtime.deployment.id else pause_flow_run
    return wait(wait_for_input=asked, timeout=WAIT, key="approval")
