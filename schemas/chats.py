"""Chats: lists of messages."""

import hashlib
from typing import NotRequired, TypedDict

import orjson


class Message(TypedDict):
    """One turn. `tool_calls` is the JSON text of OpenAI's `tool_calls`, or null."""

    role: str
    content: str
    tool_calls: NotRequired[str | None]


Chat = list[Message]


def content_id(*parts: object) -> str:
    """Name `parts` by their content: 16 hexadecimal digits of the SHA-256 of their canonical JSON."""
    text = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()[:16]
