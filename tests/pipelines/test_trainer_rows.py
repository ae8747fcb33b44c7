"""What is said of rows before they are trained on: system texts, length, number."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.store import Stored
from pipelines.trainer_rows import rows_of, without_system
from pipelines.training import Training
from schemas.errors import TrainingError

ROLES = st.sampled_from(["system", "user", "assistant"])
CHATS = st.lists(st.fixed_dictionaries({"role": ROLES, "content": st.text("ab ", min_size=1)}), min_size=1)
TURNS = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
REFUSES = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + TURNS
)
LEAVES_OUT = "{% for message in messages if message['role'] != 'system' %}{{ message['content'] }}{% endfor %}"
Told = Callable[[], dict[str, Any]]


@pytest.fixture(scope="module")
def tokenizer(tiny: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """Give what gives the facts that were told, and all that was said."""

    def read() -> dict[str, Any]:
        lines = [line.removeprefix("gristmill:") for line in capsys.readouterr().out.splitlines()]
        facts = [orjson.loads(line) for line in lines]
        said = [text for one in facts for text in one.get("say", [])]
        return {name: value for one in facts for name, value in one.items()} | {"say": said}

    return read


def job(selected: Stored, out: Path, **section: Any) -> dict[str, Any]:
    table = {"sft": "sft", "reward": "preferences", "dpo": "preferences", "grpo": "grpo"}[section["method"]]
    told = Training(**{"batch_size": 8} | section).model_dump()
    return told | {"base": "the model", "data": str(selected.folder / table), "out": str(out)}


def other(tokenizer: Any, template: str | None) -> Any:
    made = copy.copy(tokenizer)
    made.chat_template = template
    return made


@pytest.mark.parametrize("template", [REFUSES, LEAVES_OUT])
def test_a_template_without_a_system_role_has_the_text_put_before_the_users(
    template: str, tokenizer: Any, make_selection: Callable[..., Stored], tmp_path: Path, told: Told
) -> None:
    stored = make_selection(tmp_path / "data", 6, system="Be brief.")
    rows = rows_of(job(stored, tmp_path, method="sft"), other(tokenizer, template))
    assert rows[0]["prompt"] == [{"role": "user", "content": "Be brief.\n\nWhat is 0 + 2?"}]
    facts = told()
    assert facts["system_moved"] == 6
    assert "has no system role: of 6 rows the system text was put before the user's first turn" in facts["say"][0]


def test_a_template_with_a_system_role_is_left_its_text(
    tokenizer: Any, make_selection: Callable[..., Stored], tmp_path: Path, told: Told
) -> None:
    stored = make_selection(tmp_path / "data", 6, system="Be brief.")
    rows = rows_of(job(stored, tmp_path, method="sft"), tokenizer)
    assert [turn["role"] for turn in rows[0]["prompt"]] == ["system", "user"]
    assert "system_moved" not in told()


@given(CHATS)
def test_moving_a_system_text_loses_no_text_and_no_turn_of_others(chat: list[dict[str, Any]]) -> None:
    moved = without_system(chat)
    assert all(turn["role"] != "system" for turn in moved)
    assert all(any(turn["content"] in one["content"] for one in moved) for turn in chat)
    assert [turn["content"] for turn in moved if turn["role"] == "assistant"] == [
        turn["content"] for turn in chat if turn["role"] == "assistant"
    ]


def test_rows_that_do_not_fit_are_counted_and_named(
    selected: Stored, tokenizer: Any, tmp_path: Path, told: Told
) -> None:
    lengths = {
        row["id"]: len(tokenizer.apply_chat_template(row["prompt"] + row["completion"], return_dict=False))
        for row in rows_with_ids(selected, "sft")
    }
    most = max(lengths.values()) - 1
    rows_of(job(selected, tmp_path, method="sft", max_length=most), tokenizer)
    longer = {name for name, length in lengths.items() if length > most}
    facts = told()
    listed = orjson.loads((tmp_path / "truncated.json").read_bytes())
    assert set(listed["cut"]) == longer
    assert facts["truncated"] == {"cut": len(listed["cut"]), "left_out": len(listed["left_out"])}
    assert f"{len(listed['cut'])} of 24 rows are cut at max_length {most}: {listed['cut'][0]}" in facts["say"][0]


def rows_with_ids(selected: Stored, table: str) -> Any:
    from datasets import Dataset

    return Dataset.from_parquet([str(file) for file in sorted((selected.folder / table).glob("*.parquet"))])


def test_prompts_that_fill_the_length_alone_are_an_error_where_nothing_is_left(
    selected: Stored, tokenizer: Any, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="24 of 24 rows have a prompt that alone fills max_length 4"):
        rows_of(job(selected, tmp_path, method="dpo", max_length=4), tokenizer)
    with pytest.raises(TrainingError, match="24 of 24 rows are longer than max_length 4"):
        rows_of(job(selected, tmp_path, method="reward", max_length=4), tokenizer)


def test_rows_laid_end_to_end_are_not_cut(selected: Stored, tokenizer: Any, tmp_path: Path, told: Told) -> None:
    rows_of(job(selected, tmp_path, method="sft", max_length=4, arguments={"padding_free": True}), tokenizer)
    assert "truncated" not in told()


def test_a_dataset_of_one_row_and_one_of_less_than_a_batch_are_told(
    tokenizer: Any, make_selection: Callable[..., Stored], tmp_path: Path, told: Told
) -> None:
    rows_of(job(make_selection(tmp_path / "one", 1), tmp_path, method="sft"), tokenizer)
    assert told()["say"] == ["the dataset is one row: sft can learn it by heart and nothing else"]
    rows_of(job(make_selection(tmp_path / "few", 3), tmp_path, method="sft"), tokenizer)
    assert told()["say"] == ["the dataset's 3 rows are less than one batch of 8: an epoch is one step"]


def test_rl_prompts_that_make_no_batch_are_refused_with_the_batch_they_make(
    tokenizer: Any, make_selection: Callable[..., Stored], tmp_path: Path
) -> None:
    few = make_selection(tmp_path / "few", 3)
    with pytest.raises(TrainingError, match="set batch_size = 12 or less"):
        rows_of(job(few, tmp_path, method="grpo", batch_size=32, generations=4), tokenizer)


def test_a_loss_on_all_of_the_assistants_turns_needs_the_templates_marks(
    selected: Stored, tokenizer: Any, tmp_path: Path
) -> None:
    rows = rows_of(job(selected, tmp_path, method="sft", loss_on="assistant"), tokenizer)
    assert [turn["role"] for turn in rows[0]["messages"]] == ["user", "assistant"]
    with pytest.raises(TrainingError, match="generation %"):
        rows_of(job(selected, tmp_path, method="sft", loss_on="assistant"), other(tokenizer, TURNS))
    with pytest.raises(TrainingError, match="no chat template"):
        rows_of(job(selected, tmp_path, method="sft"), other(tokenizer, None))
