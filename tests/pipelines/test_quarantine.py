from pathlib import Path

import polars as pl
import pytest
from xxhash import xxh3_128_hexdigest

from pipelines.ingest import ingest
from pipelines.sources import Source
from pipelines.store import read_table
from schemas.tables import QUARANTINED

GOOD = b'{"instruction": "a", "output": "b"}\n'
ROWS = {
    "short": (b"no JSON at all", "no JSON at all"),
    "300 bytes": (b"x" * 299 + b"!", "x" * 299 + "!"),
    "longer": (b"x" * 400, "x" * 300),
    "cut within a character": (b"x" * 298 + "麦".encode() * 9, "x" * 298),
    "cut behind a character": (b"x" * 297 + "麦".encode() * 9, "x" * 297 + "麦"),
    "no UTF-8": (b"x\xffy" + b"z" * 400, "x\\xffy" + "z" * 297),
    "asks nothing": (
        b'{"instruction": "", "output": "' + b"z" * 400 + b'"}',
        '{"instruction": "", "output": "' + "z" * 269,
    ),
}


@pytest.mark.parametrize("kind", ROWS)
def test_a_bad_row_is_told_by_its_beginning_and_the_hash_of_all_of_it(tmp_path: Path, kind: str) -> None:
    raw, shown = ROWS[kind]
    bad = _quarantined(tmp_path, GOOD + raw + b"\r\n" + GOOD)
    assert bad.select("row", "offset", "hash", "raw").rows() == [(1, len(GOOD), xxh3_128_hexdigest(raw), shown)]


def test_bad_rows_of_all_kinds_keep_their_order_and_places(tmp_path: Path) -> None:
    raws = [raw for raw, _shown in ROWS.values()] * 900
    bad = _quarantined(tmp_path, GOOD + b"\n".join(raws))
    assert bad["row"].to_list() == list(range(1, len(raws) + 1))
    assert bad["hash"].to_list() == list(map(xxh3_128_hexdigest, raws))
    content = GOOD + b"\n".join(raws)
    found = zip(bad["offset"], raws, strict=True)
    assert all(content.startswith(raw, at) for at, raw in found)


def _quarantined(folder: Path, content: bytes) -> pl.DataFrame:
    (folder / "rows.jsonl").write_bytes(content)
    return read_table(ingest(folder / "store", [Source(path=str(folder / "rows.jsonl"))]), "quarantined", QUARANTINED)
