"""Columns that a recipe names: read as the layout reads its own, and refused where they contradict one."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from pipelines.ingest import ingest
from pipelines.layouts import read_as, recognise
from pipelines.source_faults import source_faults
from pipelines.sources import Source
from pipelines.turns import LayoutError, Reading
from pipelines.unread import unread
from schemas.errors import InputError

GOOD, BAD = (("good", 1.0),), (("bad", 0.0),)


def one(layout: str | None, row: dict[str, Any], **columns: str | list[str]) -> Reading:
    [reading] = read_as(layout, row, columns)
    return reading


def turns(*said: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(said)]


@pytest.mark.parametrize(
    ("layout", "asks", "columns"),
    [
        (None, {"q": "x"}, {"prompt": "q", "reply": "a", "label": "ok"}),
        (None, {"q": turns("x")}, {"messages": "q", "reply": "a", "label": "ok"}),
        ("prompt", {"prompt": "x"}, {"reply": "a", "label": "ok"}),
        ("kto", {"prompt": "x", "completion": "other", "label": True}, {"reply": "a", "label": "ok"}),
        ("kto", {"prompt": "x", "response": "other", "label": None}, {"reply": "a", "label": "ok"}),
        ("kto", {"messages": turns("x"), "label": None}, {"reply": "a", "label": "ok"}),
    ],
)
def test_a_reply_that_the_named_column_labels_bad_is_never_learnt(
    layout: str | None, asks: dict[str, Any], columns: dict[str, str]
) -> None:
    good, bad = (one(layout, asks | {"a": reply, "ok": reply == "good"}, **columns) for reply in ("good", "bad"))
    assert (good.reply, good.replies, bad.reply, bad.replies) == ("good", GOOD, None, BAD)
    assert [turn["content"] for turn in bad.prompt] == ["x"]


def test_the_label_of_the_layout_is_about_the_reply_that_the_recipe_names() -> None:
    row = {"prompt": "x", "response": "bad", "label": False}
    assert (one("kto", row, reply="response").reply, one("kto", row, reply="response").replies) == (None, BAD)
    assert one("kto", row) == one("kto", row, reply="response")


def test_a_label_of_no_reply_or_of_several_is_refused() -> None:
    with pytest.raises(LayoutError, match="'ok' labels one reply; found is none that is a text"):
        one(None, {"q": "x", "ok": True}, prompt="q", label="ok")
    with pytest.raises(LayoutError, match="'ok' labels one reply; found are several"):
        one("dpo", {"prompt": "x", "chosen": "a", "rejected": "b", "ok": True}, label="ok")
    with pytest.raises(LayoutError, match="'ok' is 'maybe' instead of true or false"):
        one(None, {"q": "x", "a": "good", "ok": "maybe"}, prompt="q", reply="a", label="ok")


def test_the_weight_goes_with_the_reply_that_is_read() -> None:
    told = {"role": "assistant", "content": "a", "weight": 0}
    assert one("prompt_completion", {"prompt": "q", "completion": [told]}).weight == 0
    assert one("kto", {"messages": [*turns("q"), told], "label": True}).weight == 0
    assert one("sharegpt", {"conversations": [*turns("q"), told]}).weight == 0
    assert one(None, {"q": "q", "a": [told]}, prompt="q", reply="a").weight == 0
    assert one(None, {"q": "q", "a": [told], "w": 0.5}, prompt="q", reply="a", weight="w").weight == 0.5
    pair = {"prompt": "q", "chosen": [told], "rejected": "b", "gold": "c"}
    assert (one("dpo", pair).weight, one("dpo", pair, reply="gold").weight) == (0, None)


def test_pairs_and_a_system_text_are_read_from_the_columns_named_though_the_layout_is_found() -> None:
    row = {"prompt": "q", "good": "a", "poor": "b", "persona": "Be brief."}
    columns = {"chosen": "good", "rejected": "poor", "system": "persona"}
    layout = recognise([row], columns)
    reading = one(layout, row, **columns)
    assert (layout, reading.replies) == ("dpo", (("a", 1.0), ("b", 0.0)))
    assert [turn["content"] for turn in reading.prompt] == ["Be brief.", "q"]
    assert unread(layout, [row], columns) == []


def test_a_named_column_that_the_layout_has_no_use_for_is_told() -> None:
    row = {"question": "1 + 1?", "answer": "#### 2", "persona": "Be brief."}
    assert unread("gsm8k", [row], {"system": "persona"}) == ["persona"]


@pytest.mark.parametrize(
    ("layout", "columns", "told"),
    [
        ("alpaca", {"prompt": "instruction"}, "layout 'alpaca' and columns.prompt each say how a row is read"),
        ("messages", {"messages": "chat"}, "layout 'messages' and columns.messages each say how a row is read"),
        (None, {"prompt": "q", "chosen": "a"}, "columns name 'chosen' alone; a pair has 'chosen' and 'rejected'"),
        (None, {"prompt": "q", "chosen": "a", "rejected": "b", "label": "ok"}, "a label is about one reply"),
    ],
)
def test_columns_that_contradict_are_a_fault_before_anything_is_read(
    tmp_path: Path, layout: str | None, columns: dict[str, str | list[str]], told: str
) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(orjson.dumps({"instruction": "a", "output": "b"}))
    [fault] = source_faults([("sources.0", {"path": str(file), "layout": layout, "columns": columns})])
    assert fault.startswith("sources.0: ")
    assert told in fault
    with pytest.raises(InputError, match=told):
        ingest(tmp_path / "store", [Source(path=str(file), layout=layout, columns=columns)])
