"""Rows of JSON arrays, CSV and YAML that can't be read: where they end, and how long that takes to find."""

import time
from pathlib import Path

import orjson
import pytest
from xxhash import xxh3_128_hexdigest

from pipelines.files.places import Place
from pipelines.files.read import RawRow, read, rows_of
from pipelines.files.rows import Bad

MIB = 1 << 20
GOOD = b'{"instruction": "good", "output": "x"}'


def rows(folder: Path, name: str, content: bytes) -> list[RawRow]:
    (folder / name).write_bytes(content)
    return list(rows_of(folder / name))


def values(folder: Path, name: str, content: bytes) -> list[object]:
    (folder / name).write_bytes(content)
    return [value for batch in read(Place(name), folder / name, MIB).batches for value in batch.values]


BROKEN = [
    b'{"instruction": "bad" "output": "x"}',
    b'{"instruction": "no quote at its end, "output": "x"}',
    b'{"instruction": "a \\d", "output": "x"}',
    b'{"instruction": , "output": "x"}',
    b'{"instruction": "a", "output": ["x"}',
    b"NaN",
]


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("seam", [b",", b", ", b"\n,", b",\n"])
def test_a_broken_row_costs_no_row_behind_it_whatever_its_columns(tmp_path: Path, broken: bytes, seam: bytes) -> None:
    others = [{"text": f"{at}"} if at % 2 else {"prompt": f"{at}", "meta": {"a": [{}]}} for at in range(50)]
    content = b"[" + seam.join([GOOD, broken, *map(orjson.dumps, others), broken, GOOD]) + b"]"
    found = rows(tmp_path, "x.json", content)
    assert [row.value for row in found if row.value] == [orjson.loads(GOOD), *others, orjson.loads(GOOD)]
    assert [row.raw for row in found if row.value is None] == [broken] * 2
    for row in found:
        assert content[row.offset :].startswith(row.raw)


@pytest.mark.parametrize("pretty", [None, orjson.OPT_INDENT_2])
@pytest.mark.parametrize("fault", [b"{'from'", b'{"from" "x"', b'"from": "human", ', b'{"from: '])
def test_an_object_inside_a_broken_row_is_no_row(tmp_path: Path, fault: bytes, pretty: int | None) -> None:
    turns = [{"from": who, "value": "v"} for who in ("human", "gpt") * 4]
    whole = [{"id": at, "conversations": turns} for at in range(9)]
    content = orjson.dumps(whole, option=pretty)
    for at in (0, 3, 8):
        broken, begins = content, content.index(b'"id":%d' % at if pretty is None else b'"id": %d' % at)
        second = content.index(b"{", content.index(b"{", begins) + 1)
        broken = content[:second] + fault + content[content.index(b":", second) :]
        found = rows(tmp_path, "x.json", broken)
        assert [row.value for row in found if row.value] == [row for row in whole if row["id"] != at]
        assert len(found) == len(whole)


def test_an_object_inside_a_broken_text_is_no_row(tmp_path: Path) -> None:
    fake = b'{"instruction":"say {"instruction": "FAKE", "output": "FAKE"} now","output":"x"}'
    found = rows(tmp_path, "x.json", b"[" + b",".join([GOOD, fake, GOOD]) + b"]")
    assert [row.value for row in found] == [orjson.loads(GOOD), None, orjson.loads(GOOD)]
    assert found[1].raw == fake


@pytest.mark.parametrize(
    "content",
    [
        b"[" + GOOD + b"," + b'{"a":' * 8_000 + b"," + GOOD + b"]",
        b"[" + b",".join(b'{"instruction":"$\\d$ %d"}' % at for at in range(60_000)) + b"]",
        b"[" + b",".join(b'{"instruction":"x, "output":"%d"}' % at for at in range(30_000)) + b"]",
        b"[" + GOOD + b"," + b'},{"a":[{"b":1}' * 20_000 + b"]",
        b'[{"a":"' + b'{"a' * 100_000 + b"]",
    ],
    ids=["open", "escapes", "quotes", "seams", "braces"],
)
def test_a_broken_array_takes_no_longer_than_its_length_allows(tmp_path: Path, content: bytes) -> None:
    begun = time.process_time()
    found = rows(tmp_path, "x.json", content)
    assert time.process_time() - begun < 5  # a second at most on its own; it was half a minute
    assert any(row.value is None for row in found)


def test_an_integer_of_any_length_is_a_bad_row_of_its_own(tmp_path: Path) -> None:
    long = b'{"n": ' + b"1" * 5_000 + b"}"
    found = rows(tmp_path, "x.json", b"[" + b",".join([GOOD, long, GOOD]) + b"]")
    assert [row.value is None for row in found] == [False, True, False]


@pytest.mark.parametrize("name", ["x.json", "x.jsonl", "x.csv", "x.yaml"])
def test_the_limit_is_exact_and_a_bad_row_is_hashed_whole(tmp_path: Path, name: str) -> None:
    def row(size: int, end: bytes) -> bytes:
        begins, ends = {
            ".json": (b'{"instruction":"', b'"}'),
            ".jsonl": (b'{"instruction":"', b'"}'),
            ".csv": (b'a,"x\n', b'"'),
            ".yaml": (b"- a: 1\n  b: |\n    ", b"\n  c: 2\n"),
        }[Path(name).suffix]
        return begins + b"x" * (size - len(begins) - len(ends) - 1) + end + ends

    sizes = [MIB - 1, MIB, MIB + 1, MIB + 1, MIB + 99_999, 3 * MIB]
    content = [row(size, b"%d" % at) for at, size in enumerate(sizes)]
    joined = {
        ".json": b"[" + b",\n".join(content) + b"]",
        ".jsonl": b"\n".join(content),
        ".csv": b"a,b\n" + b"\n".join(content),
        ".yaml": b"".join(content),
    }[Path(name).suffix]
    found = values(tmp_path, name, joined)
    lost = [value for value in found if isinstance(value, Bad)]
    assert len(found) - len(lost) == 2
    if name != "x.csv":  # whose lines behind an open quote are read again
        assert [value.hash for value in lost] == [xxh3_128_hexdigest(one) for one in content[2:]]
        assert all("max_row_mib" in value.reason for value in lost)
    assert len({value.hash for value in lost}) == len(lost)


@pytest.mark.parametrize("header", [b"a,b,c\n", b""])
def test_quotes_that_close_in_the_next_line_take_no_longer_than_their_length_allows(
    tmp_path: Path, header: bytes
) -> None:
    lines = [b'%d",x,"b%s\n' % (at, b"y" * 90) for at in range(12_000)]
    begun = time.process_time()
    found = rows(tmp_path, "x.csv", header + b"".join(lines) + (b"d,e,f\n" if header else b""))
    assert time.process_time() - begun < 5  # it was 44 seconds
    assert len(found) == 12_000 + bool(header)
    assert found[-1].value == ({"a": "d", "b": "e", "c": "f"} if header else None)


def test_a_bad_byte_in_a_record_of_several_lines_costs_that_record_alone(tmp_path: Path) -> None:
    found = rows(tmp_path, "x.csv", b'a,b\n"caf\xe9\nc,d\n",e\nf,g\n')
    assert [row.value for row in found] == [None, {"a": "f", "b": "g"}]
    assert found[0].raw == b'"caf\xe9\nc,d\n",e'
    assert "iconv" in found[0].reason


def test_no_anchor_of_yaml_is_followed_whatever_its_name(tmp_path: Path) -> None:
    for name in (b"a", b"-a", b"_", b"a.b", b"1"):
        content = b"- {x: &%b [z], y: *%b }\n- {a: 'say *%b and &%b', b: \"**bold**\"}\n" % ((name,) * 4)
        bad, good = rows(tmp_path, "x.yaml", content)
        assert bad.value is None
        assert good.value == {"a": f"say *{name.decode()} and &{name.decode()}", "b": "**bold**"}


def test_a_merge_conflict_in_yaml_costs_only_what_it_tears_apart(tmp_path: Path) -> None:
    sides = b"- n: 1\n<<<<<<< HEAD\n- n: 2\n=======\n- n: 3\n>>>>>>> x\n- n: 4\n"
    found = rows(tmp_path, "x.yaml", sides)
    assert [row.value for row in found] == [{"n": 1}, None, {"n": 2}, None, {"n": 3}, None, {"n": 4}]
    assert all("mark of a merge conflict" in row.reason for row in found[1::2])
    torn = b"- n: 0\n- n: 1\n<<<<<<< HEAD\n  m: 2\n=======\n  m: 3\n>>>>>>> x\n- n: 4\n"
    found = rows(tmp_path, "x.yaml", torn)
    assert [row.value for row in found if row.value] == [{"n": 0}, {"n": 4}]
    assert b"".join(row.raw for row in found) == torn


def test_marks_of_a_merge_conflict_are_called_that_in_lines_and_records(tmp_path: Path) -> None:
    for name, row in (("x.jsonl", GOOD), ("x.csv", b"a,b")):
        content = b"\n".join([row, row, b"<<<<<<< HEAD", row, b"=======", row, b">>>>>>> x", row])
        found = [row.reason for row in rows(tmp_path, name, content) if row.value is None]
        assert [("mark of a merge conflict" in why) for why in found] == [True] * 3


def test_yaml_that_goes_on_in_a_line_that_looks_like_an_item_is_read(tmp_path: Path) -> None:
    found = rows(tmp_path, "x.yaml", b'%YAML 1.1\n---\n- a: "one\n- two"\n- b: 3\n- c: "never closed\n- d: 4\n')
    assert [row.value for row in found] == [{"a": "one - two"}, {"b": 3}, None, {"d": 4}]


def test_lines_that_end_as_old_macs_end_them_are_lines(tmp_path: Path) -> None:
    for name in ("x.jsonl", "x.json", "x.csv", "x.yaml"):
        content = {"x.csv": b"a\r1\r2\r", "x.yaml": b"- a: 1\r- a: 2\r"}.get(name, b'{"a": 1}\r{"a": 2}\r')
        assert [str(row.value) for row in rows(tmp_path, name, content)] == [
            str({"a": "1" if name == "x.csv" else 1}),
            str({"a": "2" if name == "x.csv" else 2}),
        ]


def test_objects_over_several_lines_in_a_file_of_lines_are_called_that(tmp_path: Path) -> None:
    found = rows(tmp_path, "x.jsonl", orjson.dumps({"a": 1}, option=orjson.OPT_INDENT_2))
    assert "name must end in .json" in found[0].reason


def test_a_row_that_a_merge_conflict_tears_is_one_bad_row_with_its_marks(tmp_path: Path) -> None:
    torn = b'{\n"a": 1,\n<<<<<<< HEAD\n"b": 2\n=======\n"b": 3\n>>>>>>> x\n}'
    found = rows(tmp_path, "x.json", b'[{"a": 1, "b": 1},\n' + torn + b',\n{"a": 2, "b": 2}]')
    assert [row.value for row in found] == [{"a": 1, "b": 1}, None, {"a": 2, "b": 2}]
    assert found[1].raw == torn
