from typing import Any

import orjson
import pytest

from pipelines.instructions import alpaca, plain_alpaca
from pipelines.layouts import ALONE, LAYOUTS, read_as, recognise
from pipelines.turns import LayoutError, Reading
from schemas.chats import Message

USER: Message = {"role": "user", "content": "Add.\n\n1 + 1", "tool_calls": None}
SYSTEM: Message = {"role": "system", "content": "Be brief.", "tool_calls": None}


def one(layout: str | None, row: dict[str, Any], **columns: str | list[str]) -> Reading:
    [reading] = read_as(layout, row, columns)
    return reading


def test_each_layout_reads_as_the_same_conversation() -> None:
    rows: dict[str, dict[str, Any]] = {
        "alpaca": {"instruction": "Add.", "input": "1 + 1", "output": "2", "system": "Be brief."},
        "sharegpt": {
            "conversations": [
                {"from": "system", "value": "Be brief."},
                {"from": "human", "value": "Add.\n\n1 + 1"},
                {"from": "gpt", "value": "2"},
            ]
        },
        "messages": {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "Add.\n\n1 + 1"}]},
                {"role": "assistant", "content": "2"},
            ]
        },
        "prompt_completion": {"prompt": "Add.\n\n1 + 1", "completion": "2", "system": "Be brief."},
        "question_answer": {"question": "Add.\n\n1 + 1", "answer": "2", "system_prompt": "Be brief."},
    }
    assert all(one(name, row) == Reading([SYSTEM, USER], "2") for name, row in rows.items())
    assert [recognise([row]) for row in rows.values()] == list(rows)


@pytest.mark.parametrize(
    ("row", "scores"),
    [
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, (1, 0)),
        ({"question": "q", "chosen": "a", "rejected": "b"}, (1, 0)),
        ({"instruction": "q", "chosen": "a", "rejected": "b", "score_chosen": 8.5, "score_rejected": 3}, (8.5, 3)),
        (
            {
                "conversations": [{"from": "human", "value": "q"}],
                "chosen": {"from": "gpt", "value": "a"},
                "rejected": {"from": "gpt", "value": "b"},
            },
            (1, 0),
        ),
        (
            {
                name: [{"role": "user", "content": "q"}, {"role": "assistant", "content": reply}]
                for name, reply in (("chosen", "a"), ("rejected", "b"))
            },
            (1, 0),
        ),
        (
            {
                f"{name}_messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": reply}]
                for name, reply in (("chosen", "a"), ("rejected", "b"))
            },
            (1, 0),
        ),
        ({"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": "\n\nHuman: q\n\nAssistant: b"}, (1, 0)),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_each_shape_of_dpo_gives_the_chosen_reply_and_both_scores(
    row: dict[str, Any], scores: tuple[float, float]
) -> None:
    assert recognise([row]) == "dpo"
    reading = one("dpo", row)
    assert [turn["content"] for turn in reading.prompt] == ["q"]
    assert (reading.reply, reading.replies) == ("a", (("a", scores[0]), ("b", scores[1])))


def test_replies_to_different_prompts_are_no_preference() -> None:
    with pytest.raises(LayoutError, match="do not answer the same prompt"):
        one("dpo", {"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": "\n\nHuman: r\n\nAssistant: b"})


@pytest.mark.parametrize(("label", "reply"), [(True, "a"), (False, None), ("true", "a"), ("False", None)])
def test_a_reply_labelled_false_is_scored_and_not_to_be_learnt_from(label: object, reply: str | None) -> None:
    row = {"prompt": "q", "completion": "a", "label": label}
    assert recognise([row]) == "kto"
    assert (one("kto", row).reply, one("kto", row).replies) == (reply, (("a", float(reply is not None)),))


@pytest.mark.parametrize(
    ("verdict", "reply", "scores"),
    [
        ({"label": 1}, "a", (1, 0)),
        ({"label": 2}, "b", (0, 1)),
        ({"preference": 1.25}, "a", (0.75, 0.25)),
        ({"preference": 0}, None, (0.5, 0.5)),
        ({"preference": None}, None, (None, None)),
    ],
)
def test_a_verdict_on_two_replies_becomes_their_scores(
    verdict: dict[str, float | None], reply: str | None, scores: tuple[float | None, float | None]
) -> None:
    reading = one("pairs", {"instruction": "q", "output_1": "a", "output_2": "b"} | verdict)
    assert (reading.reply, reading.replies) == (reply, (("a", scores[0]), ("b", scores[1])))


def test_a_tree_gives_a_sample_for_each_answered_turn_with_replies_by_rank() -> None:
    def turn(by: str, text: str, *replies: dict[str, Any], rank: int | None = None, deleted: bool = False) -> Any:
        return {"role": by, "text": text, "rank": rank, "deleted": deleted, "replies": list(replies)}

    follow = turn("prompter", "q2", turn("assistant", "only"))
    best, worst = turn("assistant", "best", follow, rank=0), turn("assistant", "worst", rank=1)
    gone = turn("assistant", "gone", rank=2, deleted=True)
    row = {"message_tree_id": "t", "prompt": turn("prompter", "q1", worst, best, gone)}
    assert recognise([row]) == "oasst"
    first, second = read_as("oasst", row)
    assert (first.reply, first.replies) == ("best", (("worst", -1.0), ("best", 0.0)))
    assert [message["content"] for message in second.prompt] == ["q1", "best", "q2"]
    assert (second.reply, second.replies) == ("only", (("only", None),))


def test_the_last_turns_weight_is_the_replys() -> None:
    for name, weight in (("weight", 0), ("loss_weight", 0.5)):
        turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", name: weight}]
        assert one("messages", {"messages": turns}).weight == weight


def test_content_parts_become_text_thought_and_tool_calls() -> None:
    call = {"name": "add", "arguments": {"a": 1}}
    parts = [
        {"type": "reasoning", "value": "hm"},
        {"type": "text", "value": "So:"},
        {"type": "tool_call", "value": orjson.dumps(call).decode()},
    ]
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": parts}]
    reading = one("messages", {"messages": turns})
    said = reading.prompt[-1]
    assert (reading.reply, said["content"]) == (None, "<think>\nhm\n</think>\n\nSo:")
    assert orjson.loads(said.get("tool_calls") or "") == [{"type": "function", "function": call}]


def test_a_task_brings_its_gold_answer_and_its_check() -> None:
    gsm8k = {"question": "1 + 1?", "answer": "It is 2.\n#### 2"}
    verl = {
        "data_source": "openai/gsm8k",
        "prompt": [{"role": "user", "content": "1 + 1?"}],
        "reward_model": {"style": "rule", "ground_truth": "2"},
    }
    ifeval = {
        "prompt": "Say it.",
        "instruction_id_list": ["a:b", "c:d"],
        "kwargs": [{}, {"n": 3, "m": None}],
    }
    choice = {"0": "Which?", "1": "w", "2": "x", "3": "y", "4": "z", "5": "C"}
    rows: dict[str, dict[str, Any]] = {"gsm8k": gsm8k, "verl": verl, "ifeval": ifeval, "multiple_choice": choice}
    assert [recognise([row]) for row in rows.values()] == list(rows)
    assert (one("gsm8k", gsm8k).reply, one("gsm8k", gsm8k).reference) == ("It is 2.\n#### 2", "2")
    read = one("verl", verl)
    assert (read.reference, read.source, read.check) == ("2", "openai/gsm8k", '{"use":"judges.math:final_answer"}')
    assert orjson.loads(one("ifeval", ifeval).check or "") == {
        "use": "judges.ifeval:instructions",
        "instructions": [{"id": "a:b", "kwargs": {}}, {"id": "c:d", "kwargs": {"n": 3}}],
    }
    assert one("multiple_choice", choice).prompt[0]["content"] == "Which?\nA. w\nB. x\nC. y\nD. z"
    assert one("multiple_choice", choice).reference == "C"


def test_an_answer_without_a_gold_number_is_a_question_and_its_answer() -> None:
    row = {"question": "1 + 1?", "answer": "2"}
    assert recognise([row]) == "question_answer"
    with pytest.raises(LayoutError, match="no gold number"):
        one("gsm8k", row)


@pytest.mark.parametrize(
    ("layout", "row", "told"),
    [
        ("alpaca", {"instruction": "a", "output": "b", "response": "c"}, "both 'output' and 'response'"),
        ("alpaca", {"instruction": "", "output": "b"}, "both empty"),
        ("alpaca", {"instruction": 3, "output": "b"}, r"'instruction' is '3' \(int\) instead of text"),
        ("alpaca", {"instruction": "a", "output": 3}, r"'output' is '3' \(int\) instead of text"),
        ("alpaca", {"instruction": "a", "history": [["q"]]}, "instead of pairs of turns"),
        ("alpaca", {"instruction": "a", "history": 3}, "'history' is '3' instead of pairs of turns"),
        ("sharegpt", {"conversations": []}, "instead of a list of turns"),
        ("sharegpt", {"conversations": [{"from": "robot", "value": "x"}]}, "a turn is by 'robot'"),
        ("sharegpt", {"messages": []}, "no column 'conversations'"),
        ("messages", {"messages": [{"role": "assistant", "content": "x"}]}, "no turn is the user's"),
        ("messages", {"messages": [{"role": "user", "content": None}]}, "the user's turn is NoneType"),
        ("messages", {"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "only text"),
        ("kto", {"prompt": "q", "completion": "a", "label": 1}, "'label' is '1' instead of true or false"),
        ("pairs", {"input": "q", "output_1": "a", "output_2": "b", "label": 3}, "the verdict is 3.0"),
        ("oasst", {"message_tree_id": "t", "prompt": {"role": "prompter", "text": "q"}}, "no turn of this tree"),
        ("ifeval", {"prompt": "q", "instruction_id_list": ["a"], "kwargs": []}, "of the same length"),
        ("verl", {"prompt": "q", "reward_model": {}}, "instead of an object with 'ground_truth'"),
        ("text", {"text": "  "}, "'text' is empty"),
        ("alpaca", {"instruction": "a", "check": "{"}, "expected an object whose 'use' names a verifier"),
    ],
)
def test_a_row_that_is_not_its_layout_says_what_was_found(layout: str, row: dict[str, Any], told: str) -> None:
    with pytest.raises(LayoutError, match=told):
        read_as(layout, row)


def test_columns_that_the_recipe_names_stand_over_the_layout() -> None:
    both = {"instruction": "q", "output": "a", "response": "b"}
    assert one("alpaca", both, reply="response").reply == "b"
    own = {"ask": "q", "context": "c", "best": "a", "gold": 3, "w": 0.5}
    reading = one(None, own, prompt=["context", "ask"], reply="best", reference="gold", weight="w")
    assert (reading.prompt[0]["content"], reading.reply, reading.reference, reading.weight) == ("c\n\nq", "a", "3", 0.5)
    ranked = one(None, {"q": "x", "good": "a", "bad": "b"}, prompt="q", chosen="good", rejected="bad")
    assert ranked.replies == (("a", 1.0), ("b", 0.0))
    with pytest.raises(LayoutError, match="no column 'anwser' as the recipe's columns say; found: answer, q"):
        one(None, {"q": "x", "answer": "a"}, prompt="q", reply="anwser")


@pytest.mark.parametrize(
    "rows",
    [
        [{"instruction": "a", "input": "b", "output": "c"}],
        [{"instruction": "a", "input": " \n", "output": None}, {"instruction": "a"}],
        [{"instruction": " ", "input": "b", "output": ""}, {"instruction": "ä", "input": None, "output": "\0"}],
    ],
)
def test_many_plain_rows_at_once_say_what_each_says_alone(rows: list[dict[str, Any]]) -> None:
    plain = plain_alpaca(rows)
    assert plain is not None
    readings = [alpaca(row) for row in rows]
    assert list(zip(*plain, strict=True)) == [(reading.prompt[0]["content"], reading.reply) for reading in readings]


@pytest.mark.parametrize("value", [0, False, [], {}, 1.5])
@pytest.mark.parametrize("column", ["instruction", "input", "output"])
def test_a_value_that_is_no_text_is_never_read_as_plain(column: str, value: object) -> None:
    assert plain_alpaca([{"instruction": "a", "input": "b", "output": "c"} | {column: value}]) is None


def test_every_layout_is_documented_and_recognised_by_its_own_columns() -> None:
    assert all(read.__doc__ for _columns, read in LAYOUTS.values())
    for name, (needed, _read) in LAYOUTS.items():
        for some in needed:
            row = dict.fromkeys(some, "####")
            assert recognise([row]) == name or {recognise([row]), name} == {"gsm8k", "question_answer"}
    assert ALONE.keys() <= LAYOUTS.keys()
