import polars as pl
import pytest

from schemas.chats import content_id
from schemas.errors import StoreError
from schemas.tables import CHAT, PLAIN_CHAT, SAMPLES, SFT, check, plain, plain_schema
from schemas.verdicts import Verdict


def test_a_frame_of_another_type_is_refused_with_the_column_and_both_types() -> None:
    frame = pl.DataFrame(schema={**SAMPLES, "reply": pl.Int64()})
    with pytest.raises(StoreError, match="table kept: reply: Int64 instead of String"):
        check(frame, SAMPLES, "kept")


def test_a_missing_and_a_foreign_column_are_both_told() -> None:
    frame = pl.DataFrame(schema=SAMPLES).drop("id").with_columns(extra=pl.lit(1))
    with pytest.raises(StoreError, match=r"id: missing instead of String.*extra: Int32 instead of no such column"):
        check(frame, SAMPLES, "kept")


def test_chats_lose_the_tool_calls_only_where_no_message_has_any() -> None:
    turn = {"role": "user", "content": "hi", "tool_calls": None}
    without = pl.DataFrame({"prompt": [[turn]]}, schema={"prompt": CHAT})
    assert plain(without).schema["prompt"] == PLAIN_CHAT
    with_calls = pl.DataFrame({"prompt": [[turn], [{**turn, "tool_calls": "[]"}]]}, schema={"prompt": CHAT})
    assert plain(with_calls).equals(with_calls)


def test_the_plain_schema_is_what_plain_leaves() -> None:
    assert plain(pl.DataFrame(schema=SFT)).schema == plain_schema(SFT)


def test_content_names_do_not_depend_on_the_order_of_keys() -> None:
    assert content_id({"a": 1, "b": 2}) == content_id({"b": 2, "a": 1}) != content_id({"a": 1, "b": 3})


@pytest.mark.parametrize("score", [None, 1.0])
def test_a_verdict_has_a_score_or_a_reason_and_never_both(score: float | None) -> None:
    with pytest.raises(ValueError, match="not both"):
        Verdict(score, "unparsed" if score is not None else "scored")
