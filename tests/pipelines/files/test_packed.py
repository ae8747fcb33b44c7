"""gzip, zstd and zip: what is changed is not trusted, what lies before a break is not lost."""

import bz2
import gzip
import io
import lzma
import random
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from xxhash import xxh64_intdigest

from pipelines.files.places import Place
from pipelines.files.read import RawRow, read, rows_of
from pipelines.files.rows import Bad
from schemas.errors import InputError

draw = random.Random(1)
LINES = [b'{"instruction": "%d", "output": "%s"}\n' % (at, draw.randbytes(100).hex().encode()) for at in range(5_000)]
PLAIN = b"".join(LINES)


def frame(content: bytes) -> bytes:
    """Give a zstd frame with a checksum, which pyarrow writes none of."""
    whole = bytearray(pa.compress(content, codec="zstd", asbytes=True))
    whole[4] |= 4
    return bytes(whole) + (xxh64_intdigest(content) & 0xFFFFFFFF).to_bytes(4, "little")


def zipped(content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr("x.jsonl", content)
    return packed.getvalue()


def with_other_sum(archive: bytes) -> bytes:
    changed = bytearray(archive)
    changed[archive.rindex(b"PK\x01\x02") + 16] ^= 1
    return bytes(changed)


def rows(folder: Path, name: str, content: bytes) -> list[RawRow]:
    (folder / name).write_bytes(content)
    if not name.endswith(".zip"):
        return list(rows_of(folder / name))
    place = Place(str(folder / name), "x.jsonl")
    return [
        RawRow(batch.row + at, batch.locate(at)[0], None, value.reason, value.raw)
        if isinstance(value, Bad)
        else RawRow(batch.row + at, batch.locate(at)[0], value, "", batch.locate(at)[1])
        for batch in read(place, folder / name).batches
        for at, value in enumerate(batch.values)
    ]


GZIP, ZSTD = gzip.compress(PLAIN), frame(PLAIN)
WRONG_GZIP = GZIP[:-8] + b"\0\1\2\3" + GZIP[-4:]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.jsonl.gz", WRONG_GZIP),
        ("x.jsonl.gz", GZIP[:-4] + b"\0\1\2\3"),
        ("x.jsonl.zst", ZSTD[:-4] + b"\0\1\2\3"),
        *[("x.zip", with_other_sum(zipped(PLAIN, method))) for method in (0, 8, 12, 14)],
    ],
)
def test_no_row_of_a_member_with_a_wrong_checksum_is_a_sample_and_each_is_told(
    tmp_path: Path, name: str, content: bytes
) -> None:
    found = rows(tmp_path, name, content)
    assert [row.raw + b"\n" for row in found] == [line[:300] for line in LINES]
    assert all("checksum of this" in row.reason and "may have been changed" in row.reason for row in found)


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.jsonl.gz", GZIP + WRONG_GZIP + GZIP), ("x.jsonl.zst", ZSTD + ZSTD[:-4] + b"\0\1\2\3" + ZSTD)],
)
def test_a_wrong_checksum_costs_no_row_of_another_member(tmp_path: Path, name: str, content: bytes) -> None:
    found = rows(tmp_path, name, content)
    assert [row.raw + b"\n" for row in found] == LINES * 3
    assert [row.value is None for row in found] == [False] * 5_000 + [True] * 5_000 + [False] * 5_000


def test_a_changed_byte_makes_no_sample(tmp_path: Path) -> None:
    for name, content in (("x.jsonl.gz", GZIP), ("x.jsonl.zst", ZSTD), ("x.zip", zipped(PLAIN))):
        changed = bytearray(content)
        changed[len(content) // 2] ^= 8
        found = rows(tmp_path, name, bytes(changed))
        assert found
        assert not any(row.value for row in found), name


def test_rows_of_a_table_in_a_member_with_a_wrong_checksum_are_told_too(tmp_path: Path) -> None:
    table = io.BytesIO()
    frame = pa.table({"instruction": ["a", "b"]})
    with pa.ipc.new_file(table, frame.schema) as writer:
        writer.write_table(frame)
    content = gzip.compress(table.getvalue())
    found = rows(tmp_path, "x.arrow.gz", content[:-8] + b"\0\1\2\3" + content[-4:])
    assert [(row.value, row.raw) for row in found] == [(None, b'{"instruction":"a"}'), (None, b'{"instruction":"b"}')]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("x.jsonl.gz", GZIP + b"junk", "what follows the gzip data is none"),
        ("x.jsonl.gz", GZIP[:-8], "cut off"),
        ("x.jsonl.zst", ZSTD + b"junk", "what follows the zstd data is none"),
        ("x.jsonl.zst", ZSTD[:-2], "cut off"),
    ],
)
def test_all_rows_before_a_break_are_kept(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    *good, last = rows(tmp_path, name, content)
    assert [row.raw + b"\n" for row in good if row.value] == LINES
    assert told in last.reason


@pytest.mark.parametrize("part", [0.2, 0.5, 0.999])
def test_a_cut_stream_gives_what_the_tools_give_of_it(tmp_path: Path, part: float) -> None:
    cut = GZIP[: int(len(GZIP) * part)]
    *good, last = rows(tmp_path, "x.jsonl.gz", cut)
    there = zlib.decompressobj(wbits=31).decompress(cut)
    assert len(good) == there.count(b"\n")
    assert last.raw == there[there.rindex(b"\n") + 1 :]
    *good, last = rows(tmp_path, "x.jsonl.zst", ZSTD[: int(len(ZSTD) * part)])
    assert len(good) >= len(LINES) * part - 128 * 1024 / len(LINES[0]) - 1  # a block at most is lost
    assert "cut off" in last.reason


def test_a_zstd_frame_that_holds_no_data_is_skipped(tmp_path: Path) -> None:
    skipped = b"\x53\x2a\x4d\x18\x03\0\0\0abc"
    assert len(rows(tmp_path, "x.jsonl.zst", skipped + ZSTD + skipped)) == len(LINES)


@pytest.mark.parametrize(("method", "packed"), [(14, lzma.compress), (12, bz2.compress), (8, zlib.compress)])
def test_a_damaged_zip_member_is_told_and_gives_no_sample(
    tmp_path: Path, method: int, packed: Callable[[bytes], bytes]
) -> None:
    content = bytearray(zipped(PLAIN, method))
    start = len(content) // 3
    content[start : start + 64] = packed(b"x" * 9_999)[:64].ljust(64, b"\xff")
    found = rows(tmp_path, "x.zip", bytes(content))
    assert not any(row.value for row in found)
    assert any("broken" in row.reason or "checksum" in row.reason for row in found)


def test_what_is_named_as_an_archive_and_is_none_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid")
    with pytest.raises(InputError, match="Git LFS pointer"):
        list(read(Place(str(tmp_path / "x.zip"), "x.jsonl"), tmp_path / "x.zip").batches)


def test_text_of_two_or_four_bytes_a_letter_has_no_offsets_or_is_told(tmp_path: Path) -> None:
    text = '{"instruction": "é"}\nbroken\n'
    found = rows(tmp_path, "x.jsonl", text.encode("utf-16"))
    assert [(row.value, row.offset) for row in found] == [({"instruction": "é"}, None), (None, None)]
    for encoding in ("UTF-16LE", "UTF-16BE", "UTF-32LE", "UTF-32BE", "UTF-32"):
        for name in ("x.jsonl", "x.csv", "x.yaml"):
            [row] = rows(tmp_path, name, text.encode(encoding))
            assert f"iconv -f {encoding} -t UTF-8" in row.reason


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.jsonl.zst", "0.zip", "8.zip", "12.zip", "14.zip"])
def test_flipped_bytes_raise_nothing_but_a_refusal(tmp_path: Path, name: str) -> None:
    few = b"".join(LINES[:200])
    content = {"x.jsonl.gz": gzip.compress(few) * 2, "x.jsonl.zst": frame(few) * 2}.get(name)
    content = content or zipped(few, int(name.removesuffix(".zip")))
    for seed in range(30):
        flips, flipped = random.Random(seed), bytearray(content)
        for _flip in range(flips.choice([1, 1, 3])):
            flipped[flips.randrange(len(content))] ^= flips.randrange(1, 256)
        try:
            found = rows(tmp_path, name, bytes(flipped))
        except InputError:
            continue
        assert found
