"""A selection to train on, as the stage before leaves it, and runs and a hub to publish them to."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from pipelines.scored import table_of
from pipelines.select import Selection
from pipelines.store import Stored
from pipelines.training_layouts import Datasets
from schemas.tables import CANDIDATES, COMPARISONS, SAMPLES, SCORES
from tests.pipelines.hub_stub import Hub, served
from tests.pipelines.publishing import ROWS, copied, made, settings


def selection(folder: Path, count: int, *, system: str | None = None) -> Stored:
    """Store all layouts of `count` sums, each with a right and a wrong reply, every third with a check of its own."""
    check = orjson.dumps({"use": "judges.math:final_answer"}).decode()
    lead = [] if system is None else [{"role": "system", "content": system, "tool_calls": None}]
    samples: list[dict[str, Any]] = []
    candidates: list[dict[str, Any]] = []
    scores: list[dict[str, Any]] = []
    for at in range(count):
        asked = {"role": "user", "content": f"What is {at} + 2?", "tool_calls": None}
        told = {
            "reference": str(at + 2),
            "check": None if at % 3 else check,
            "source": "even" if at % 2 == 0 else "odd",
        }
        samples.append(dict.fromkeys(SAMPLES) | {"id": f"s{at:03}", "prompt": [*lead, asked], **told})
        for right in (1.0, 0.0):
            text = str(at + 2 if right else at + 3)
            one = {"id": f"c{at:03}-{right:g}", "sample_id": f"s{at:03}", "text": text, "model": "m", "sample": 0}
            candidates.append(dict.fromkeys(CANDIDATES) | one | {"status": "answered"})
            verdict = {"sample_id": f"s{at:03}", "candidate_id": one["id"], "judge": "j", "score": right}
            scores.append(dict.fromkeys(SCORES) | verdict | {"status": "scored"})
    table = table_of(
        pl.DataFrame(candidates, schema=CANDIDATES),
        pl.DataFrame(scores, schema=SCORES),
        pl.DataFrame(schema=COMPARISONS),
    )
    ids = [(f"c{at:03}-1", f"c{at:03}-0") for at in range(count)]
    picked = Selection(
        pl.DataFrame({"id": [good for good, _bad in ids]}),
        pl.DataFrame(ids, schema=["chosen_id", "rejected_id"], orient="row"),
    )
    with Datasets(folder, rule="r") as out:
        out.write(picked, table, pl.DataFrame(samples, schema=SAMPLES))
    return Stored(folder, out.facts(), reused=False, seconds=0.0)


@pytest.fixture(scope="session")
def selected(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """A selection of 24 sums."""
    return selection(tmp_path_factory.mktemp("selected"), 24)


@pytest.fixture(scope="session")
def make_selection() -> Callable[..., Stored]:
    """Give the function that makes a selection."""
    return selection


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; nothing may change it."""
    return made(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="session")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the same recipe over more rows; nothing may change it."""
    return made(tmp_path_factory.mktemp("second"), rows=ROWS + 20)


@pytest.fixture
def run(first: Path, tmp_path: Path) -> Path:
    """A run to publish."""
    return copied(first, tmp_path / "one")


@pytest.fixture
def later(second: Path, tmp_path: Path) -> Path:
    """A run to publish after it."""
    return copied(second, tmp_path / "two")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that publishing goes to."""
    from huggingface_hub import constants

    with served() as one:
        for key, value in settings(one, tmp_path).items():
            monkeypatch.setenv(key, value)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield one
