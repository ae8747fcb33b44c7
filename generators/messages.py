"""Our chats as OpenAI's messages."""

from typing import Any

import orjson

from schemas.engines import Request


def messages(request: Request) -> list[dict[str, Any]]:
    """Give `request`'s chat with the tool calls as objects; a message without any has no such field."""
    return [
        {
            "role": message["role"],
            "content": message["content"],
            **({"tool_calls": orjson.loads(calls)} if (calls := message.get("tool_calls")) else {}),
        }
        for message in request.chat
    ]


def tools(request: Request) -> list[dict[str, Any]] | None:
    """Give the tools on offer as objects, or null."""
    return orjson.loads(request.tools) if request.tools else None
