"""The first stage: files to samples; a row that can't be read is quarantined with the reason.

Memory is bounded by a shard and a row, however long the files: rows are read in pieces of a file, and written
10,000 or 8 MiB at a time.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from pipelines import instructions, layouts, unread
from pipelines.files.places import Place, fetched, places_of
from pipelines.files.read import read
from pipelines.files.rows import HELD, Bad, Batch, Row, bad
from pipelines.forgotten import Forgotten, beside
from pipelines.quarantine import GROUP, Quarantine
from pipelines.shards import SMALL, Shards, Told
from pipelines.sources import MIB, Source
from pipelines.store import Stored, Writer, named, once, sha256
from pipelines.turns import BLANK, LayoutError, Reading
from pipelines.versions import code_version
from schemas.errors import InputError
from schemas.tables import QUARANTINED, SAMPLES

LOOKED_AT = 200  # rows of a file by which its layout is recognised, and what of them is not read
COLUMNS_SAID = 12  # of those that are not read, in a line
SKIPPED_SAID = 5  # of what a source holds that is not read, where that is all
PARTS = ("files", "layouts", "unread", "turns", "instructions", "tasks", "preferences")
CODE = (*PARTS, "naming", "quarantine", "shards", "sources", "forgotten", "ingest")


@dataclass(frozen=True)
class File:
    """A file to be read: the source that names it, its place, where it lies on this machine, and its hash."""

    source: Source
    place: Place
    local: Path
    sha256: str
    bytes: int

    @property
    def name(self) -> str:
        """What its rows are said to come from."""
        return self.source.name or self.place.name

    @cached_property
    def told(self) -> Told:
        """What its samples have in common."""
        return Told(str(self.place), self.name, self.source.license)


def ingest(store: Path, sources: Iterable[Source], stage: str = "ingest", limit: int | None = None) -> Stored:
    """Read sources into the tables `samples` and `quarantined`; every row of a file ends in one of them.

    With a `limit`, so many rows of each source are read, the first. Rows that were forgotten are in neither table.

    The facts tell each file's format, layout, size, hash, rows and what became of them; how many samples there are
    above one a row (`several`: a row of Open Assistant's gives some); and what of a folder or archive is not read.
    `rows` and `several` are `samples` and those quarantined. Raises `InputError` for a path that names nothing that can
    be read, a layout that is not recognised, an archive that is refused, and for sources with no good row at all.
    """
    with ExitStack() as scope:
        files, skipped = _files(sources, scope)
        question = {
            "sources": [asdict(file.source) | {"file": str(file.place), "sha256": file.sha256} for file in files],
            "code": code_version(*(f"pipelines.{name}" for name in CODE)),
            **({} if limit is None else {"limit": limit}),
        }
        gone = beside(store)
        if gone and named(stage, question) not in gone.clean:
            question |= {"forgotten": gone.version}
        return once(store, stage, question, lambda work: _build(work, files, skipped, limit, gone))


def line_of(file: Mapping[str, Any]) -> str:
    """Say in a line what was found in a file, by the facts told of it, and which of its columns were not read."""
    said = f"{file['file']}: {file['layout'] or 'no layout'}"
    said += f", {file['rows']:,} rows: {file['samples']:,} samples, {file['quarantined']:,} quarantined"
    said += f", {file['forgotten']:,} forgotten" if file["forgotten"] else ""
    left = list(map(unread.spelled, file["unread"]))
    if not left:
        return said
    more = f" and {len(left) - COLUMNS_SAID:,} more" if len(left) > COLUMNS_SAID else ""
    return f"{said}; not read: {', '.join(left[:COLUMNS_SAID])}{more}"


def _files(sources: Iterable[Source], scope: ExitStack) -> tuple[list[File], list[str]]:
    """Find, fetch and hash what the sources name; a file named twice by its members is hashed once."""
    files: list[File] = []
    skipped: list[str] = []
    hashes: dict[Path, str] = {}
    copies: dict[str, Path] = {}
    for source in sources:
        found = places_of(source.path)
        skipped += found.skipped
        if not found.places:
            told = f": {'; '.join(found.skipped[:SKIPPED_SAID])}" if found.skipped else ""
            raise InputError(f"{source.path}: there is nothing that can be read{told}")
        for place in found.places:
            local = copies[place.file] = copies.get(place.file) or fetched(place, scope)
            if local not in hashes:
                hashes[local] = sha256(local)
            files.append(File(source, place, local, hashes[local], local.stat().st_size))
    return files, skipped


class Tables(NamedTuple):
    """The two tables being written."""

    samples: Shards
    quarantined: Quarantine


def _build(folder: Path, files: list[File], skipped: list[str], limit: int | None, gone: Forgotten) -> dict[str, Any]:
    with (  # uncompressed: compressing takes as long as all else
        Writer(folder, "samples", SAMPLES, compression="uncompressed", shard=SMALL) as good,
        Writer(folder, "quarantined", QUARANTINED, compression="uncompressed", group=GROUP, shard=SMALL) as bad_rows,
    ):
        tables = Tables(Shards(gone.samples(good.write)), Quarantine(gone.quarantined(bad_rows.write)))
        told = list(_read_files(files, tables, limit))
        for table in tables:
            table.flush()
    samples, quarantined = good.rows, bad_rows.rows
    several = sum(file["samples"] + file["quarantined"] - file["rows"] for file in told)
    for file in told:
        apart = {"samples": gone.counts[file["file"]], "quarantined": gone.counts[f"quarantined {file['file']}"]}
        file.update({name: file[name] - count for name, count in apart.items()}, forgotten=sum(apart.values()))
    if not samples:
        raise InputError(_nothing_good(told, quarantined, gone, tables.quarantined.first))
    rows = samples + quarantined - several
    return {"rows": rows, "several": several, "samples": samples, "files": told, "skipped": skipped}


def _nothing_good(told: list[dict[str, Any]], quarantined: int, gone: Forgotten, first: str) -> str:
    """Say why there is no sample."""
    names = ", ".join(file["file"] for file in told)
    if not any(file["rows"] for file in told):
        return f"there are no rows in {names}"
    left_out = f" {gone.counts.total():,} more are forgotten." if gone.counts else ""
    return f"no good row in {names}: {quarantined:,} were read, all bad.{left_out}{first}"


def _read_files(files: list[File], tables: Tables, limit: int | None) -> Iterator[dict[str, Any]]:
    """Read the files into the two tables, and tell what was found in each; none once its source's limit is reached."""
    read_of: dict[int, int] = {}  # rows, by source
    for file in files:
        before = read_of.get(id(file.source), 0)
        if limit is None or before < limit:
            told = _read_file(file, tables, None if limit is None else limit - before)
            read_of[id(file.source)] = before + told["rows"]
            yield told


def _first(batches: Iterator[Batch], limit: int) -> Iterator[Batch]:
    """Give the first `limit` rows."""
    left = limit
    while left and (batch := next(batches, None)):
        values = batch.values[:left]
        left -= len(values)
        yield replace(batch, values=values, broken=any(isinstance(value, Bad) for value in values))


def _read_file(file: File, tables: Tables, limit: int | None) -> dict[str, Any]:
    """Read one file, or its first `limit` rows, into the two tables, and tell what was found."""
    source = file.source
    fault = next(layouts.column_faults(source.columns, source.layout), None)
    if fault:
        raise InputError(f"{file.place}: {fault}")
    options: dict[str, Any] = {"limit": source.max_row_mib * MIB, "header": source.header, "field": source.field}
    reading = read(file.place, file.local, **options)
    mapped = bool({"prompt", "messages"} & source.columns.keys())  # then no layout is needed
    found, batches = _head(reading.batches)
    if batches is None:
        batches = read(file.place, file.local, **options).batches
    layout = source.layout or (None if mapped else _recognised(file, found))
    left = _unread(file, None if mapped else layout, found, chosen=source.layout is not None)
    batches = batches if limit is None else _first(batches, limit)
    rows = samples = quarantined = 0
    for batch in batches:
        kept, lost = _read_batch(batch, None if mapped else layout, file, tables)
        rows, samples, quarantined = rows + len(batch.values), samples + kept, quarantined + lost
    if file.local.stat().st_size != file.bytes:
        raise InputError(f"{file.place} has changed while it was read; run again")
    return {
        "file": str(file.place),
        "source": file.name,
        "layout": "columns" if mapped else layout,
        "format": reading.format,
        "read": options,
        "unread": left,
        "bytes": file.bytes,
        "sha256": file.sha256,
        "rows": rows,
        "samples": samples,
        "quarantined": quarantined,
    }


def _head(batches: Iterator[Batch]) -> tuple[list[Row], Iterator[Batch] | None]:
    """Give the first good rows, and the batches whole again; null where they come behind too many bad ones to hold."""
    head: list[Batch] = []
    found: list[Row] = []
    held = 0
    for batch in batches:
        if held >= HELD:
            head.clear()
        head.append(batch)
        held += batch.size
        found += [value for value in batch.values if not isinstance(value, Bad)][: LOOKED_AT - len(found)]
        if len(found) >= LOOKED_AT or (found and held >= HELD):
            break
    whole = not head or head[0].row == 0
    return found, itertools.chain(head, batches) if whole else None


def _recognised(file: File, found: list[Row]) -> str | None:
    """Name the layout by the first good rows; null when no row is good."""
    layout = layouts.recognise(found, file.source.columns)
    if found and layout is None:
        raise InputError(f"{file.place}: the layout is not recognised. {unread.unrecognised(found[0])}")
    return layout


def _unread(file: File, layout: str | None, found: list[Row], *, chosen: bool) -> list[str]:
    """Name the columns that are not read; raises `InputError` for one that may be asked, where nobody has chosen."""
    left = unread.unread(layout, found, file.source.columns)
    half = unread.half_read(layout, left) if layout and not chosen else None
    if half:
        raise InputError(
            f"{file.place}: it looks like {layout}, which does not read the column {half!r}, and that may be a part of "
            f'what is asked. Say which columns are: columns = {{ prompt = ["{half}", "..."], reply = "..." }}; or that '
            f'it is none: layout = "{layout}".'
        )
    return left


def _read_batch(batch: Batch, layout: str | None, file: File, tables: Tables) -> tuple[int, int]:
    """Read a batch's rows into the two tables; gives how many samples and how many bad rows they were."""
    if layout == "alpaca" and not file.source.columns and not batch.broken:
        plain = instructions.plain_alpaca(batch.values)  # type: ignore[arg-type] # none is bad
        if plain:
            return _add_plain(batch, *plain, file, tables)
    rows: list[int] = []
    readings: list[Reading] = []
    lost: list[tuple[int, int | None, Bad]] = []
    for at, value in enumerate(batch.values):
        found = value if isinstance(value, Bad) else _reading(layout, value, file.source.columns)
        if isinstance(found, list):
            rows += [batch.row + at] * len(found)
            readings += found
        else:
            offset, raw = batch.locate(at)
            lost.append((batch.row + at, offset, bad(found, raw) if isinstance(found, str) else found))
    if readings:
        tables.samples.add(file.told, rows, readings)
    if lost:
        tables.quarantined.add(file.told, lost)
    return len(readings), len(lost)


def _add_plain(batch: Batch, asks: list[str], replies: list[str | None], file: File, tables: Tables) -> tuple[int, int]:
    """Add a batch of plain rows to the two tables at once; those that ask nothing are the bad ones."""
    blank = tables.samples.add_plain(file.told, batch.row, asks, replies, batch.size)
    if blank:
        tables.quarantined.add_alike(file.told, [batch.row + at for at in blank], map(batch.locate, blank), BLANK)
    return len(asks) - len(blank), len(blank)


def _reading(layout: str | None, row: Row, columns: layouts.Columns) -> list[Reading] | str:
    """Read a row; gives what is wrong where it can't be read."""
    try:
        return layouts.read_as(layout, row, columns)
    except LayoutError as error:
        return str(error)
