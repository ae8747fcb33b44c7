"""Where rows come from, as a recipe says it."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

MIB = 1 << 20


@dataclass(frozen=True)
class Source:
    """A file, folder, glob, archive member (`file.zip::member`) or URL (`hf://`, `s3://`, `https://`) of rows.

    `layout` is recognised when left out and strict when named. `columns` says which of the rows' columns hold our
    fields, where no layout does: `prompt = "ask"`, or several whose texts are joined by an empty line. `header` says
    whether a CSV or TSV file has one, recognised when left out; without one the columns are "0", "1", ...
    `field` names the array that holds the rows of a JSON document such as `{"data": [...]}`. A row of more than
    `max_row_mib` MiB is quarantined without being read.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}  # no pydantic needed to read data

    path: str
    layout: str | None = None
    name: str | None = None
    license: str | None = None
    columns: dict[str, str | list[str]] = dataclasses.field(default_factory=dict)
    header: bool | None = None
    field: str | None = None
    max_row_mib: int = 64


@dataclass(frozen=True)
class Benchmark(Source):
    """Held-out tasks: never trained on, checked against, evaluated on."""
