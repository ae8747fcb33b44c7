"""Claims on redaction: a redacted row holds nothing private where the rules look, and what is JSON stays JSON."""

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.private import Kind
from filters.redaction import REDACTED, Place, redact
from schemas.tables import SAMPLES
from tests.filters.held import HELD, RULES, everywhere, sample


@pytest.mark.parametrize("kind", list(HELD))
def test_what_was_redacted_is_nowhere_in_the_row_and_the_counts_say_where_it_was(kind: Kind) -> None:
    edited, table = redact()(everywhere(HELD[kind]))
    assert HELD[kind] not in edited.write_json()
    assert table.schema == REDACTED
    assert table.rows() == [
        ("1", part, kind, 3 if part == "prompt" else 1)
        for part in ("check", "prompt", "reference", "replies", "reply", "tools")
    ]
    assert json.loads(edited["check"][0])["text"] == f"[{kind}]"
    assert json.loads(edited["prompt"][0][1]["tool_calls"])[0]["arguments"]["to"] == f"[{kind}]"


def test_an_edit_changes_nothing_else_and_nothing_twice() -> None:
    rows = pl.concat([sample(id="b"), everywhere("ann@a.org").with_columns(id=pl.lit("a")), sample(id="c", reply=None)])
    edited, _ = redact()(rows)
    assert edited["id"].to_list() == ["b", "a", "c"]
    assert edited.schema == SAMPLES
    assert edited[[0, 2]].equals(rows[[0, 2]])
    again, counts = redact()(edited)
    assert again.equals(edited)
    assert counts.height == 0


def test_only_the_kinds_and_the_part_that_are_named_are_edited() -> None:
    told = f"{HELD['email']} {HELD['ip']}"
    edited, table = redact(kinds=("ip",), part="reply", template="<{kind} removed>")(everywhere(told))
    assert edited["reply"][0] == f"It is {HELD['email']} <ip removed>!"
    assert edited["prompt"].equals(everywhere(told)["prompt"])
    assert set(table["part"]) == {"reply", "replies", "reference"}


@pytest.mark.parametrize("template", ['"{kind}"', "a\\b", "x@y.org", "two\nlines"])
def test_a_template_that_breaks_json_or_is_private_itself_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="template gives"):
        redact(template=template)


def one(told: str, column: str = "tool_calls", **options: Any) -> str:
    """Give what redaction leaves of a tool call's arguments, or of another column of a row."""
    calls = [{"role": "assistant", "content": None, "tool_calls": told}]
    edited, _ = redact(**options)(sample(prompt=calls) if column == "tool_calls" else sample(**{column: told}))
    row = edited.row(0, named=True)
    left = row["prompt"][0]["tool_calls"] if column == "tool_calls" else row[column]
    assert isinstance(left, str)
    return left


@pytest.mark.parametrize("column", ["tool_calls", "check", "tools", "reply"])
@pytest.mark.parametrize(
    ("told", "left"),
    [
        (r'{"body": "Hi,\njo.miller@gmail.com"}', r'{"body": "Hi,\n[email]"}'),
        (r'{"body":"Hi,\tjo\u0040gmail.com", "n":  1.50}', r'{"body":"Hi,\t[email]", "n":  1.50}'),
        ('{"card": 4111111111111111, "n": [1, 4.0e1]}', '{"card": "[card]", "n": [1, 4.0e1]}'),
        (r'{"to": "\u90aeme@gmail.com"}', r'{"to": "\u90ae[email]"}'),
        (r'{"to": "邮me@gmail.com", "q": "\u00e9"}', r'{"to": "邮[email]", "q": "\u00e9"}'),
        (r'[{"arguments": "{\"to\": \"x\\njo@gmail.com\"}"}]', r'[{"arguments": "{\"to\": \"x\\n[email]\"}"}]'),
        (r'{"arguments": "{\"card\": 4111111111111111}"}', r'{"arguments": "{\"card\": \"[card]\"}"}'),
        ('{"phone": "467 3395", "n": "467 3395"}', '{"phone": "[phone]", "n": "467 3395"}'),
        ('{"me@gmail.com": "on\\ud800 me@gmail.com"}', '{"[email]": "on\\ud800 [email]"}'),
        (r"Hi,\njo.miller@gmail.com, {", r"Hi,\n[email], {"),
    ],
)
def test_json_is_edited_within_its_strings_and_numbers_and_stays_as_it_was_elsewhere(
    column: str, told: str, left: str
) -> None:
    assert one(told, column) == left


@pytest.mark.parametrize(
    "told",
    [
        "ghp_" + "aB3d" * 9,
        "glpat-" + "aB3d" * 5,
        "npm_" + "aB3d" * 9,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----",
    ],
)
def test_nothing_of_a_secret_is_left(told: str) -> None:
    assert one(f"a {told} b", "reply") == "a [secret] b"


def test_a_short_password_is_taken_out_where_it_stands_and_nowhere_else() -> None:
    assert one("http://u:an@host has an ant", "reply") == "http://u:[secret]@host has an ant"


@pytest.mark.parametrize(
    "code", ["x = l[1::2]", "void A::f() {}", "pip install a==1.2.3.4", "sort 299 792 458", "http://{u}:{p}@host"]
)
def test_code_and_figures_are_left_alone(code: str) -> None:
    assert one(code, "reply") == code


MARKS = [*' \n"{}[],.:@+-1aé=', "\\n", "\\u90ae", "::", "//", "邮箱"]
WORDS = ["call me on ", "phone: ", "467 3395", "299 792 458", "212 664 7665", "a.org"]
PIECES = st.sampled_from([*HELD.values(), *WORDS, *MARKS])
TEXTS = st.lists(PIECES, max_size=8).map("".join)
LEAVES = TEXTS | st.none() | st.booleans() | st.floats() | st.integers() | st.just(4111111111111111)
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(TEXTS, inner, max_size=3)
        | st.lists(inner, max_size=2).map(json.dumps)
    ),
    max_leaves=6,
).flatmap(lambda value: st.booleans().map(lambda ascii_only: json.dumps({"a": value}, ensure_ascii=ascii_only)))


@settings(max_examples=150)
@given(TEXTS, TEXTS, JSON, JSON, st.sampled_from(["prompt", "reply", "conversation"]))
def test_after_redaction_the_rules_count_nothing_and_what_was_json_still_is(
    first: str, second: str, third: str, fourth: str, part: Place
) -> None:
    rows = sample(
        prompt=[
            {"role": "system", "content": first, "tool_calls": None},
            {"role": "assistant", "content": second, "tool_calls": third},
        ],
        reply=fourth,
        replies=[{"text": first + second, "score": None}],
        reference=second + first,
        check=fourth,
        tools=third,
    )
    edited, _ = redact(part=part)(rows)
    for rule in RULES.values():
        measure = rule(part=part).measure
        assert not isinstance(measure, pl.Expr)
        assert measure(edited).to_list() == [0]
    row = edited.row(0, named=True)
    for told in (row["prompt"][1]["tool_calls"], row["reply"], row["check"], row["tools"]):
        json.loads(told)
