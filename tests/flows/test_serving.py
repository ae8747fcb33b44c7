"""The command line beside Prefect, where Prefect refuses."""

import uuid

import httpx
import pytest
from prefect.exceptions import FlowPauseTimeout, NotPausedError

from flows.serving import approve
from schemas.errors import GristmillError


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (NotPausedError("Cannot resume a run that isn't paused!"), "waits for nobody .*isn't paused"),
        (FlowPauseTimeout("Flow run can no longer be resumed."), "waits for nobody .*no longer be resumed"),
        (httpx.ConnectError("Connection refused"), "can't be reached or refuses: Connection refused"),
        (
            RuntimeError("Cannot resume this run: Run input data not found."),
            "can't be answered, and nothing was published .*data not found.*start it again",
        ),
    ],
)
def test_an_answer_that_the_server_does_not_take_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr("prefect.flow_runs.resume_flow_run", refuse)
    with pytest.raises(GristmillError, match=told):
        approve(uuid.UUID(int=1))
