"""The commands `./mill serve` and `./mill approve`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from cyclopts import App, Parameter, validators

from schemas.errors import GristmillError

app = App(name="mill", help="Schedules and triggers, with Prefect.")
No = Parameter(negative=())
Above = validators.Number(gt=0)
ASKING = 5  # seconds from a run's suspension within which it has stored its question


@app.command
def serve(
    *recipes: Path,
    to: str,
    cron: str | None = None,
    every: Annotated[float | None, Parameter(validator=Above)] = None,
    timezone: str = "UTC",
    all_rows: Annotated[bool, No] = False,
    ask: Annotated[bool, No] = False,
    finetune: bool = True,
    lease: str | None = None,
    notify: list[str] | None = None,
    out: Path = Path("runs"),
    port: int = 4200,
    limit: Annotated[int, Parameter(validator=Above)] = 2,
) -> None:
    """Start the flows of recipes with their schedules, until it is ended: nightly, build, publish and finetune.

    They run against the Prefect API that PREFECT_API_URL names; without one a server is started here, on SQLite, or on
    the database that PREFECT_SERVER_DATABASE_CONNECTION_URL names (postgresql+asyncpg://...).

    Parameters
    ----------
    to
        Where new rows are published: org/name, a folder (path/), s3://bucket/prefix. With several recipes the folder
        or prefix that one of the recipe's name is made in.
    cron
        When `nightly` runs: "0 3 * * *" is every night at 3:00.
    every
        Or every so many seconds. With neither it runs only when it is told to.
    timezone
        The one that `cron` is in.
    all_rows
        Publish all rows each time, not those alone that are new since the last version.
    ask
        Wait for a person's yes before anything is published.
    finetune
        Start fine-tuning when a dataset was published, where its recipe trains.
    lease
        The device that engines and training share, and how many may at once: gpu=1.
    notify
        Saved notification blocks to tell how runs ended: slack-webhook/team.
    port
        Of the server that is started here.
    limit
        Runs at once.
    """
    from prefect import serve as run_deployments
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.deployments import check_target, deployments_of, make_lease
    from flows.server import server
    from flows.triggers import watch_over_runs
    from pipelines.recipe import Recipe

    if cron and every:
        raise GristmillError("expected one of --cron and --every")
    if not recipes:
        raise GristmillError("name the recipes to serve: ./mill serve recipes/demo.toml --to published/")
    check_target(to, several=len(recipes) > 1)
    checked = [Recipe.read(recipe) for recipe in recipes]
    common: dict[str, Any] = {"notify": notify or []}
    with server(port) as url, temporary_settings({PREFECT_API_URL: url}):
        os.environ["PREFECT_API_URL"] = url  # for the processes of the runs
        with _told_in_words():
            common["lease"] = make_lease(lease) if lease else None
            watch_over_runs()
        schedule = {"cron": cron, "timezone": timezone} if cron else {"interval": every} if every else None
        night = {"to": to, "new_only": not all_rows, "ask": ask}
        made = [
            one
            for recipe in checked
            for one in deployments_of(recipe, out, schedule, night, common, several=len(checked) > 1, finetune=finetune)
        ]
        print(f"Prefect: {url.removesuffix('/api')}", flush=True)  # noqa: T201 - a command speaks
        run_deployments(*made, limit=limit)


@app.command
def watch(*, lease: list[str] | None = None) -> None:
    """Set up a Prefect API for work pools: dead runs are found and started again, and leases have their slots.

    Parameters
    ----------
    lease
        A device that engines and training share, and how many may at once: gpu=1. Serve does all this by itself.
    """
    from flows.deployments import make_lease
    from flows.triggers import watch_over_runs

    with _told_in_words():
        watch_over_runs()
        said = ["runs without a heartbeat are started again", *(make_lease(one) for one in lease or ())]
    print("\n".join(said))  # noqa: T201 - a command speaks


@app.command
def approve(
    run: UUID | None = None,
    *,
    no: Annotated[bool, No] = False,
    who: str = "",
    why: str = "",
) -> None:
    """Answer a run that waits for a person's yes; without a run, tell which ones wait.

    Parameters
    ----------
    run
        The id of the run, which is also in the address of its page.
    no
        Say no: nothing is published, and the run ends as cancelled.
    who
        Who says so; by default the name that this machine knows you by.
    why
        The reason, which goes into the run's log.
    """
    import getpass

    from prefect.exceptions import FlowPauseTimeout, NotPausedError, ObjectNotFound

    if run is None:
        with _told_in_words():
            print("\n".join(waiting()) or "no run waits")  # noqa: T201 - a command speaks
        return
    try:
        with _told_in_words():
            _answer(run, {"yes": not no, "who": who or getpass.getuser(), "why": why})
    except (FlowPauseTimeout, NotPausedError, ObjectNotFound) as error:
        raise GristmillError(
            f"the run {run} waits for nobody ({error}); is PREFECT_API_URL that of its server?"
        ) from error
    except RuntimeError as error:  # the server refused
        raise GristmillError(
            f"the run {run} can't be answered, and nothing was published ({error}): start it again"
        ) from error
    print(f"{run}: {'no' if no else 'yes'}")  # noqa: T201 - a command speaks


@contextmanager
def _told_in_words() -> Iterator[None]:
    """Say in words that Prefect's server can't be reached, or refuses."""
    import httpx

    try:
        yield
    except httpx.HTTPError as error:
        where = os.environ.get("PREFECT_API_URL") or "of no name: PREFECT_API_URL is not set"
        raise GristmillError(
            f"Prefect's server ({where}) can't be reached or refuses: {error}; when it is up, say the same again"
        ) from error


def _answer(run: UUID, answer: dict[str, Any]) -> None:
    """Answer a run; one whose question was lost is asked anew first.

    Prefect suspends a run and then stores its question: where the server's database is busy, the run waits without one.
    """
    from prefect.flow_runs import resume_flow_run

    try:
        resume_flow_run(run, run_input=answer)
    except RuntimeError as error:
        if "schema not found" not in str(error):
            raise
        _ask_anew(run)
        resume_flow_run(run, run_input=answer)


def _ask_anew(run: UUID) -> None:
    import time

    from prefect.client.orchestration import get_client
    from prefect.input.run_input import keyset_from_paused_state

    from flows.publish import Approval

    time.sleep(ASKING)  # it may be about to ask
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(run).state
        if state and state.is_paused():
            keys = keyset_from_paused_state(state)
            if not client.filter_flow_run_input(run, keys["schema"], 1, set()):
                Approval.save(keys, flow_run_id=run)


def waiting() -> list[str]:
    """Tell each run that waits for a person: its id, its name, what it would publish and where."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
    from prefect.client.schemas.objects import StateType

    paused = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED]))
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(flow_run_filter=FlowRunFilter(state=paused))
    told = [(one, one.parameters) for one in found]
    return [f"{one.id}  {one.name}: {its.get('run') or its.get('recipe')} to {its.get('to')}" for one, its in told]
