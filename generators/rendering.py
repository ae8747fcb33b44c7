"""A request's chat as tokens, by the model's own chat template.

It imports nothing of the project: both environments run it, ours and vLLM's.
"""

import json
from typing import Any


def prompt_tokens(tokenizer: Any, request: dict[str, Any]) -> list[int]:
    """Give the tokens of the chat as its template renders them, and behind them those of a continuation to score.

    Where there is no chat the continuation follows the token that begins a text, where the model has one.
    """
    tokens = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
    if request.get("writes") == "user":
        return user_turn(tokenizer, request)
    if request["messages"]:
        tokens = tokenizer.apply_chat_template(
            [with_arguments(message) for message in request["messages"]],
            tools=request["tools"],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=False,
        )
    if request["continuation"] is None:
        return tokens
    scored = tokenizer(request["continuation"], add_special_tokens=False)["input_ids"]
    request["scored"] = len(scored) if tokens else max(len(scored) - 1, 0)  # nothing tells how likely a first token is
    return [*tokens, *scored]


def user_turn(tokenizer: Any, request: dict[str, Any]) -> list[int]:
    """Give the tokens of the chat and of what its template opens a user's turn with; what closes one ends the answer.

    That is found by rendering a turn whose text is a mark. A closing that is no special token is a text to stop at.
    """
    mark = "0f2d6c1b9a7e4835"
    turns = [*map(with_arguments, request["messages"]), {"role": "user", "content": mark}]
    text = tokenizer.apply_chat_template(turns, tools=request["tools"], add_generation_prompt=False, tokenize=False)
    opening, found, closing = text.rpartition(mark)
    if not found:
        raise ValueError("the chat template leaves out a user's turn that comes last")
    ends = tokenizer(closing.strip(), add_special_tokens=False)["input_ids"]
    if ends and ends[0] in tokenizer.all_special_ids:
        request["stop_token_ids"] = ends[:1]
    elif closing.strip():
        request["stop"] = [*request["stop"], closing.strip()]
    return list(tokenizer(opening, add_special_tokens=False)["input_ids"])


def with_arguments(message: dict[str, Any]) -> dict[str, Any]:
    """Give `message` with each tool call's arguments as an object, as chat templates expect, not as OpenAI's JSON."""
    if not message.get("tool_calls"):
        return message
    calls = [
        {**call, "function": {**call["function"], "arguments": json.loads(call["function"]["arguments"])}}
        for call in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}


def together(tokenizer: Any, requests: list[dict[str, Any]]) -> list[list[int] | None]:
    """Give the tokens of each plain chat, rendered and cut at once, which is quicker; null for others.

    Where one of them can't be rendered all are null: alone, each tells what is wrong with it.
    """
    plain = [at for at, one in enumerate(requests) if is_plain(one)]
    found: list[list[int] | None] = [None] * len(requests)
    if not plain:
        return found
    try:
        tokens = tokenizer.apply_chat_template(
            [requests[at]["messages"] for at in plain],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=False,
        )
    except Exception:  # noqa: BLE001 - what a bad chat raises differs between templates, and each is tried alone next
        return found
    for at, one in zip(plain, tokens, strict=True):
        found[at] = one
    return found


def is_plain(request: dict[str, Any]) -> bool:
    """Tell whether a request is a chat without tools that the assistant goes on with."""
    special = request["continuation"] is not None or request["writes"] == "user" or request["tools"]
    return bool(request["messages"]) and not special and not any(one.get("tool_calls") for one in request["messages"])
