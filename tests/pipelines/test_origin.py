"""A sample's row is looked up in its file as that was read."""

from pathlib import Path
from typing import Any

import pytest

from pipelines import origin, origins
from pipelines.ingest import ingest
from pipelines.sources import Source
from pipelines.store import read_table
from schemas.tables import SAMPLES

HEADLESS: dict[str, Any] = {"header": False, "columns": {"prompt": "0", "source": "1"}}


@pytest.mark.parametrize(
    ("name", "content", "options", "author"),
    [
        ("x.csv", "Who?,ann\nWhat?,ben\n", HEADLESS, "1=ben"),
        ("x.csv", "instruction;user\nWho?;ann\nWhat?;ben\n", {}, "user=ben"),
        (
            "x.json",
            '{"of": "us", "data": [{"instruction": "Who?", "user": "ann"}, {"instruction": "What?", "user": "ben"}]}',
            {"field": "data"},
            "user=ben",
        ),
    ],
)
def test_a_row_is_found_again_and_its_author_however_the_file_was_read(
    tmp_path: Path, name: str, content: str, options: dict[str, Any], author: str
) -> None:
    (tmp_path / name).write_text(content)
    stored = ingest(tmp_path / "run" / "stages", [Source(path=str(tmp_path / name), **options)])
    samples = read_table(stored, "samples", SAMPLES)
    [known] = stored.facts["files"]
    for asked, place in zip(("Who?", "What?"), samples["origin"], strict=True):
        told = origin.found(place, known)
        assert (told["state"], asked in told["raw"]) == ("unchanged", True)
        assert content.encode()[told["offset"] :].startswith(told["raw"].encode())
        assert origin.found(place | {"file": f"file://{place['file']}"}, known) == told  # as earlier versions named it
    assert origins.by(tmp_path, (author,))["place"].to_list() == [f"{tmp_path / name}\n1"]


def test_the_line_of_a_row_is_told_whichever_way_lines_end(tmp_path: Path) -> None:
    rows = [b'{"instruction": "Who?"}', b'{"instruction": "What?"}', b'{"instruction": "Where?"}']
    for end in (b"\n", b"\r\n", b"\r"):
        (tmp_path / "x.jsonl").write_bytes(end.join(rows))
        stored = ingest(tmp_path / "stages", [Source(path=str(tmp_path / "x.jsonl"))])
        places = read_table(stored, "samples", SAMPLES)["origin"]
        assert [origin.found(place, stored.facts["files"][0])["line"] for place in places] == [1, 2, 3]
