"""Layouts of tasks with a gold answer or a check: GSM8K, IFEval, verl's rewards, code, multiple choice, TruthfulQA."""

from itertools import zip_longest
from string import ascii_uppercase
from typing import Any

import orjson

from pipelines.turns import LayoutError, Reading, Row, asked, exact_json, gold, joined, message, shown, system, text

MATHEMATICS = ("gsm8k", "math", "aime", "numina", "dapo", "deepscaler", "olympiad")  # in the name of a data source


def as_check(use: str, **arguments: Any) -> str:
    """Give a check as a row of `SAMPLES` holds it."""
    return exact_json({"use": use, **arguments}, "check", orjson.OPT_SORT_KEYS)


def gsm8k(row: Row) -> Reading:
    """GSM8K: `question` and `answer`, whose gold number stands behind `####`."""
    question, answer = text(row, "question"), text(row, "answer")
    final = answer.rpartition("####")[2].strip()
    if not final or final == answer.strip():
        raise LayoutError("'answer' has no gold number behind '####'")
    return Reading([message("user", joined([question], "'question' is empty"))], answer, final)


def ifeval(row: Row) -> Reading:
    """IFEval: `prompt`, `instruction_id_list` and `kwargs`, an object an instruction; they become the check.

    The check is `judges.ifeval:instructions` with `instructions`, a list of `id` and `kwargs` (nulls left out).
    """
    names, arguments = row["instruction_id_list"], row["kwargs"]
    if not isinstance(names, list) or not isinstance(arguments, list) or len(names) != len(arguments):
        raise LayoutError("'instruction_id_list' and 'kwargs' are no lists of the same length")
    asked_for = []
    for name, given in zip_longest(names, arguments):
        if not isinstance(name, str) or not isinstance(given or {}, dict):
            raise LayoutError(f"an instruction is {shown(name)} with {shown(given)} instead of a name and an object")
        kwargs = {key: value for key, value in (given or {}).items() if value is not None}
        asked_for.append({"id": name, "kwargs": kwargs})
    return Reading(asked(row, "prompt"), check=as_check("judges.ifeval:instructions", instructions=asked_for))


def verl(row: Row) -> Reading:
    """Verl's rewards: `prompt` (turns), `data_source`, and `reward_model` with `ground_truth`, the gold answer.

    A data source of mathematics is checked by `judges.math:final_answer`; the sample's source is the data source.
    """
    reward = row["reward_model"]
    if not isinstance(reward, dict) or "ground_truth" not in reward:
        raise LayoutError(f"'reward_model' is {shown(reward)} instead of an object with 'ground_truth'")
    source = row.get("data_source")
    counts = isinstance(source, str) and any(name in source.lower() for name in MATHEMATICS)
    check = as_check("judges.math:final_answer") if counts and reward.get("style", "rule") == "rule" else None
    reference, named = gold(reward["ground_truth"], "ground_truth"), source if isinstance(source, str) else None
    return Reading(asked(row, "prompt"), reference=reference, check=check, source=named)


def humaneval(row: Row) -> Reading:
    """HumanEval: `prompt` (the code to be completed), `canonical_solution`, `test` and `entry_point` as the check."""
    check = as_check("judges.code:passes", test=text(row, "test"), entry_point=text(row, "entry_point"))
    return Reading(asked(row, "prompt"), None, text(row, "canonical_solution"), check=check)


def mbpp(row: Row) -> Reading:
    """MBPP: `text` (what the code shall do), `code`, and `test_list` with `test_setup_code` as the check."""
    tests = row["test_list"]
    if not isinstance(tests, list) or not all(isinstance(test, str) for test in tests):
        raise LayoutError(f"'test_list' is {shown(tests)} instead of a list of texts")
    setup = text(row, "test_setup_code") if row.get("test_setup_code") else ""
    check = as_check("judges.code:passes", test="\n".join([setup, *tests] if setup else tests))
    return Reading(asked(row, "text"), text(row, "code"), text(row, "code"), check=check)


def multiple_choice(row: Row) -> Reading:
    """MMLU's files without a header: question, four choices and the right one's letter, in the columns 0 to 5."""
    choices = "\n".join(f"{letter}. {text(row, str(at))}" for at, letter in enumerate("ABCD", 1))
    letter = text(row, "5").strip()
    if letter not in {"A", "B", "C", "D"}:
        raise LayoutError(f"the last column is {shown(letter)} instead of A, B, C or D")
    return Reading([message("user", f"{joined([text(row, '0')], 'the question is empty')}\n{choices}")], None, letter)


def choices(row: Row) -> Reading:
    """A `question`, its `choices` (or `options`), and `answer` or `answerKey`: MMLU, ARC, CommonsenseQA, MMLU-Pro.

    Choices are texts, or texts with labels (`text` and `label`, as lists or one by one); without labels they are A, B,
    C, ... The answer is a label, a choice's whole text, or a number from 0. The reference is the right one's label.
    """
    texts, labels = _choices(row.get("options") if row.get("choices") is None else row["choices"])
    answer: Any = row.get("answerKey") if row.get("answer") is None else row["answer"]
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(labels):
        right = labels[answer]
    elif answer in labels:
        right = answer
    elif texts.count(answer) == 1:
        right = labels[texts.index(answer)]
    else:
        raise LayoutError(f"the answer is {shown(answer)} instead of one of {', '.join(labels)}")
    told = "\n".join(f"{label}. {one}" for label, one in zip(labels, texts, strict=True))
    asks = joined([text(row, "question")], "'question' is empty")
    return Reading([*system(row), message("user", f"{asks}\n{told}")], None, right)


def _choices(value: Any) -> tuple[list[str], list[str]]:
    """Give the choices' texts and labels."""
    if isinstance(value, dict):
        texts, labels = value.get("text"), value.get("label")
    elif isinstance(value, list) and all(isinstance(one, dict) for one in value):
        texts, labels = [one.get("text") for one in value], [one.get("label") for one in value]
    else:
        texts, labels = value, list(ascii_uppercase[: len(value)]) if isinstance(value, list) else None
    lists = [one for one in (texts, labels) if isinstance(one, list) and all(isinstance(text, str) for text in one)]
    if len(lists) < 2 or not lists[0] or len(lists[0]) != len(lists[1]):  # noqa: PLR2004 - both
        raise LayoutError(f"the choices are {shown(value)} instead of texts, each with a label or none")
    return lists[0], lists[1]


def truthfulqa(row: Row) -> Reading:
    """TruthfulQA: `Question`, `Best Answer`, and `Correct Answers` and `Incorrect Answers`, between semicolons."""
    best = text(row, "Best Answer").strip()
    replies = {best: 1.0}
    for column, score in (("Correct Answers", 1.0), ("Incorrect Answers", 0.0)):
        for answer in text(row, column).split(";") if row.get(column) else ():
            if answer.strip():
                replies.setdefault(answer.strip(), score)
    return Reading(asked(row, "Question"), best, best, replies=tuple(replies.items()))
