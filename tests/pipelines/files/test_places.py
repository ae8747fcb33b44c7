import gzip
import os
import stat
import zipfile
from pathlib import Path

import datasets
import pytest

from pipelines.files import streams
from pipelines.files.places import NOTES, Place, places_of
from pipelines.files.streams import BombError, stream
from pipelines.source_faults import source_faults
from schemas.errors import InputError


def zipped(file: Path, *names: str, content: bytes = b'{"prompt": "a"}') -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)
    return file


def test_a_member_is_named_behind_two_colons_and_may_be_a_pattern(tmp_path: Path) -> None:
    file = zipped(tmp_path / "x.zip", "a/x.csv", "a/y.jsonl", "README.md")
    assert [place.member for place in places_of(str(file)).places] == ["a/x.csv", "a/y.jsonl"]
    assert places_of(str(file)).skipped == (f"{file}::README.md: no reader is for it",)
    assert [place.member for place in places_of(f"{file}::a/*.csv").places] == ["a/x.csv"]
    with pytest.raises(InputError, match=r"no member 'b.csv'; it holds README.md, a/x.csv, a/y.jsonl"):
        places_of(f"{file}::b.csv")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("../evil.jsonl", "leads out of the archive"),
        ("a/../../evil.jsonl", "leads out of the archive"),
        ("..\\evil.jsonl", "leads out of the archive"),
        ("/etc/evil.jsonl", "has an absolute name"),
        ("C:\\evil.jsonl", "has an absolute name"),
    ],
)
def test_an_archive_with_a_name_that_leads_elsewhere_is_refused_whole(tmp_path: Path, name: str, told: str) -> None:
    file = zipped(tmp_path / "x.zip", "good.jsonl", name)
    for path in (file, f"{file}::good.jsonl"):
        with pytest.raises(InputError, match=told):
            places_of(str(path))


def test_an_archive_with_a_link_or_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.jsonl")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match="is a link"):
        places_of(str(tmp_path / "x.zip"))
    content = bytearray(zipped(tmp_path / "y.zip", "a.jsonl").read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "y.zip").write_bytes(content)
    with pytest.raises(InputError, match="is encrypted"):
        places_of(str(tmp_path / "y.zip"))
    (tmp_path / "z.zip").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(InputError, match="no readable zip archive"):
        places_of(str(tmp_path / "z.zip"))


def test_bombs_are_refused_before_they_go_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "FREE", 1 << 20)
    zeros = b"0" * (4 << 20)
    with pytest.raises(BombError, match="decompression bomb"):
        places_of(str(zipped(tmp_path / "x.zip", "a.jsonl", content=zeros)))
    (tmp_path / "x.gz").write_bytes(gzip.compress(zeros))
    given: list[bytes] = []
    with pytest.raises(BombError, match="decompression bomb"):
        given.extend(stream(tmp_path / "x.gz", None, ".gz"))
    assert sum(map(len, given)) <= 1 << 20
    monkeypatch.setattr(streams, "FREE", 8 << 20)
    assert sum(map(len, stream(tmp_path / "x.gz", None, ".gz"))) == len(zeros)


def test_a_member_that_lies_about_its_size_is_a_break_or_a_bomb(tmp_path: Path) -> None:
    file = zipped(tmp_path / "x.zip", "a.jsonl", content=b"0" * 100_000)
    content = bytearray(file.read_bytes())
    at = content.index(b"PK\x01\x02") + 24
    content[at : at + 4] = (10).to_bytes(4, "little")
    file.write_bytes(content)
    with pytest.raises(streams.BreakError, match="the archive's member is broken here"):
        list(stream(file, "a.jsonl", None))


def test_a_link_out_of_the_folder_is_refused_and_a_named_one_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside.jsonl"
    outside.write_text("{}")
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "inside.jsonl").write_text("{}")
    (folder / "alias.jsonl").symlink_to(folder / "inside.jsonl")
    assert [place.file for place in places_of(str(folder)).places] == [str(folder / "inside.jsonl")]
    (folder / "link.jsonl").symlink_to(outside)
    for path in (folder, folder / "*.jsonl", tmp_path / "*" / "link.jsonl"):
        if path.name == "link.jsonl":
            assert len(places_of(str(path)).places) == 1  # the glob begins above the folder, and so holds the target
            continue
        with pytest.raises(InputError, match=r"link.jsonl is a link to .*outside.jsonl, outside"):
            places_of(str(path))
    assert [place.file for place in places_of(str(folder / "link.jsonl")).places] == [str(folder / "link.jsonl")]


def test_a_folder_says_of_all_that_it_leaves_out_why(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.jsonl").write_text("{}")
    (tmp_path / ".git").mkdir()
    for name in (".hidden.jsonl", ".gitignore", ".git/b.jsonl", ".git/config"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "gone.jsonl").symlink_to("nowhere.jsonl")
    (tmp_path / "linked").symlink_to("sub")
    os.mkfifo(tmp_path / "pipe.jsonl")
    found = places_of(str(tmp_path))
    assert [place.file for place in found.places] == [str(tmp_path / "sub" / "a.jsonl")]
    assert found.skipped == (
        f"{tmp_path}/.git: it is hidden",
        f"{tmp_path}/.hidden.jsonl: it is hidden",
        f"{tmp_path}/gone.jsonl: it is a link to what is not there: nowhere.jsonl",
        f"{tmp_path}/linked: it is a link to a folder, and those are not followed: sub",
        f"{tmp_path}/pipe.jsonl: it is a FIFO",
    )
    assert [place.file for place in places_of(f"{tmp_path}/*/*.jsonl").places] == [str(tmp_path / "sub" / "a.jsonl")]
    assert places_of(f"{tmp_path}/*.jsonl").skipped == found.skipped[2:3] + found.skipped[4:]


def test_a_file_that_links_lead_to_many_times_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}")
    (tmp_path / "loop").symlink_to(".")
    found = places_of(f"{tmp_path}/**/*.jsonl")
    assert [place.file for place in found.places] == [str(tmp_path / "a.jsonl")]
    assert found.skipped == (f"{tmp_path}/loop: by this link {tmp_path}/a.jsonl is reached again, and it is read once",)


def test_a_path_that_names_no_file_says_what_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "gone.jsonl").symlink_to("nowhere.jsonl")
    for path, told in (
        ("", "the path is empty"),
        (" ", "the path is empty"),
        ("file://", "the path is empty"),
        ("::a.jsonl", "the path is empty"),
        ("/dev/null", "/dev/null is a device"),
        (f"{tmp_path}/pipe.jsonl", "pipe.jsonl is a FIFO"),
        (f"{tmp_path}/gone.jsonl", "gone.jsonl is a link to what is not there: nowhere.jsonl"),
    ):
        with pytest.raises(InputError, match=told):
            places_of(path)
        [fault] = source_faults([("sources.0", {"path": path})])
        assert told in fault


def test_a_name_that_is_no_utf_8_is_told_and_not_read(tmp_path: Path) -> None:
    (tmp_path / "good.jsonl").write_text("{}")
    other = tmp_path / os.fsdecode(b"caf\xe9.txt")
    other.write_text("{}")
    assert places_of(str(tmp_path)).skipped == (f"{tmp_path}/caf\\xe9.txt: no reader is for it",)
    other.rename(other.with_suffix(".jsonl"))
    for path in (tmp_path, tmp_path / "*"):
        with pytest.raises(InputError, match=r"the name of .*/caf\\xe9.jsonl is no UTF-8; rename the file"):
            places_of(str(path))


def test_a_file_url_is_a_plain_path_with_its_rules(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    for name in ("rows/a.jsonl", "out.jsonl"):
        (tmp_path / name).write_text("{}")
    for path in (f"file://{tmp_path}/rows", f"file://{tmp_path}/rows/*.jsonl", f"file://{tmp_path}/rows/a.jsonl"):
        assert [place.file for place in places_of(path).places] == [f"{tmp_path}/rows/a.jsonl"]
    (tmp_path / "rows" / "link.jsonl").symlink_to(tmp_path / "out.jsonl")
    with pytest.raises(InputError, match=r"link.jsonl is a link to .*, outside"):
        places_of(f"file://{tmp_path}/rows")
    [fault] = source_faults([("sources.0", {"path": f"file://{tmp_path}/none.jsonl"})])
    assert "no file" in fault


def test_the_ending_of_a_url_stands_before_its_query() -> None:
    for query in ("", "?download=true", "#top", "?file=x.csv#top"):
        place = Place(f"https://example.org/rows/x.jsonl.gz{query}")
        assert (place.format, place.compression, place.name) == (".jsonl", ".gz", "x")
    asked = "https://example.org/x.jsonl?download=true"
    assert [place.file for place in places_of(asked).places] == [asked]
    with pytest.raises(InputError, match="archives behind URLs are not read"):
        places_of("https://example.org/x.zip?download=true")


def test_hidden_files_are_not_found_and_the_others_are_sorted(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl", ".hidden.jsonl", ".git/x.jsonl", "c/d.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    found = [os.path.relpath(place.file, tmp_path) for place in places_of(str(tmp_path)).places]
    assert found == ["a.jsonl", "b.jsonl", "c/d.csv"]
    assert places_of(str(tmp_path / "nothing")).places == ()


def test_a_folder_of_datasets_stands_for_its_arrow_files(tmp_path: Path) -> None:
    datasets.Dataset.from_list([{"prompt": "a"}]).save_to_disk(tmp_path / "saved")
    assert [Path(place.file).suffix for place in places_of(str(tmp_path / "saved")).places] == [".arrow"]
    assert {Path(name.partition(":")[0]).name for name in places_of(str(tmp_path / "saved")).skipped} == NOTES


def test_a_folder_of_several_splits_of_datasets_stands_for_their_arrow_files(tmp_path: Path) -> None:
    split = datasets.Dataset.from_list([{"prompt": "a"}])
    datasets.DatasetDict(train=split, test=split).save_to_disk(tmp_path / "saved")
    (tmp_path / "saved" / "train" / "cache-1.arrow").write_bytes(b"of a map")
    import fsspec

    fsspec.filesystem("memory").put(str(tmp_path / "saved"), "memory://saved-splits", recursive=True)
    for path in (str(tmp_path / "saved"), "memory://saved-splits", f"{tmp_path}/saved/**"):
        found = places_of(path)
        assert [place.path.parts[-2:] for place in found.places] == [
            (name, "data-00000-of-00001.arrow") for name in ("test", "train")
        ]
        left = [name.partition(": of a dataset")[0].rpartition("/")[2] for name in found.skipped]
        assert sorted(left) == ["cache-1.arrow", "dataset_dict.json", *["dataset_info.json"] * 2, *["state.json"] * 2]


def test_endings_are_known_in_any_letter_case(tmp_path: Path) -> None:
    (tmp_path / "X.JSONL.GZ").write_bytes(gzip.compress(b'{"instruction": "a"}'))
    zipped(tmp_path / "Y.ZIP", "A.JSONL")
    found = places_of(str(tmp_path)).places
    assert [(place.format, place.compression, place.member) for place in found] == [
        (".jsonl", ".gz", None),
        (".jsonl", None, "A.JSONL"),
    ]
