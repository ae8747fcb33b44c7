"""One row's life: from any of its ids to the file and line, and from there to its pairs."""

import subprocess
import sys
from pathlib import Path

import orjson
import polars as pl
import pytest
from xxhash import xxh3_128_hexdigest

from pipelines.page import html
from pipelines.plain import plain
from pipelines.trace import trace
from pipelines.trace_page import page_of
from schemas.errors import GristmillError

ROWS = 12
RECIPE = """
name = "sums"
[[sources]]
path = "{folder}/rows.jsonl"
license = "MIT"
[[edits]]
use = "filters.redaction:redact"
[[filters]]
use = "filters.length:characters"
part = "prompt"
maximum = 40
[[filters]]
use = "filters.duplicates:exact"
[generate]
engine = "recorded"
samples = 2
keep_reply = false
[engines.recorded]
use = "generators.replay:recorded"
path = "{folder}/recorded.jsonl"
systems = ["s", "t"]
[[judges]]
use = "judges.math:final_answer"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a recipe on twelve sums, a repeated one, a long one and a broken line; gives the run's folder."""
    place = tmp_path_factory.mktemp("trace")
    rows, recorded = [], []
    for at in range(ROWS):
        question = f"What is {at} plus {at}?"
        rows.append({"instruction": question, "output": "", "reference": f"{2 * at}"})
        recorded.append(
            {"question": question, "s": {"solution": f"A: {2 * at}"}, "t": {"solution": f"A: {2 * at + 1}"}}
        )
    rows += [rows[3], {"instruction": "What is one plus one? " * 4, "output": "", "reference": "2"}]
    rows.append({"instruction": "Who is ann@corp.com?", "output": "Ann"})
    lines = [*map(orjson.dumps, rows), b'{"instruction": "cut']
    (place / "rows.jsonl").write_bytes(b"\n".join(lines))
    (place / "recorded.jsonl").write_bytes(b"\n".join(map(orjson.dumps, recorded)))
    recipe = place / "sums.toml"
    recipe.write_text(RECIPE.format(folder=place))
    command = [sys.executable, "-m", "pipelines", "run", str(recipe), "--out", str(place / "runs")]
    subprocess.run(command, check=True, capture_output=True)
    return place / "runs" / "sums" / "latest"


def rows(folder: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(folder / name / "**" / "*.parquet")


def test_every_id_of_a_row_and_its_place_lead_to_the_same_life(folder: Path) -> None:
    pair = rows(folder, "preferences").row(0, named=True)
    lives = [
        trace(folder, pair["id"]),
        trace(folder, pair["sample_id"]),
        trace(folder, pair["sample_id"][:12]),
        trace(folder, pair["chosen_id"]),
        trace(folder, pair["rejected_id"]),
    ]
    place = lives[0]["sample"]["origin"]
    lives.append(trace(folder, f"{Path(place['file']).name}:{place['row']}"))
    lives.append(trace(folder, f"{place['file']}:{place['row']}"))
    for one in lives:
        assert {**one, "asked": "", "found": []} == {**lives[0], "asked": "", "found": []}
    assert {one["dataset"] for one in lives[0]["rows"]} == {"sft", "plain", "unpaired", "preferences", "grpo"}


def test_a_life_tells_line_byte_measures_candidates_and_verdicts(folder: Path) -> None:
    told = trace(folder, "rows.jsonl:5")
    text = plain(page_of(told))
    raw = Path(told["sample"]["origin"]["file"]).read_bytes()
    offset = sum(len(line) + 1 for line in raw.split(b"\n")[:5])
    compact = " ".join(text.split())
    assert f"Offset {offset}" in compact
    assert "Line 6" in compact
    assert raw.split(b"\n")[5].decode() in text
    assert "filters.length:characters at least 1 and at most 40 17 kept" in compact
    assert "candidate: A: 10" in text
    assert "judges.math:final_answer 0 scored 11" in compact
    assert "preferences train" in compact


def test_a_duplicate_names_the_row_that_it_repeats_and_the_other_names_it(folder: Path) -> None:
    again, first = trace(folder, f"rows.jsonl:{ROWS}"), trace(folder, "rows.jsonl:3")
    assert again["dropped"]["match"] == first["sample"]["id"]
    [match] = next(rule for rule in first["rules"] if rule["rule"] == "filters.duplicates:exact")["matches"]
    assert {match["id"], match["other"]} == {again["sample"]["id"], first["sample"]["id"]}
    assert first["dropped"] is None
    assert "It was dropped: filters.duplicates:exact" in plain(page_of(again))


def test_a_dropped_row_tells_its_rule_and_value_and_a_broken_line_its_reason(folder: Path) -> None:
    long, broken = trace(folder, f"rows.jsonl:{ROWS + 1}"), trace(folder, f"rows.jsonl:{ROWS + 3}")
    assert long["dropped"]["why"] == "87.0 is above the maximum of 40.0"
    assert (long["candidates"], long["rows"]) == ([], [])
    assert "no JSON" in plain(page_of(broken))
    [record] = broken["quarantined"]
    raw = Path(record["file"]).read_bytes()
    compact = " ".join(plain(page_of(broken)).split())
    assert f"Offset, bytes {raw.index(record['raw'].encode()):,} " in compact
    assert f"Hash (XXH3) of the record {xxh3_128_hexdigest(record['raw'].encode())}" in compact
    assert "no JSON" in html(page_of(broken))


def test_an_edited_row_is_told_with_what_stood_there_before(folder: Path) -> None:
    told = trace(folder, f"rows.jsonl:{ROWS + 2}")
    [edit] = told["edits"]
    assert (edit["use"], edit["part"], edit["count"]) == ("filters.redaction:redact", "prompt", 1)
    assert "ann@corp.com" not in str(told["sample"])
    assert "prompt before the edits: user: Who is ann@corp.com?" in plain(page_of(told))


def test_no_text_of_a_row_becomes_markup(folder: Path) -> None:
    told = trace(folder, "rows.jsonl:5")
    poison = "<img src=x onerror=x()>\u202e"
    told["sample"] |= {"source": poison, "license": poison, "reply": poison}
    told["candidates"][0] |= {"text": poison, "model": poison}
    told["scores"][0] |= {"judge": poison, "extracted": poison, "status": poison}
    told["rules"][0] |= {"rule": poison}
    shown = html(page_of(told))
    assert "<img" not in shown
    assert shown.count("&lt;img src=x onerror=x()&gt;⟦U+202E⟧") == 9
    assert "\u202e" not in plain(page_of(told))


def test_a_beginning_of_several_ids_says_which_and_a_name_of_nothing_what_is_expected(folder: Path) -> None:
    with pytest.raises(GristmillError, match=r"names \d+ samples") as several:
        trace(folder, "")
    first = rows(folder, "kept")["id"][0]
    assert f"sample {first}\n" in str(several.value)
    assert f"sample {first} of sample" not in str(several.value)
    with pytest.raises(GristmillError, match="names nothing"):
        trace(folder, "rows.jsonl:999")


def test_a_file_that_changed_since_is_told_and_its_new_content_is_not_shown(folder: Path) -> None:
    file = Path(trace(folder, "rows.jsonl:5")["sample"]["origin"]["file"])
    before = file.read_bytes()
    try:
        file.write_bytes(before.replace(b"What is 5", b"Why is 5?"))
        text = plain(page_of(trace(folder, "rows.jsonl:5")))
    finally:
        file.write_bytes(before)
    assert "the file has changed since it was read" in text
    assert "Why is 5?" not in text
