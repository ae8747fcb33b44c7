"""Experiment trackers, each an extra: what a training job logs to W&B, MLflow or trackio through TRL's `report_to`."""

from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

from schemas.errors import TrainingError

Tracker = Literal["mlflow", "trackio", "wandb"]
PACKAGES = {"mlflow": "mlflow", "trackio": "trackio", "wandb": "wandb"}  # by the name that TRL knows


def demand_trackers(wanted: Iterable[str | None]) -> None:
    """Refuse a tracker whose package is not installed; raises `TrainingError` with the command that installs it."""
    missing = sorted({name for name in wanted if name is not None and find_spec(PACKAGES[name]) is None})
    if missing:
        packages = " ".join(PACKAGES[name] for name in missing)
        raise TrainingError(
            f"[[train]] has tracker = {missing[0]!r}, and {packages} is not installed. Install it with\n"
            f"  .venv/bin/python -m pip install -c constraints.txt {packages}\n"
            "or take the key out: no result depends on it."
        )


def log_facts(tracker: str, facts: Mapping[str, Any]) -> None:
    """Add facts to the tracker's run that TRL has begun: which recipe, which data, which base."""
    module = import_module(PACKAGES[tracker])
    if tracker == "mlflow":
        module.set_tags({f"gristmill.{name}": str(told) for name, told in facts.items()})
    else:
        module.config.update({f"gristmill/{name}": told for name, told in facts.items()}, allow_val_change=True)
