"""What turns hold is kept, refused with the reason, or told as not read; nothing is changed or lost in silence."""

from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from pipelines.ingest import ingest
from pipelines.layouts import read_as
from pipelines.sources import Source
from pipelines.store import Stored, read_table
from pipelines.turns import LayoutError, Reading
from pipelines.unread import unread
from schemas.tables import QUARANTINED, SAMPLES

LONG = 123456789012345678901234567890
USER = {"role": "user", "content": "q"}
CALL = {"name": "add", "arguments": '{"a": 1}'}


def one(layout: str | None, row: dict[str, Any]) -> Reading:
    [reading] = read_as(layout, row)
    return reading


def ingested(tmp_path: Path, name: str, content: bytes) -> tuple[Stored, pl.DataFrame, pl.DataFrame]:
    file = tmp_path / name
    file.write_bytes(content)
    stored = ingest(tmp_path / "store", [Source(path=str(file))])
    return stored, read_table(stored, "samples", SAMPLES), read_table(stored, "quarantined", QUARANTINED)


@pytest.mark.parametrize("content", ["", None])
def test_an_older_function_call_is_a_tool_call(content: str | None) -> None:
    said = [USER, {"role": "assistant", "content": content, "function_call": CALL}]
    result = {"role": "function", "name": "add", "content": ""}
    for rows in (said, [*said, result]):
        reading = one("messages", {"messages": rows})
        calls = reading.prompt[1].get("tool_calls")
        assert (reading.reply, orjson.loads(calls or "")) == (None, [{"type": "function", "function": CALL}])


@pytest.mark.parametrize("none", [None, {"name": None, "arguments": None}])
def test_a_function_call_that_a_table_leaves_empty_is_none(none: object) -> None:
    assert (
        one("messages", {"messages": [USER, {"role": "assistant", "content": "a", "function_call": none}]}).reply == "a"
    )


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"function_call": "add"}, "'function_call' is 'add' instead of an object"),
        ({"function_call": CALL, "tool_calls": [{"function": CALL}]}, "both 'tool_calls' and 'function_call'"),
    ],
)
def test_a_function_call_that_is_not_clear_is_refused(more: dict[str, Any], told: str) -> None:
    with pytest.raises(LayoutError, match=told):
        one("messages", {"messages": [USER, {"role": "assistant", "content": "a", **more}]})


def test_a_chosen_reply_that_calls_a_tool_is_refused_and_not_emptied() -> None:
    calls = [USER, {"role": "assistant", "content": "", "function_call": CALL}]
    with pytest.raises(LayoutError, match="'chosen' is no prompt by the user with a reply, a text by the assistant"):
        one("dpo", {"chosen": calls, "rejected": [USER, {"role": "assistant", "content": "a"}]})


def test_what_of_turns_is_not_read_is_told_by_its_key(tmp_path: Path) -> None:
    answer = {"role": "assistant", "content": "a", "reasoning_content": "hm", "name": "", "weight": 1}
    row = {"messages": [USER | {"name": "ann"}, answer], "id": 7, "notes": [{"by": "ben"}]}
    assert unread("messages", [row], {}) == ["id", "messages[].name", "messages[].reasoning_content", "notes"]
    stored, _samples, _bad = ingested(tmp_path, "x.jsonl", orjson.dumps(row))
    assert "messages[].reasoning_content" in stored.facts["files"][0]["unread"]


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "a", "output": "b", "reference": LONG},
        {"instruction": "a", "output": "b", "reference": {"is": [-LONG]}},
        {"instruction": "a", "output": "b", "check": {"use": "a:b", "n": LONG}},
        {"instruction": "a", "output": "b", "check": f'{{"use": "a:b", "n": {LONG}}}'},
        {"prompt": "a", "tools": [{"maximum": LONG}]},
        {"messages": [USER, {"role": "assistant", "content": "", "tool_calls": [{"function": {"n": LONG}}]}]},
        {"messages": [USER, {"role": "assistant", "content": [{"type": "tool_call", "text": f'{{"n": {LONG}}}'}]}]},
        {"problem": "a", "answer": LONG},
        {"prompt": "a", "reward_model": {"ground_truth": LONG}},
        {"prompt": "a", "instruction_id_list": ["b:c"], "kwargs": [{"n": LONG}]},
    ],
    ids="-".join,
)
def test_a_number_that_a_json_reader_has_rounded_is_refused(tmp_path: Path, row: dict[str, Any]) -> None:
    import json

    good = json.dumps(row).replace(str(LONG), "12").encode()
    lines = json.dumps(row).encode() + b"\n" + good
    _stored, samples, bad = ingested(tmp_path, "x.jsonl", lines)
    assert (samples.height, bad.height) == (1, 1)
    assert "the number '" in bad["reason"][0]
    assert "of more than 64 bits, which would lose digits; write it as text, in quotes" in bad["reason"][0]


@pytest.mark.parametrize("value", [2**64 - 1, -(2**63), 2.5, 9.2e18, True, "1" * 40, [1.5e18, None]])
def test_a_number_of_64_bits_and_any_text_is_kept_as_it_is(value: object) -> None:
    read = one("prompt", {"prompt": "a", "reference": value}).reference
    assert read == (value if isinstance(value, str) else orjson.dumps(value).decode())


def test_a_long_whole_number_that_is_known_exactly_is_kept_by_its_digits(tmp_path: Path) -> None:
    text = f"- prompt: a\n  reference: {LONG}\n- prompt: b\n  reference: [{LONG}]\n- prompt: c\n  tools: [{{1: 2}}]\n"
    _stored, samples, bad = ingested(tmp_path, "x.yaml", text.encode())
    assert samples["reference"].to_list() == [str(LONG)]
    assert f"'reference' holds the number '{LONG}' of more than 64 bits" in bad["reason"][0]
    assert "'tools' is '[{1: 2}]', which can't be written as JSON" in bad["reason"][1]


def test_what_json_cannot_say_of_a_table_is_refused(tmp_path: Path) -> None:
    for name, values, told in (
        ("nan", [float("nan"), 1.5], "'reference' is nan, a number that JSON does not have"),
        ("inf", [float("-inf"), 1.5], "'reference' is -inf, a number that JSON does not have"),
        ("bytes", [b"\xff", None], r"""'reference' is "b'\\xff'" (bytes) instead of text"""),
    ):
        pl.DataFrame({"prompt": ["a", "b"], "reference": values}).write_parquet(tmp_path / f"{name}.parquet")
        stored = ingest(tmp_path / "store", [Source(path=str(tmp_path / f"{name}.parquet"))])
        assert stored.facts["samples"] == 1
        assert read_table(stored, "quarantined", QUARANTINED)["reason"].to_list() == [told]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400])
def test_a_weight_that_is_no_finite_number_is_refused(value: float) -> None:
    with pytest.raises(LayoutError, match=r"'weight' is .* instead of a number"):
        one("messages", {"messages": [USER, {"role": "assistant", "content": "a", "weight": value}]})


@pytest.mark.parametrize(
    ("layout", "row"),
    [
        ("messages", {"messages": [{"role": "user", "content": " \n"}, {"role": "assistant", "content": "a"}]}),
        ("messages", {"messages": [USER, {"role": "assistant", "content": "a"}, {"role": "user", "content": ""}]}),
        ("sharegpt", {"conversations": [{"from": "human", "value": ""}, {"from": "gpt", "value": "a"}]}),
        ("prompt", {"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": ""}]}),
        ("dpo", {"chosen": "\n\nHuman: \n\nAssistant: a", "rejected": "\n\nHuman: \n\nAssistant: b"}),
        ("dpo", {"instruction": "", "input": " ", "chosen": "a", "rejected": "b"}),
        ("kto", {"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": "a"}], "label": True}),
        (
            "oasst",
            {"message_tree_id": "t", "prompt": {"role": "prompter", "text": "", "replies": [{"text": "a"}]}},
        ),
    ],
)
def test_a_row_whose_last_question_says_nothing_is_refused(layout: str, row: dict[str, Any]) -> None:
    with pytest.raises(LayoutError, match="empty"):
        read_as(layout, row)


def test_empty_turns_of_others_are_no_fault() -> None:
    call = {"role": "assistant", "content": "", "tool_calls": [{"function": CALL}]}
    rows = [{"role": "system", "content": ""}, USER, call, {"role": "tool", "content": ""}]
    assert len(one("messages", {"messages": rows}).prompt) == 4
