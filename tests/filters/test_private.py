"""Claims on personal data and secrets: what is counted, and that a redacted row holds none of it."""

import json
import os
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import private
from filters.redaction import REDACTED, redact
from schemas.rules import Rule
from schemas.tables import SAMPLES
from tests.filters.measuring import Measured

KEY = "AKIA" + "Q7" * 8
HELD = {  # one of each kind, made up
    "email": "ann.lee+x@mail.somewhere.co.uk",
    "phone": "+49 30 901820",
    "card": "4111 1111 1111 1111",
    "iban": "DE89 3704 0044 0532 0130 00",
    "ip": "8.8.8.8",
    "secret": KEY,
}


@pytest.mark.parametrize(
    ("rule", "text", "count"),
    [
        (private.emails(), "write to ann.lee+x@mail.a.co.uk or bo@a.org", 2),
        (private.emails(), "a@b, user @ a.org, ann@example.com, bo@mail.example.org, cy@x.test", 0),
        (private.emails(reserved=True), "ann@example.com", 1),
        (private.phones(), "call me on 467 3395, or +44 7911 824 617, or (212) 664-7665x12, fax: 0490 75 40 81", 4),
        (private.phones(), "born 12-05-1984, 3.141592653, 514-69-0360, 192.168.100.200, 555-0142, 1234567890", 0),
        (private.cards(), "4111 1111 1111 1111 and 378282246310005", 2),
        (private.cards(), "4111 1111 1111 1112, 0000 0000 0000 0000, 6 12 18 24 30 36 42 48 54 60", 0),
        (private.ibans(), "GB82 WEST 1234 5698 7654 32, gb82west12345698765432", 2),
        (private.ibans(), "GB83 WEST 1234 5698 7654 32", 0),
        (private.addresses(), "8.8.8.8 and 2001:4860:4860:0:0:0:0:8888, 2001:4860:4860::8888", 3),
        (private.addresses(), "127.0.0.1, 192.168.1.1, 300.1.1.1, version 1.2.3, ::, 12:30:45", 0),
        (private.secrets(), f"use {KEY}", 1),
        (private.secrets(), "use sk-" + "aB3" * 14, 1),
        (private.secrets(), "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----", 1),
        (private.secrets(), "-----BEGIN PGP PRIVATE KEY BLOCK-----\nlQOY\n-----END PGP PRIVATE KEY BLOCK-----", 1),
        (private.secrets(), "ghp_" + "aB3d" * 9 + " hf_" + "aB3" * 11 + " xoxb-123456789012-abcdef", 3),
        (private.secrets(), "postgres://ann:pa55word@db.a.org/x SG." + "a1" * 11 + "." + "b2c" * 14 + "d", 2),
        (
            private.secrets(),
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl glpat-" + "aB3d" * 5 + " sk_live_" + "aB3d" * 6,
            3,
        ),
        (private.secrets(), 'aws_secret_key = "' + "aB3/" * 10 + '" cloudant_apikey = "' + "0f" * 32 + '"', 2),
        (private.secrets(), "sk-ill, task-based, password = hunter2", 0),
    ],
)
def test_each_kind_is_counted_by_its_form(measured: Measured, rule: Rule, text: str, count: int) -> None:
    assert measured(rule, text) == count


def test_an_account_number_is_no_phone_number(measured: Measured) -> None:
    for kind in ("iban", "card", "ip"):
        assert measured(private.phones(), f"phone: {HELD[kind]}") == 0


@settings(deadline=None)  # the first call loads what it needs
@given(st.text(max_size=80))
def test_spans_lie_in_the_text_in_order_and_apart(words: str) -> None:
    told = words + " " + " and ".join(HELD.values())
    found = private.spans(told, private.KINDS)
    assert len(found) >= 1
    for (_, end, _), (start, _, _) in pairwise(found):
        assert end <= start
    assert all(0 <= start < end <= len(told) for start, end, _ in found)


def sample(**columns: object) -> pl.DataFrame:
    message = {"role": "user", "content": "Hello", "tool_calls": None}
    row = dict.fromkeys(SAMPLES) | {"id": "1", "prompt": [message], "reply": "Hello"} | columns
    return pl.DataFrame([row], schema=SAMPLES)


def everywhere(told: str) -> pl.DataFrame:
    calls = json.dumps([{"name": "mail", "arguments": {"to": told}}])
    return sample(
        prompt=[
            {"role": "system", "content": f"You are {told}.", "tool_calls": None},
            {"role": "assistant", "content": f"I am {told}.", "tool_calls": calls},
            {"role": "user", "content": None, "tool_calls": None},
        ],
        reply=f"It is {told}!",
        replies=[{"text": f"No, {told}.", "score": 1.0}, {"text": None, "score": None}],
        reference=told,
        check=json.dumps({"use": "judges.answers:exact", "text": told}),
        tools=json.dumps([{"name": told}]),
    )


@pytest.mark.parametrize("kind", list(HELD))
def test_what_was_redacted_is_nowhere_in_the_row_and_the_counts_say_where_it_was(kind: str) -> None:
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


def test_nearly_all_addresses_and_numbers_of_a_labelled_set_are_found() -> None:
    file = Path(os.environ.get("GRISTMILL_DATA", "../shared/data")) / "pii" / "presidio_synth_v2.json"
    if not file.exists():
        pytest.skip(f"{file} is absent: the labelled personal data lie outside the repository")
    kinds = {"EMAIL_ADDRESS": "email", "CREDIT_CARD": "card", "IBAN_CODE": "iban", "IP_ADDRESS": "ip"}
    missed = wanted = 0
    for row in json.loads(file.read_text(encoding="utf-8")):
        found = {row["full_text"][start:end] for start, end, _ in private.spans(row["full_text"], private.KINDS)}
        for span in (span for span in row["spans"] if span["entity_type"] in kinds):
            wanted += 1
            missed += span["entity_value"] not in found
    assert wanted == 220
    assert missed <= 2
