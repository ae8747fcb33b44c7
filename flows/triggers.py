"""What starts runs besides schedules: the event of a publication, and a run whose process died."""

from typing import Any

from prefect.automations import Automation
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger
from prefect.exceptions import ObjectNotFound

from flows.publish import PUBLISHED

TAG = "gristmill"  # of our deployments, and so of their runs
SILENT = 90.0  # seconds without a heartbeat until a run counts as dead: three of them
ENDS = ("Completed", "NothingNew", "Failed", "Cancelled", "Crashed", "Suspended", "Paused")  # names of states


def from_event(field: str) -> dict[str, Any]:
    """Give the parameter that the event's payload fills, as it is: what Jinja alone gives is always a string."""
    jinja = {"__prefect_kind": "jinja", "template": f"{{{{ event.payload.{field} | tojson }}}}"}
    return {"__prefect_kind": "json", "value": jinja}


def when_published(name: str, **parameters: Any) -> DeploymentEventTrigger:
    """Give the trigger that starts a deployment of `finetune` when a dataset passed its gate and was published."""
    return DeploymentEventTrigger(
        name=f"gristmill: fine-tune when {name} was published",
        match={"prefect.resource.id": f"gristmill.dataset.{name}", "gristmill.gate": "passed"},
        expect={PUBLISHED},
        parameters={"run": from_event("run"), **parameters},
    )


def watch_over_runs() -> None:
    """Have the server call a run without heartbeats crashed, and start a crashed one again where it is deployed."""
    ours: Any = {"prefect.resource.id": f"prefect.tag.{TAG}", "prefect.resource.role": "tag"}
    any_run: Any = {"prefect.resource.id": "prefect.flow-run.*"}
    beat = "prefect.flow-run.heartbeat"
    silent = EventTrigger(
        match=any_run,
        match_related=ours,
        after={beat},
        expect={beat, *(f"prefect.flow-run.{end}" for end in ENDS)},
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=SILENT,  # type: ignore[arg-type]
    )
    crashed = EventTrigger(
        match=any_run, match_related=ours, expect={"prefect.flow-run.Crashed"}, for_each={"prefect.resource.id"}
    )
    _keep(
        "gristmill: a run without a heartbeat has crashed", silent, StateType.CRASHED, "no heartbeat: its process died"
    )
    _keep("gristmill: a crashed run is started again", crashed, StateType.SCHEDULED, "continues from the store")


def _keep(name: str, trigger: EventTrigger, state: StateType, message: str) -> None:
    """Create an automation, or bring the one of that name up to date."""
    change = ChangeFlowRunState(name=None, state=state, message=message, force=False)
    wanted = Automation(name=name, trigger=trigger, actions=[change])
    try:
        known: Any = Automation.read(name=name)
    except (ValueError, ObjectNotFound):
        wanted.create()
        return
    wanted.id = known.id
    wanted.update()
