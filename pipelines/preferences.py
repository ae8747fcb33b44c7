"""Layouts whose rows rank or label replies: DPO, pairs with a verdict, KTO, Open Assistant's trees."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pipelines.turns import (
    BLANK,
    LayoutError,
    PromptsDifferError,
    Reading,
    Row,
    asked,
    chat,
    conversation,
    joined,
    json_text,
    loss_weight,
    message,
    number,
    replied,
    shown,
    system,
    text,
)
from schemas.chats import Chat

PROMPTS = ("prompt", "conversations", "messages", "question", "instruction", "input")
SCORES = (("score_chosen", "score_rejected"), ("chosen_score", "rejected_score"))


def dpo(row: Row) -> Reading:
    """DPO: `chosen` and `rejected`, as replies to `prompt` (or `question`, `instruction`, `conversations`), or whole.

    Whole are lists of turns, `chosen_messages` and `rejected_messages`, or the transcripts of hh-rlhf; what stands
    before the last turn must be the same in both. Scores are 1 and 0, or `score_chosen` and `score_rejected`.
    """
    whole = ("chosen_messages", "rejected_messages")
    names = whole if row.keys() >= set(whole) else ("chosen", "rejected")
    column = next((column for column in PROMPTS if row.get(column) is not None), None)
    tools = json_text(row.get("tools"))
    if column is not None:
        prompt = _alpaca_prompt(row) if column == "instruction" else asked(row, column)
        chosen, rejected = (replied(row[name], name) for name in names)
    else:
        (prompt, chosen), (other, rejected) = (_whole(row, name) for name in names)
        if prompt != other:
            raise PromptsDifferError(
                f"{names[0]!r} and {names[1]!r} do not answer the same prompt: their turns differ before the last"
            )
        prompt = [*([] if prompt[0]["role"] == "system" else system(row)), *prompt]
    scores = next(((number(row, a), number(row, b)) for a, b in SCORES if row.get(a) is not None), (1.0, 0.0))
    weight = loss_weight(row[names[0]])
    return Reading(
        prompt, chosen, tools=tools, weight=weight, replies=tuple(zip((chosen, rejected), scores, strict=True))
    )


def _alpaca_prompt(row: Row) -> Chat:
    parts = [text(row, "instruction"), text(row, "input") if row.get("input") is not None else ""]
    return [*system(row), message("user", joined(parts, BLANK))]


def _whole(row: Row, name: str) -> tuple[Chat, str]:
    value = row[name]
    turns = list(_transcript(value, name)) if isinstance(value, str) else chat(value, name)
    reply = turns[-1]
    if reply["role"] != "assistant" or reply.get("tool_calls") or not any(turn["role"] == "user" for turn in turns):
        raise LayoutError(f"{name!r} is no prompt by the user with a reply, a text by the assistant")
    return turns[:-1], reply["content"]


def _transcript(value: str, name: str) -> Iterator[Any]:
    """Read a text in which "Human:" and "Assistant:" behind an empty line begin the turns."""
    rest = value
    if not rest.startswith("\n\nHuman:"):
        raise LayoutError(f"{name!r} is {shown(value)}: no prompt stands in another column, and no 'Human:' begins it")
    speakers = {"\n\nHuman:": "user", "\n\nAssistant:": "assistant"}
    while rest:
        mark = next(mark for mark in speakers if rest.startswith(mark))
        ends = [at for other in speakers if (at := rest.find(other, len(mark))) >= 0]
        said, rest = rest[len(mark) : min(ends, default=len(rest))], rest[min(ends, default=len(rest)) :]
        yield message(speakers[mark], said.strip())


def pairs(row: Row) -> Reading:
    """Two replies and which is better: `output_1`, `output_2`, and `label` (1, 2) or `preference` (1 to 2, 0 a tie).

    The prompt is `instruction` or `input`. A `preference` of 1.25 scores the first .75 and the second .25; without one
    the scores are null. The reply is the better one, none in a tie.
    """
    replies = text(row, "output_1"), text(row, "output_2")
    prompt = asked(row, "instruction" if row.get("instruction") is not None else "input")
    verdict = number(row, "label" if row.get("label") is not None else "preference")
    if verdict is None:
        return Reading(prompt, None, replies=((replies[0], None), (replies[1], None)))
    second = 0.5 if verdict == 0 else verdict - 1
    if not 0 <= second <= 1:
        raise LayoutError(f"the verdict is {verdict} instead of 1 to 2, or 0")
    better = None if second == 0.5 else replies[int(second > 0.5)]  # noqa: PLR2004 - the middle
    return Reading(prompt, better, replies=((replies[0], 1 - second), (replies[1], second)))


LABELS = {"true": True, "false": False}  # as CSV writes them


def kto(row: Row) -> Reading:
    """KTO: a conversation (`messages`, `conversations`) or `prompt` and `completion` or `response`, and `label`.

    What `labelled` makes of the label is not in the reading: it is about the reply that the recipe names, if it does.
    """
    tools = json_text(row.get("tools"))
    column = next((name for name in ("messages", "conversations") if row.get(name) is not None), None)
    if column:
        turns = chat(row[column], column)
        first = [] if turns[0]["role"] == "system" else system(row)
        return conversation([*first, *turns], tools=tools, weight=loss_weight(row[column]))
    name = "completion" if row.get("completion") is not None else "response"
    reply = None if row.get(name) is None else replied(row[name], name)
    return Reading(asked(row, "prompt"), reply, tools=tools, weight=loss_weight(row.get(name)))


def labelled(reading: Reading, row: Row, column: str) -> Reading:
    """Give a reading whose reply is good or bad, as a column says by true or false.

    A reply labelled false is nothing to learn from: it is among `replies` with 0, and the sample has no reply.
    """
    value = row.get(column)
    label = LABELS.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(label, bool):
        raise LayoutError(f"{column!r} is {shown(value)} instead of true or false")
    if reading.reply is None or reading.replies is not None:
        found = "are several" if reading.replies else "is none that is a text by the assistant"
        raise LayoutError(f"{column!r} labels one reply; found {found}")
    return replace(reading, reply=reading.reply if label else None, replies=((reading.reply, float(label)),))


QUALITY = ("fine-grained_score", "overall_score", "score")


def ultrafeedback(row: Row) -> Reading:
    """UltraFeedback: an `instruction` and `completions`, each a `response` with a score.

    The score is `fine-grained_score`, the mean of the four aspects' ratings, before `overall_score`, which is 10 for
    some replies whose critique says 1 (the card of argilla/ultrafeedback-binarized-preferences). The reply is the one
    with the highest score, of equals the first.
    """
    completions = row["completions"]
    if not isinstance(completions, list) or not all(isinstance(one, dict) for one in completions) or not completions:
        raise LayoutError(f"'completions' is {shown(completions)} instead of a list of responses with scores")
    name = next((name for name in QUALITY if all(one.get(name) is not None for one in completions)), None)
    scores = [None if name is None else number(one, name) for one in completions]
    replies = tuple((text(one, "response"), score) for one, score in zip(completions, scores, strict=True))
    scored = [(score, reply) for reply, score in replies if score is not None]
    best = max(scored, key=lambda one: one[0])[1] if scored else None
    return Reading(asked(row, "instruction"), best, replies=replies)


def oasst(row: Row) -> list[Reading]:
    """Open Assistant's trees: a sample for each prompter's turn that was answered, its replies with minus their rank.

    The reply is the one of the best rank (0), or the only one. A reply without a rank has no score; what is marked as
    deleted is left out with all that answers it.
    """
    root = row["prompt"]
    if not isinstance(root, dict) or root.get("role") != "prompter":
        raise LayoutError(f"'prompt' is {shown(root)} instead of a tree that a prompter begins")
    found = list(_answered(root, []))
    if not found:
        raise LayoutError("no turn of this tree was answered")
    return found


def _answered(node: Row, before: Chat) -> Iterator[Reading]:
    """Walk the tree, with a stack of its own: trees may be deeper than Python's."""
    left = [(node, before)]
    while left:
        node, before = left.pop()
        path = [*before, message("user" if node.get("role") == "prompter" else "assistant", node.get("text"))]
        answers = [one for one in node.get("replies") or () if isinstance(one, dict) and not one.get("deleted")]
        if node.get("role") == "prompter" and answers:
            yield _ranked(path, answers)
        left += [(one, path) for one in reversed(answers)]


def _ranked(path: Chat, answers: list[dict[str, Any]]) -> Reading:
    ranks = [number(one, "rank") for one in answers]
    replies = tuple(
        (text(one, "text"), None if rank is None else -rank) for one, rank in zip(answers, ranks, strict=True)
    )
    ranked = [(rank, at) for at, rank in enumerate(ranks) if rank is not None]
    best = min(ranked)[1] if ranked else 0 if len(answers) == 1 else None
    return Reading(path, None if best is None else replies[best][0], replies=replies)
