import gzip
import os
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_128_hexdigest

from pipelines.ingest import ingest
from pipelines.sources import Source
from pipelines.store import Stored, read_table, shards
from schemas.errors import InputError
from schemas.tables import QUARANTINED, SAMPLES

DATA = Path(os.environ.get("GRISTMILL_DATA", "../shared/data"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the real data in {DATA}")


def ingested(tmp_path: Path, file: Path, layout: str | None = None) -> tuple[Stored, pl.DataFrame, pl.DataFrame]:
    stored = ingest(tmp_path / "store", [Source(path=str(file), layout=layout)])
    return stored, read_table(stored, "samples", SAMPLES), read_table(stored, "quarantined", QUARANTINED)


def written(tmp_path: Path, name: str, content: bytes) -> Path:
    file = tmp_path / name
    file.write_bytes(content)
    return file


def test_every_good_row_is_kept_and_every_bad_one_quarantined_with_its_place(tmp_path: Path) -> None:
    lines = [
        b'\xef\xbb\xbf{"instruction": "a", "output": "1"}\r\n',
        b"\n",
        b'{"instruction": "b", "output": \n',
        b'{"instruction": "c\xff", "output": "3"}\n',
        b'["no object"]\n',
        b'{"instruction": "d \\ud800", "output": "4"}\n',
        b'{"prompt": "another layout"}\n',
        b'{"instruction": "e", "output": "5"}',
    ]
    stored, samples, bad = ingested(tmp_path, written(tmp_path, "rows.jsonl", b"".join(lines)))
    assert [row["file"].rpartition("/")[2] for row in samples["origin"]] == ["rows.jsonl"] * 2
    assert samples["reply"].to_list() == ["1", "5"]
    assert bad["row"].to_list() == [1, 2, 3, 4, 5]
    content = b"".join(lines)
    assert [content[offset:].split(b"\n")[0] for offset in bad["offset"]] == [line.rstrip(b"\n") for line in lines[2:7]]
    assert stored.facts["rows"] == samples.height + bad.height
    assert bad["reason"].str.len_chars().min() > 10  # type: ignore[operator] # of a column of texts that is an int


@given(st.lists(st.one_of(st.just("good"), st.text(max_size=20), st.none()), max_size=30))
def test_rows_in_are_samples_and_quarantined_exactly(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("rows")
    lines = [
        orjson.dumps({"instruction": "x", "output": "y"} if row == "good" else {"instruction": row}) for row in rows
    ]
    file = written(folder, "rows.jsonl", b"\n".join([*lines, b'{"instruction": "x", "output": "y"}']))
    _stored, samples, bad = ingested(folder, file)
    assert samples.height + bad.height == len(rows) + 1


def test_equal_rows_have_ids_of_their_own_that_do_not_depend_on_the_file(tmp_path: Path) -> None:
    row = b'{"instruction": "a", "output": "b"}\n'
    _, twice, _ = ingested(tmp_path, written(tmp_path, "one.jsonl", row * 2))
    _, once, _ = ingested(tmp_path, written(tmp_path, "two.jsonl", row))
    assert twice["id"].n_unique() == 2
    assert once["id"][0] == twice["id"][0]


def test_json_lines_in_a_json_file_are_read_as_lines(tmp_path: Path) -> None:
    file = written(tmp_path, "rows.json", b'{"instruction": "a", "output": "b"}\n{"instruction": "c", "output": "d"}\n')
    assert ingested(tmp_path, file)[1].height == 2


def test_parquet_and_json_give_the_same_samples(tmp_path: Path) -> None:
    rows = [
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": str(at)}]} for at in range(3)
    ]
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    json = written(tmp_path, "a.json", orjson.dumps(rows))
    assert ingested(tmp_path, tmp_path / "a.parquet")[1]["id"].equals(ingested(tmp_path, json)[1]["id"])


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("x.jsonl", b'{"words": "a"}\n', r"not recognised. Say .* reply = .* Found the columns words. Known layouts: "),
        (
            "x.jsonl",
            b"{\n{\n",
            r"no good row in .*x.jsonl: 2 were read, all bad. The first: .*row 0: this line is no JSON",
        ),
        ("x.json", b"<html>", r"no good row"),
        (
            "x.json",
            b'{"data": [{"instruction": "a"}]}',
            r'rows in "data", an array of 1 object\(s\)\? Then say field = "data"',
        ),
        (
            "x.jsonl",
            b'{"instruction": "caf\xe9"}',
            r"no UTF-8: its byte 20 is 0xe9. Where all of the file .* convert it",
        ),
        (
            "x.jsonl",
            b'{"prompt": "Sum it up.", "document": "d", "completion": "s"}',
            r"looks like prompt_completion, which does not read the column 'document', .* layout = .prompt_completion",
        ),
        ("x.jsonl", b'{"question": "1 + 1?", "answer": 2}', r"'answer' is '2' \(int\) instead of text or turns"),
        ("x.txt", b"hello", r"no reader for .txt; known: .json"),
        ("x.parquet", b"PAR1", r"no readable Parquet file"),
        ("x.jsonl", b"", r"there are no rows in .*x.jsonl"),
        ("x.jsonl", b"\n \n", r"there are no rows in .*x.jsonl"),
        ("x.json", b"[]", r"there are no rows in .*x.json"),
        ("x.csv", b"instruction,output\n", r"there are no rows in .*x.csv"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_that_says_why(
    tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    with pytest.raises(InputError, match=told):
        ingested(tmp_path, written(tmp_path, name, content))


@needs_data
@pytest.mark.parametrize(
    ("name", "layout", "rows", "samples"),
    [
        ("formats/alpaca_en_demo.json", "alpaca", 999, 999),
        ("formats/alpaca_zh_demo.json", "alpaca", 1000, 1000),
        ("formats/dpo_en_demo.json", "dpo", 299, 299),
        ("formats/dpo_zh_demo.json", "dpo", 300, 300),
        ("formats/glaive_toolcall_en_demo.json", "sharegpt", 300, 300),
        ("formats/gpteacher_codegen.json", "alpaca", 4533, 4533),
        ("formats/gpteacher_roleplay.yaml", "alpaca", 1923, 1923),
        ("formats/kto_en_demo.json", "kto", 300, 300),
        ("formats/oasst_en_100_tree.jsonl", "oasst", 100, 254),
        ("formats/openai_messages_conversations.jsonl", "messages", 128, 128),
        ("formats/reason_tool_use_demo_50.jsonl", "messages", 50, 50),
        ("formats/sharegpt_dummy_conversation.json", "sharegpt", 500, 500),
        ("formats/v1_dpo_demo.jsonl", "dpo", 10, 10),
        ("formats/v1_sft_demo.jsonl", "messages", 500, 500),
        ("gsm8k/train.jsonl", "gsm8k", 7473, 7473),
        ("gsm8k/test_socratic.jsonl", "gsm8k", 1319, 1319),
        ("ifeval/en_input_data.jsonl", "ifeval", 541, 541),
        ("code/HumanEval.jsonl.gz", "humaneval", 164, 164),
        ("code/mbpp.jsonl", "mbpp", 974, 974),
        ("llmbar/LLMBar/Natural/dataset.json", "pairs", 100, 100),
        ("alpaca_eval/NullModel/model_outputs.json", "alpaca", 805, 805),
        ("alpaca_eval/NullModel/annotations.json", "pairs", 805, 805),
        ("xstest/xstest_v2_completions_llama2orig.csv", "prompt_completion", 450, 450),
        ("rbr/train.jsonl", "prompt_completion", 351, 351),
        ("preferences/hh_harmless_base_test.jsonl.gz", "dpo", 2312, 2307),
        ("benchmarks/TruthfulQA.csv", "truthfulqa", 817, 817),
        ("benchmarks/gsm8k_rephrased.jsonl", "text", 1319, 1319),
        ("broken/user_1.jsonl", "alpaca", 429, 429),
        ("broken/user_2.jsonl", "alpaca", 248, 246),
        ("broken/user_3.jsonl", "alpaca", 201, 198),
        ("broken/merge_conflict.json", "sharegpt", 1413, 1410),
    ],
)
def test_real_files_are_recognised_and_read_whole(
    tmp_path: Path, name: str, layout: str, rows: int, samples: int
) -> None:
    stored, found, bad = ingested(tmp_path, DATA / name)
    [told] = stored.facts["files"]
    assert (told["layout"], told["rows"], found.height) == (layout, rows, samples)
    lost = 0 if layout == "oasst" else rows - samples
    assert (bad.height, told["quarantined"]) == (lost, lost)
    assert (stored.facts["rows"], rows + stored.facts["several"]) == (rows, samples + lost)
    assert found["id"].n_unique() == samples
    if not name.endswith(".gz"):
        content = (DATA / name).read_bytes()
        for offset, raw in bad.select("offset", "raw").iter_rows():
            assert content[offset:].startswith(raw.encode()[:100])


@needs_data
def test_an_archive_stands_for_all_its_files_that_can_be_read(tmp_path: Path) -> None:
    stored, samples, bad = ingested(tmp_path, DATA / "benchmarks/mmlu.zip")
    assert (samples.height, bad.height, len(stored.facts["files"])) == (15_858, 0, 171)
    assert all(name.endswith(".txt: no reader is for it") for name in stored.facts["skipped"])
    one = ingest(tmp_path / "store", [Source(path=f"{DATA}/benchmarks/mmlu.zip::data/dev/anatomy_dev.csv")])
    assert one.facts["samples"] == 5


@needs_data
def test_a_row_with_two_replies_waits_for_the_recipe_to_choose(tmp_path: Path) -> None:
    path = f"{DATA}/formats/codealpaca_response_and_output.json"
    with pytest.raises(InputError, match=r"4,533 were read, all bad.*both 'output' and 'response' are there"):
        ingest(tmp_path, [Source(path=path)])
    for column in ("response", "output"):
        assert ingest(tmp_path, [Source(path=path, columns={"reply": column})]).facts["samples"] == 4533


@needs_data
def test_files_that_hold_something_else_say_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1 were read, all bad.*Git LFS pointer.*git lfs pull"):
        ingested(tmp_path, DATA / "broken/lfs_pointer.jsonl.gz")
    with pytest.raises(InputError, match="Found the columns input, output, text"):  # an array that is named as lines
        ingested(tmp_path, DATA / "broken/all_lines_bad.jsonl")
    columns: dict[str, str | list[str]] = {"prompt": ["text", "input"], "reply": "output"}
    stored = ingest(tmp_path, [Source(path=f"{DATA}/broken/all_lines_bad.jsonl", columns=columns)])
    assert (stored.facts["samples"], stored.facts["files"][0]["format"]) == (29, "json")


def test_naming_the_layout_makes_it_strict(tmp_path: Path) -> None:
    file = written(tmp_path, "x.jsonl", b'{"instruction": "a"}\n{"prompt": "b"}\n{"question": "c", "answer": "d"}\n')
    _stored, samples, bad = ingested(tmp_path, file, "prompt")
    assert [row["content"] for (row,) in samples["prompt"]] == ["b"]
    assert bad["reason"][0] == "no column 'prompt' as prompt has; found: instruction"


def test_files_of_a_folder_have_layouts_of_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    written(folder, "a.jsonl", b'{"instruction": "a", "output": "1"}\n')
    written(folder, "b.json", b'[{"prompt": "b", "completion": "2"}]')
    written(folder, "README.md", b"# About")
    stored, samples, _bad = ingested(tmp_path, folder)
    assert [file["layout"] for file in stored.facts["files"]] == ["alpaca", "prompt_completion"]
    assert samples["reply"].to_list() == ["1", "2"]
    assert stored.facts["skipped"] == [f"{folder / 'README.md'}: no reader is for it"]


def test_only_samples_that_say_the_same_have_ids_that_count(tmp_path: Path) -> None:
    rows = [
        {"prompt": "q", "completion": "a", "label": True},
        {"prompt": "q", "completion": "a", "label": False},
        {"prompt": "q", "completion": "b", "label": False},
    ]
    file = written(tmp_path, "a.jsonl", b"\n".join(map(orjson.dumps, rows * 2)))
    _stored, samples, _bad = ingested(tmp_path, file)
    _stored, alone, _bad = ingested(tmp_path, written(tmp_path, "b.jsonl", orjson.dumps(rows[2])))
    assert samples["id"].n_unique() == 6
    assert samples["id"][2] == alone["id"][0]


def test_a_plain_row_has_the_same_id_in_every_layout(tmp_path: Path) -> None:
    rows = [
        {"instruction": "q", "output": "a"},
        {"prompt": "q", "completion": "a"},
        {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
    ]
    ids = [
        ingested(tmp_path, written(tmp_path, f"{at}.jsonl", orjson.dumps(row)))[1]["id"][0]
        for at, row in enumerate(rows)
    ]
    assert len(set(ids)) == 1


def test_samples_are_written_in_shards_that_can_be_gone_through_again(tmp_path: Path) -> None:
    lines = b"".join(b'{"instruction": "%d", "output": "x"}\n' % at for at in range(120_000))
    stored, samples, _bad = ingested(tmp_path, written(tmp_path, "rows.jsonl", lines))
    parts = shards(stored, "samples", SAMPLES)
    for _time in range(2):
        frames = list(parts)
        assert len(frames) == len(parts.hashes) == 12
        assert max(frame.height for frame in frames) <= 10_000
        assert pl.concat(frames).equals(samples)
    assert [row["row"] for row in samples["origin"]] == list(range(120_000))


def test_a_row_above_the_limit_is_quarantined_with_the_hash_of_all_of_it(tmp_path: Path) -> None:
    long = b'{"instruction": "' + b"x" * 3_000_000 + b'"}'
    good = b'{"instruction": "a"}'
    lines, document = b"\n".join([good, long, good]), b"[%b,%b,%b]" % (good, long, good)
    for name, content, told in (("x.jsonl", lines, long), ("x.json", document, long)):
        file = written(tmp_path, name, content)
        stored = ingest(tmp_path / "store", [Source(path=str(file), max_row_mib=1)])
        bad = read_table(stored, "quarantined", QUARANTINED)
        assert stored.facts["samples"] == 2
        assert content[bad["offset"][0] :].startswith(long)
        assert bad["hash"][0] == xxh3_128_hexdigest(told)
        assert "max_row_mib" in bad["reason"][0]
    assert ingest(tmp_path / "store", [Source(path=str(file))]).facts["samples"] == 3


def test_a_url_is_read_through_its_file_system(tmp_path: Path) -> None:
    import fsspec

    with fsspec.open("memory://rows/a.jsonl.gz", "wb") as file:
        file.write(gzip.compress(b'{"instruction": "a", "output": "b"}\n'))
    for path in ("memory://rows/a.jsonl.gz", "memory://rows", "memory://rows/*.gz"):
        stored = ingest(tmp_path, [Source(path=path)])
        assert stored.facts["files"][0]["file"].endswith("/rows/a.jsonl.gz")
        assert stored.facts["samples"] == 1
    with pytest.raises(InputError, match="s3fs"):
        ingest(tmp_path, [Source(path="s3://bucket/rows.jsonl")])
    with pytest.raises(InputError, match="Protocol not known: nowhere"):
        ingest(tmp_path, [Source(path="nowhere://x.jsonl")])
