"""Chats rendered together are what each is alone."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from generators.rendering import prompt_tokens, together

TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}]
CALLS = [{"id": "0", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}]


def request(text: str, **more: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {"continuation": None, "writes": "assistant", "tools": None, "stop": []}
    return {"messages": [{"role": "user", "content": text}], **plain, **more}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(Path(__file__).parents[2] / "models" / "tiny")


@given(texts=st.lists(st.text(st.characters(codec="utf-8"), max_size=20), max_size=8))
def test_chats_rendered_together_have_the_tokens_of_each_alone(texts: list[str], tokenizer: Any) -> None:
    asked = [request(text) for text in texts]
    assert together(tokenizer, asked) == [prompt_tokens(tokenizer, one) for one in asked]


def test_only_plain_chats_are_rendered_together(tokenizer: Any) -> None:
    called = {"role": "assistant", "content": "", "tool_calls": CALLS}
    special = [
        request("hi", continuation=" there"),
        request("hi", writes="user"),
        request("hi", tools=TOOLS),
        request("hi", messages=[]),
        request("hi", messages=[{"role": "user", "content": "add"}, called]),
    ]
    found = together(tokenizer, [special[0], request("hi"), *special[1:]])
    assert [tokens is None for tokens in found] == [True, False, True, True, True, True]


class Picky:
    """Renders what a template does that refuses system texts."""

    def apply_chat_template(self, chats: list[Any], **_options: Any) -> list[list[int]]:
        """Give how many turns each chat has."""
        if any(turn["role"] == "system" for chat in chats for turn in chat):
            raise ValueError("System role not supported")
        return [[len(chat)] for chat in chats]


def test_a_chat_that_can_not_be_rendered_leaves_each_to_be_tried_alone() -> None:
    refused = request("hi", messages=[{"role": "system", "content": "be kind"}])
    assert together(Picky(), [request("a"), refused]) == [None, None]
    assert together(Picky(), [request("a"), request("b")]) == [[1], [1]]
