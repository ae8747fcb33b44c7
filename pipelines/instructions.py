"""Layouts of one instruction and its reply: Alpaca, questions, prompts, problems, bare text."""

from operator import itemgetter
from typing import Any

from pipelines.turns import (
    BLANK,
    LayoutError,
    Reading,
    Row,
    asked,
    gold,
    joined,
    json_text,
    loss_weight,
    message,
    replied,
    shown,
    system,
    text,
    text_or_null,
)

REPLIES = ("output", "response")  # rivals: a row with both is an error until the recipe chooses
ANSWERS = {  # by the column that asks, those that may answer
    "prompt": ("completion", "response"),
    "query": ("response",),
    "inputs": ("targets",),
}


def alpaca(row: Row) -> Reading:
    """Stanford Alpaca: `instruction`, `input`, `output` or `response`, and `system` and `history` where given.

    Dolly's `context` stands where `input` does.
    """
    if all(row.get(name) is not None for name in REPLIES):
        raise LayoutError(
            "both 'output' and 'response' are there, and nothing says which is the reply; "
            'choose in the recipe: columns = { reply = "output" }'
        )
    turns = system(row)
    history = row.get("history") or []
    if not isinstance(history, list):
        raise LayoutError(f"'history' is {shown(history)} instead of pairs of turns")
    for pair in history:
        if not isinstance(pair, list) or len(pair) != 2:  # noqa: PLR2004 - a question and its answer
            raise LayoutError(f"'history' holds {shown(pair)} instead of pairs of turns")
        turns += [message("user", pair[0]), message("assistant", pair[1])]
    inputs = [text_or_null(row, name) or "" for name in ("input", "context")]
    if all(map(str.strip, inputs)):
        raise LayoutError(
            "both 'input' and 'context' are there, and nothing says in which order; "
            'choose in the recipe: columns = { prompt = ["instruction", "context", "input"], reply = "output" }'
        )
    turns.append(message("user", joined([text(row, "instruction"), *inputs], BLANK)))
    return Reading(turns, text_or_null(row, next((name for name in REPLIES if row.get(name) is not None), "output")))


def self_instruct(row: Row) -> list[Reading]:
    """Self-Instruct: an `instruction` and its `instances` of `input` and `output`, a sample each."""
    instances = row["instances"]
    if not isinstance(instances, list) or not instances or not all(isinstance(one, dict) for one in instances):
        raise LayoutError(f"'instances' is {shown(instances)} instead of a list of inputs and outputs")
    return [alpaca({**row, "input": one.get("input"), "output": one.get("output")}) for one in instances]


def question_answer(row: Row) -> Reading:
    """A `question` and its `answer` (or `response`), and `context`, `system` or `system_prompt` where given.

    What is asked is the context, an empty line, and the question.
    """
    context = text_or_null(row, "context") or ""
    if context.strip():
        row = {**row, "question": joined([context, text(row, "question")], "'question' is empty")}
    return _asked_and_told(row, "question", ("answer", "response"))


def prompt_completion(row: Row) -> Reading:
    """A `prompt` (text or turns) and its `completion` or `response` (text, or turns).

    So are `query` and `response` (MetaMath), `inputs` and `targets` (FLAN, Aya).
    """
    column = next((name for name in ANSWERS if row.get(name) is not None), "prompt")
    return _asked_and_told(row, column, ANSWERS[column])


def problem(row: Row) -> Reading:
    """A `problem` and its `solution`, which is the reply, or its `answer`, which is the reference, or both."""
    reply = None if row.get("solution") is None else replied(row["solution"], "solution")
    return Reading(asked(row, "problem"), reply, gold(row.get("answer"), "answer"))


def _asked_and_told(row: Row, column: str, names: tuple[str, ...]) -> Reading:
    given = [name for name in names if row.get(name) is not None]
    if len(given) > 1:
        raise LayoutError(
            f"both {given[0]!r} and {given[1]!r} are there, and nothing says which is the reply; "
            f'choose in the recipe: columns = {{ prompt = "{column}", reply = "{given[0]}" }}'
        )
    reply = replied(row[given[0]], given[0]) if given else None
    weight = loss_weight(row[given[0]]) if given else None
    return Reading(asked(row, column), reply, tools=json_text(row.get("tools")), weight=weight)


def prompt(row: Row) -> Reading:
    """A `prompt` (text or turns) alone, to be answered."""
    return Reading(asked(row, "prompt"), tools=json_text(row.get("tools")))


def plain_text(row: Row) -> Reading:
    """A `text` alone; it is the prompt, without a reply."""
    return Reading(asked(row, "text"))


SPECIAL = frozenset(
    {"history", "system", "system_prompt", "response", "context", "reference", "check", "license", "tools"}
)
PLAIN = ("instruction", "input", "output")
NULL = type(None)


def plain_alpaca(rows: list[dict[str, Any]]) -> tuple[list[str], list[str | None]] | None:
    """Give the one user's turn and the reply of many Alpaca rows at once; null unless all are plain.

    It says what `alpaca` says, at a fraction of its time; a turn that is empty or blank is a row that `alpaca` refuses.
    """
    if not SPECIAL.isdisjoint(set().union(*rows)):
        return None
    try:
        columns: list[list[Any]] = [list(map(itemgetter(name), rows)) for name in PLAIN]
    except KeyError:  # `input` is often left out
        columns = [[row.get(name) for row in rows] for name in PLAIN]
    instructions, inputs, replies = columns
    if set(map(type, instructions)) != {str} or not {*map(type, inputs), *map(type, replies)} <= {str, NULL}:
        return None
    asks = [
        first if not second or second.isspace() else f"{first}\n\n{second}" if first.strip() else second
        for first, second in zip(instructions, inputs, strict=True)
    ]
    return asks, replies
