"""The last search finds what is private wherever a row holds text, and shows no more of it than its beginning."""

import polars as pl
import pytest

from pipelines.scan import scanned, scanned_text
from schemas.tables import CHAT

EMAIL = "ada.lovelace@analytical.co.uk"
TURN = {"role": "user", "content": EMAIL, "tool_calls": None}
PLACES = {
    "a text": pl.Series("text", [EMAIL]),
    "a chat": pl.Series("prompt", [[TURN]], dtype=CHAT),
    "a tool call": pl.Series("prompt", [[{**TURN, "content": None, "tool_calls": f'{{"to": "{EMAIL}"}}'}]], dtype=CHAT),
    "a list of texts": pl.Series("also", [["x", EMAIL]]),
    "a list of structs": pl.Series("scores", [[{"judge": "j", "score": 1.0, "why": EMAIL}]]),
    "a struct": pl.Series("origin", [{"file": EMAIL, "row": 1}]),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_it_is_found_in(place: pl.Series) -> None:
    rows = pl.DataFrame({"id": ["r1"]}).with_columns(place)
    assert scanned(rows).rows() == [("r1", place.name, "email", "ada... (29 characters)")]


def test_hashes_and_what_is_nobody_s_are_not_private() -> None:
    rows = {
        "id": ["4" * 40],
        "request_key": ["41111111111111111" * 2],
        "text": ["a@example.com, 555-0100"],
        "score": [1.0],
    }
    assert scanned(pl.DataFrame(rows)).is_empty()


def test_a_document_is_told_by_line_and_a_key_of_several_lines_is_found() -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"
    found = scanned_text("recipe.toml", f"name = 1\nwho = '{EMAIL}'\n{key}\n")
    assert [(place, kind) for place, _, kind, _ in found if kind == "email"] == [("recipe.toml:2", "email")]
    assert any(kind == "secret" for _, _, kind, _ in found)
