"""The deployments of a recipe: its four flows with schedule, parameters and triggers."""

from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron, Interval
from prefect.types.entrypoint import EntrypointType

from flows.build import build
from flows.finetune import finetune as finetune_flow
from flows.nightly import nightly
from flows.publish import publish
from flows.triggers import TAG, when_published
from pipelines.hub import Hub
from pipelines.recipe import Recipe
from pipelines.targets import target_of
from schemas.errors import GristmillError

IMPORTED = EntrypointType.MODULE_PATH  # whatever folder the command is run in


def check_target(to: str, *, several: bool) -> None:
    """Refuse what is no place to publish to, and one dataset of the hub for several recipes."""
    if isinstance(target_of(to), Hub) and several:
        raise GristmillError(
            f"{to} is one dataset on the hub: name one recipe for it, and serve each of several by itself"
        )


def make_lease(told: str) -> str:
    """Make the global concurrency limit of `name=slots`, or change its slots, and give its name."""
    name, _, slots = told.partition("=")
    if not name or not (slots or "1").isdecimal():
        raise GristmillError(f"{told!r} is no lease: expected a name and how many may hold it at once, gpu=1")
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(name, int(slots or 1))
    return name


def deployments_of(
    recipe: Recipe,
    out: Path,
    schedule: dict[str, Any] | None,
    night: dict[str, Any],
    common: dict[str, Any],
    *,
    several: bool,
    finetune: bool,
) -> list[RunnerDeployment]:
    """Give the deployments of a recipe, each named after it; `night` and `common` are parameters of the flows."""
    name, where = recipe.name, {"out": str(out)}
    to = f"{night['to'].rstrip('/')}/{name}/" if several else night["to"]  # without the last / it names one on the hub
    quiet = {"notify": common["notify"]}
    told: list[tuple[Any, dict[str, Any], dict[str, Any]]] = [
        (nightly, {"recipe": recipe.file, **where, **night, "to": to, **common}, _scheduled(schedule)),
        (build, {"recipe": recipe.file, **where, **common}, {}),
        (publish, {"run": name, "to": to, **where, "ask": night["ask"], **quiet}, {}),
    ]
    if recipe.train:
        triggers = [when_published(name, **common)] if finetune else []
        told.append((finetune_flow, {"run": str(out / name / "latest"), **common}, {"triggers": triggers}))
    return [
        flow.to_deployment(
            name, parameters=parameters, tags=[TAG], concurrency_limit=1, entrypoint_type=IMPORTED, **more
        )
        for flow, parameters, more in told
    ]


def _scheduled(schedule: dict[str, Any] | None) -> dict[str, Any]:
    if schedule is None:
        return {}
    if "cron" in schedule:
        return {"schedule": Cron(schedule["cron"], timezone=schedule["timezone"])}
    return {"schedule": Interval(schedule["interval"])}
