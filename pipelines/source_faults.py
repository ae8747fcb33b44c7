"""What can be wrong with where a recipe's rows come from."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.files.places import file_system, is_url, places_of
from pipelines.layouts import FIELDS, LAYOUTS, column_faults
from schemas.errors import InputError
from schemas.parts import nearest

SKIPPED_SAID = 3  # of what a folder holds that is not read


def source_faults(named: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    """Check that every source and benchmark, by the place it stands at, is there, its layout and columns known ones."""
    for where, source in named:
        path, layout = source.get("path"), source.get("layout")
        if isinstance(path, str):
            yield from (f"{where}: {fault}" for fault in _path_faults(path))
        if isinstance(layout, str) and layout not in LAYOUTS:
            yield f"{where}: no layout {layout!r}{nearest(layout, LAYOUTS)}"
        yield from (f"{where}: {fault}" for fault in column_faults(_columns(source), layout))
        for field, column in _columns(source).items():
            if field not in FIELDS:
                yield f"{where}.columns: nothing of ours is called {field!r}{nearest(field, FIELDS)}"
            elif not isinstance(column, str) and not FIELDS[field]:
                yield f"{where}.columns: {field} is {column!r}; only the prompt may be joined from several columns"
        if isinstance(source.get("max_row_mib"), int) and source["max_row_mib"] < 1:
            yield f"{where}: max_row_mib is {source['max_row_mib']}; expected 1 or more"


def _path_faults(path: str) -> Iterator[str]:
    """Check that there is something to be read; of a URL only that its packages are there: nothing is asked yet."""
    try:
        if is_url(path):
            file_system(path.partition("::")[0])
        elif not (found := places_of(path)).places:
            yield (
                f"{path}: nothing there can be read: {'; '.join(found.skipped[:SKIPPED_SAID])}"
                if found.skipped
                else f"no file {path!r} (looked for in {Path.cwd()})"
            )
        else:
            for place in found.places:
                place.format  # noqa: B018 - raises for an ending without a reader
    except InputError as error:
        yield str(error)


def _columns(source: Mapping[str, Any]) -> dict[str, Any]:
    columns = source.get("columns")
    return columns if isinstance(columns, dict) else {}
