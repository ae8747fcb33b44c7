import codecs
import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pyarrow as pa
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.files.places import Place
from pipelines.files.read import RawRow, read, rows_of
from pipelines.files.rows import Bad
from schemas.errors import InputError

ROWS: list[dict[str, Any]] = [{"instruction": f"a {at}", "output": "é\n\"yes\", 'no'"} for at in range(2_500)]


def table(write: str, **options: Any) -> bytes:
    content = io.BytesIO()
    getattr(pl.DataFrame(ROWS), write)(content, **options)
    return content.getvalue()


WRITTEN: dict[str, Callable[[], bytes]] = {
    "x.jsonl": lambda: b"\n".join(map(orjson.dumps, ROWS)),
    "x.ndjson": lambda: b"\r\n".join(map(orjson.dumps, ROWS)),
    "x.json": lambda: orjson.dumps(ROWS),
    "pretty.json": lambda: orjson.dumps(ROWS, option=orjson.OPT_INDENT_2),
    "lines.json": lambda: b"\n".join(map(orjson.dumps, ROWS)),
    "array.jsonl": lambda: orjson.dumps(ROWS, option=orjson.OPT_INDENT_2),
    "x.csv": lambda: table("write_csv"),
    "x.tsv": lambda: table("write_csv", separator="\t"),
    "x.yaml": lambda: yaml.safe_dump(ROWS, allow_unicode=True).encode(),
    "flow.yml": lambda: orjson.dumps(ROWS[:100]),
    "x.parquet": lambda: table("write_parquet", row_group_size=1_000),
    "x.arrow": lambda: table("write_ipc"),
    "x.feather": lambda: table("write_ipc", compression="zstd"),
    "x.ipc": lambda: table("write_ipc_stream"),
}


def written(folder: Path, name: str, content: bytes) -> Path:
    file = folder / name
    file.write_bytes(content)
    return file


def rows(folder: Path, name: str, content: bytes) -> list[RawRow]:
    return list(rows_of(written(folder, name, content)))


@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
@pytest.mark.parametrize("name", WRITTEN)
def test_every_format_gives_the_same_rows_packed_or_not(tmp_path: Path, name: str, packed: str) -> None:
    content = WRITTEN[name]()
    if packed == ".gz":
        content = gzip.compress(content[: len(content) // 2]) + gzip.compress(content[len(content) // 2 :])
    if packed == ".zst":
        content = pa.compress(content, codec="zstd", asbytes=True)
    found = rows(tmp_path, name + packed, content)
    assert [row.value for row in found] == (ROWS[:100] if name == "flow.yml" else ROWS)
    assert [row.row for row in found] == list(range(len(found)))


@pytest.mark.parametrize(
    "name", [name for name in WRITTEN if name not in {"x.parquet", "x.arrow", "x.feather", "x.ipc"}]
)
def test_an_offset_is_where_the_row_begins(tmp_path: Path, name: str) -> None:
    content = WRITTEN[name]()
    for row in rows(tmp_path, name, content):
        assert name == "flow.yml" or content[row.offset :].startswith(row.raw)


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "pretty.json", "x.csv", "x.yaml", "x.parquet", "x.ipc"])
def test_what_lies_before_the_cut_of_a_stream_is_read_and_the_rest_is_one_bad_row(tmp_path: Path, name: str) -> None:
    content = WRITTEN[name]()
    *good, last = rows(tmp_path, f"{name}.gz", gzip.compress(content)[:-2_000])
    assert [row.value for row in good] == ROWS[: len(good)]
    assert last.value is None
    assert "cut off" in last.reason
    assert good or name in {"x.parquet", "x.ipc"}  # whole files: nothing is known before the end is there


def test_a_truncated_table_is_one_bad_row_behind_what_can_be_read(tmp_path: Path) -> None:
    [row] = rows(tmp_path, "x.parquet", WRITTEN["x.parquet"]()[:-100])
    assert "no readable Parquet file" in row.reason
    stream = io.BytesIO()
    frame = pa.table({"instruction": [row["instruction"] for row in ROWS]})
    with pa.ipc.new_stream(stream, frame.schema) as writer:
        writer.write_table(frame, max_chunksize=1_000)
    *good, last = rows(tmp_path, "x.arrow", stream.getvalue()[:-3_000])
    assert [row.value for row in good] == [{"instruction": row["instruction"]} for row in ROWS[: len(good)]]
    assert len(good) == 2_000
    assert "no readable Arrow file" in last.reason


GOOD = b'{"instruction": "good", "output": "x"}'


@given(st.lists(st.one_of(st.just(GOOD), st.binary(max_size=30)), max_size=20))
@example([b"[", GOOD])
@example([b'{"instruction": "\\ud800"}', GOOD, b'{"a": NaN}', b"\0", b"\xff\xfe", GOOD])
@example([b"<<<<<<< HEAD", GOOD, b"=======", GOOD, b">>>>>>> x"])
def test_a_bad_line_costs_no_other_line(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    lines = [b"{}", *(line.replace(b"\n", b" ") for line in lines)]
    found = rows(tmp_path_factory.mktemp("x"), "x.jsonl", b"\n".join(lines))
    assert len(found) == sum(bool(line.strip()) for line in lines)
    assert sum(row.raw == GOOD and row.value is not None for row in found) == lines.count(GOOD)
    content = b"\n".join(lines)
    for row in found:
        assert content[row.offset :].startswith(row.raw)


junk = st.one_of(
    st.just(GOOD),
    st.binary(max_size=20),
    st.sampled_from(
        [b'{"instruction": "bad", "output": }', b'{"a": [{"b": 1}', b"NaN", b"{", b"]", b'"', b"\xff", b"{}}"]
    ),
)


@given(st.lists(junk, max_size=12), st.booleans())
def test_whatever_breaks_an_array_no_byte_is_lost_without_a_word(
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[bytes],
    pretty: bool,  # noqa: FBT001 - hypothesis's
) -> None:
    seam = b",\n  " if pretty else b","
    content = b"[" + seam.join([GOOD, GOOD, *parts]) + b"]"
    found = rows(tmp_path_factory.mktemp("x"), "x.json", content)
    said = b"".join(row.raw for row in found)
    assert len(said.translate(None, b" \n\r\t\f\v,[]")) == len(content.translate(None, b" \n\r\t\f\v,[]"))
    assert [row.value for row in found[:2]] == [orjson.loads(GOOD)] * 2
    for row in found:
        assert content[row.offset :].startswith(row.raw)


@pytest.mark.parametrize("pretty", [None, orjson.OPT_INDENT_2])
@pytest.mark.parametrize("fault", [b'"broken', b"}", b'{"from": "x"', b"NaN", b"\xff", b"\0", b"\\u12"])
def test_a_broken_element_costs_no_other_even_in_a_large_array(
    tmp_path: Path, fault: bytes, pretty: int | None
) -> None:
    many = [{"id": at, "conversations": [{"from": "human", "value": "x" * 300}] * 3} for at in range(3_000)]
    content = bytearray(orjson.dumps(many, option=pretty))
    at = content.index(b'"id":2000,' if pretty is None else b'"id": 2000,')
    content[at + 4 : at + 5] = fault  # the colon
    found = rows(tmp_path, "x.json", bytes(content))
    good = [row.value for row in found if row.value is not None]
    lost = [row for row in found if row.value is None]
    assert good == many[:2000] + many[2001:]
    assert len(lost) == 1
    assert bytes(content)[lost[0].offset :].startswith(lost[0].raw)


def test_a_truncated_array_is_one_bad_row_behind_the_good_ones(tmp_path: Path) -> None:
    content = orjson.dumps(ROWS)
    for cut in (1, 2, 30, 45):
        *good, last = rows(tmp_path, "x.json", content[:-cut])
        assert [row.value for row in good] == ROWS[: len(good)]
        assert len(good) >= len(ROWS) - 1
        assert last.value is None


def test_deep_nesting_and_pages_and_pointers_are_told(tmp_path: Path) -> None:
    deep = b'{"a":' * 5_000 + b"1" + b"}" * 5_000
    assert "no JSON" in rows(tmp_path, "x.jsonl", deep + b"\n{}")[0].reason
    found = rows(tmp_path, "x.json", b'[{"a": 1}, ' + deep + b', {"a": 2}]')
    assert [row.value for row in found] == [{"a": 1}, None, {"a": 2}]
    for content, told in [
        (b"<!DOCTYPE html><html>", "HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"),
        (gzip.compress(b"{}"), "must end in .gz"),
        (b"PK\3\4", "must end in .zip"),
    ]:
        for name in ("x.json", "x.jsonl", "x.csv", "x.yaml"):
            [row] = rows(tmp_path, name, content)
            assert told in row.reason
    [row] = rows(tmp_path, "x.json.gz", b"version https://git-lfs.github.com/spec/v1")
    assert "Git LFS pointer" in row.reason


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_marks_of_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    text = '{"instruction": "é"}\n{"instruction": "漢"}\n'
    mark = codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b""
    for name in ("x.jsonl", "x.json"):
        found = rows(tmp_path, name, mark + text.encode(encoding))
        assert [row.value for row in found] == [{"instruction": "é"}, {"instruction": "漢"}]


def test_a_csv_record_lies_where_it_begins_and_a_bad_one_costs_no_other(tmp_path: Path) -> None:
    records = [
        b"prompt,completion\n",
        b'a,"line 1\nline 2, ""quoted"""\r\n',
        b"too,many,fields\n",
        b"\n",
        b"caf\xe9,x\n",
        b'"bad" quote,x\n',
        b"nul\0,x\n",
        b'"never closed,x\n',
        b"b,2\n",
        b"c,3",
    ]
    content = b"".join(records)
    found = rows(tmp_path, "x.csv", content)
    values = [row.value for row in found]
    assert values[0] == {"prompt": "a", "completion": 'line 1\nline 2, "quoted"'}
    assert values[1:6] == [None] * 5
    assert values[6:] == [{"prompt": "b", "completion": "2"}, {"prompt": "c", "completion": "3"}]
    for row in found:
        assert content[row.offset :].startswith(row.raw)
    assert [content[row.offset :].split(b"\n")[0] for row in found[1:6]] == [
        line.rstrip(b"\n") for line in (records[2], *records[4:8])
    ]


def test_a_csv_file_has_a_header_or_numbers(tmp_path: Path) -> None:
    file = written(tmp_path, "x.csv", b"a,b\nc,d\n")
    headed = [value for batch in read(Place(str(file)), file).batches for value in batch.values]
    bare = [value for batch in read(Place(str(file)), file, header=False).batches for value in batch.values]
    assert (headed, bare) == ([{"a": "c", "b": "d"}], [{"0": "a", "1": "b"}, {"0": "c", "1": "d"}])
    choices = rows(tmp_path, "y.csv", b"Which?,w,x,y,z,C\nWhat?,w,x,y,z,A\n")
    assert [row.value["5"] for row in choices if row.value] == ["C", "A"]


def test_a_csv_file_without_a_comma_in_its_header_is_read_by_semicolons_or_tabs(tmp_path: Path) -> None:
    for mark in ",;\t":
        [row] = rows(
            tmp_path, "x.csv", f"instruction{mark}output\na; b, c{mark}d\n".replace("a; b, c", '"a; b, c"').encode()
        )
        assert row.value == {"instruction": "a; b, c", "output": "d"}
    file = written(tmp_path, "x.csv", b"one; two\nthree\n")  # no header, so nothing says that it parts
    bare = [value for batch in read(Place(str(file)), file, header=False).batches for value in batch.values]
    assert bare == [{"0": "one; two"}, {"0": "three"}]


@pytest.mark.parametrize("pretty", [None, orjson.OPT_INDENT_2])
@pytest.mark.parametrize(
    "before", [{}, {"version": 12, "tags": ["[", {"data": [1]}], "note": 'a "data": ['}, {"big": "x" * 3_000_000}]
)
def test_the_rows_of_a_document_may_lie_in_an_array_of_its(
    tmp_path: Path, before: dict[str, Any], pretty: int | None
) -> None:
    for name in ("x.json", "x.jsonl"):
        content = orjson.dumps(before | {"data": ROWS, "test": ROWS[:9]}, option=pretty)
        file = written(tmp_path, name, content)
        batches = list(read(Place(str(file)), file, field="data").batches)
        assert [value for batch in batches for value in batch.values] == ROWS
        for batch in batches:
            offset, raw = batch.locate(0)
            assert content[offset:].startswith(raw)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"train": [], "data": {}, "test": [1', "no object with an array 'data'; it has 'train', 'data', 'test'"),
        (b'{"data": 12', "no object with an array 'data'; it has 'data'"),
        (b'[{"data": []}]', "no object with an array 'data'"),
        (b"", "no object with an array 'data'"),
        (b'{"data": [{"a": 1}, {"a": ', "no JSON: Expecting value"),
    ],
)
def test_a_document_without_the_array_is_a_bad_row_that_says_what_it_has(
    tmp_path: Path, content: bytes, told: str
) -> None:
    file = written(tmp_path, "x.json", content)
    *good, last = [value for batch in read(Place(str(file)), file, field="data").batches for value in batch.values]
    assert isinstance(last, Bad)
    assert told in last.reason
    assert good == ([{"a": 1}] if b'"a"' in content else [])
    with pytest.raises(InputError, match=r"`field` names an array of a JSON document, and a \.csv file"):
        read(Place("x.csv"), file, field="data")


def test_yaml_reads_words_as_words_and_nothing_unsafe(tmp_path: Path) -> None:
    content = (
        b"- {label: yes, at: 12:30, day: 2024-01-01, none: ~, true: false, n: 3, x: 010}\n"
        b"- &a [1]\n"
        b"- !!python/object/apply:os.system [ls]\n"
        b'- {a: "\\ud800"}\n'
        b"- {a: [}\n"
        b"-\n  a: |\n    text\n    - no item\n"
    )
    found = rows(tmp_path, "x.yaml", content)
    assert found[0].value is None  # a column is no text: true
    found = rows(tmp_path, "x.yaml", content.replace(b"true: false", b"t: false"))
    first = {"label": "yes", "at": "12:30", "day": "2024-01-01", "none": None, "t": False, "n": 3, "x": "010"}
    assert [row.value for row in found] == [first, None, None, None, None, {"a": "text\n- no item\n"}]
    assert "anchors" in found[1].reason
