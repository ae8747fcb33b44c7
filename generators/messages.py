"""Our chats as OpenAI's messages."""

from collections.abc import Iterable, Iterator
from itertools import islice
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


def by_prefix(requests: Iterable[Request], window: int = 4096, first: int = 512) -> Iterator[Request]:
    """Give the requests so that those that begin alike go together, for engines that keep what they have read.

    They are sorted by tools and messages, `window` of them at a time, `first` at first: an idle engine waits for those.
    """
    waiting = iter(requests)
    size = min(first, window)
    while batch := list(islice(waiting, size)):
        yield from sorted(batch, key=_prefix)
        size = window


def _prefix(request: Request) -> list[str]:
    said = [text for message in request.chat for text in (message["role"], message["content"])]
    return [request.tools or "", *said]
