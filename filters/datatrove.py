"""Rules that are a filter class of datatrove, by its name."""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import polars as pl

from filters.texts import Part, text
from schemas.parts import PartError, nearest
from schemas.rules import Rule

VALUES = pl.Struct({"value": pl.Float64(), "why": pl.String()})


def quality(*, name: str, arguments: Mapping[str, Any] | None = None, part: Part = "reply") -> Rule:
    """1 where datatrove's filter class `name`, made with `arguments`, keeps `part`, else 0 and why. Kept: from 1.

    The reason is datatrove's own, such as "gopher_short_doc". The bounds are the class's arguments: another bound is
    another measurement. Source: datatrove 0.10.1, `datatrove.pipeline.filters`. Raises `PartError` for a class that
    isn't there, with the nearest name, an argument that it doesn't take, and a package that it needs and lacks.
    """
    made = _made(name, dict(arguments or {}))

    def measure(samples: pl.DataFrame) -> pl.Series:
        from datatrove.data import Document

        rows = zip(*samples.select("id", text=text(part)).get_columns(), strict=True)
        found = [_verdict(made, Document(text=told, id=row)) if told is not None else None for row, told in rows]
        return pl.Series(found, dtype=VALUES)

    return Rule(measure, minimum=1)


def _verdict(made: Any, document: Any) -> dict[str, float | str | None]:
    if not document.text.strip():  # several of the classes divide by the number of words or lines
        return {"value": 0.0, "why": "blank"}
    result = made.filter(document)
    kept, why = result if isinstance(result, tuple) else (result, None)
    return {"value": float(bool(kept)), "why": None if kept else str(why or type(made).__name__)}


def _made(name: str, arguments: dict[str, Any]) -> Any:
    """Make the filter and try it once, so that what it lacks is told before any work."""
    try:
        module = importlib.import_module("datatrove.pipeline.filters")
        data = importlib.import_module("datatrove.data")
    except ImportError as error:
        raise PartError(
            [f"filters.datatrove needs the package {error.name!r}; pip install datatrove==0.10.1"]
        ) from error
    known: dict[str, Any] = {
        key: kind for key, kind in vars(module).items() if inspect.isclass(kind) and key.endswith("Filter")
    }
    if name not in known:
        raise PartError([f"datatrove has no filter {name!r}{nearest(name, known)}"])
    takes = list(inspect.signature(known[name].__init__).parameters)[1:]
    faults = [f"{name} takes no argument {key!r}{nearest(key, takes)}" for key in arguments if key not in takes]
    if faults:
        raise PartError(faults)
    try:
        made = known[name](**arguments)
        made.filter(data.Document(text="It is only a trial.", id="trial"))
    except (ImportError, TypeError, ValueError, OSError) as error:  # the last: a model that is to be downloaded
        raise PartError([f"datatrove's {name} can't be made: {error}"]) from error
    if "seed" in takes and arguments.get("seed") is None:
        raise PartError([f"datatrove's {name} draws at random: say arguments = {{ seed = 7 }}, or any other number"])
    return made
