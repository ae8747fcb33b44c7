"""A row as it lies in its file: the byte it begins at, its line, its raw text."""

from pathlib import Path
from typing import Any

from pipelines.files.places import Place, plain_path
from pipelines.files.read import read
from pipelines.store import sha256

SHOWN = 4_000  # bytes


def found(origin: dict[str, Any], known: dict[str, Any] | None) -> dict[str, Any]:
    """Give where a row lies: `offset` in bytes, `line` from 1 where it is a file of lines, `raw`; and `state` in words.

    Only a file on this machine, that has not changed since it was read, is looked into.
    """
    name, _, member = plain_path(origin["file"]).partition("::")
    file = Path(name)
    if known is None or not file.is_file():
        return {"state": "the file is not on this machine"}
    if sha256(file) != known["sha256"]:
        return {"state": "the file has changed since it was read"}
    for batch in read(Place(name, member or None), file, **known.get("read", {})).batches:
        at = origin["row"] - batch.row
        if at < len(batch.values):
            offset, raw = batch.locate(at)
            text = raw[:SHOWN].decode("utf-8", "backslashreplace").rstrip("\r\n")
            packed = bool(member) or Place(name).compression is not None
            line = None if packed or offset is None else _line(file, offset)
            return {"state": "unchanged", "offset": offset, "line": line, "raw": text}
    return {"state": "the file has no such row"}


def _line(file: Path, offset: int) -> int:
    """Count the lines up to a byte; a file without a newline has lines that end as old Macs' do."""
    newlines = returns = 0
    with file.open("rb") as content:
        while offset > 0 and (piece := content.read(min(offset, 1 << 20))):
            newlines += piece.count(b"\n")
            returns += piece.count(b"\r")
            offset -= len(piece)
    return (newlines or returns) + 1
