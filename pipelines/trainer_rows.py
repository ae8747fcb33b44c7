"""The rows that a job trains on, as TRL reads them, and what has to be said of them before it starts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
from datasets import Dataset, load_dataset

from pipelines.store import write_bytes
from pipelines.trainer_arguments import REINFORCED, cuts_no_row
from pipelines.trainer_watch import tell
from schemas.errors import TrainingError

COLUMNS = {
    "sft": ["prompt", "completion"],
    "dpo": ["prompt", "chosen", "rejected"],
    "kto": ["prompt", "completion", "label"],
    "reward": ["prompt", "chosen", "rejected"],
    "rloo": ["prompt", "check", "reference"],
    "grpo": ["prompt", "check", "reference"],
}
NAMED = 5  # ids, in the terminal
SLACK = 16  # bytes: more special tokens than a tokenizer adds to a rendered chat
TRUNCATED = "truncated.json"


def rows_of(job: dict[str, Any], tokenizer: Any) -> Dataset:
    """Give the dataset with the columns that TRL reads; tells its rows, system texts moved and rows cut.

    Raises `TrainingError` for a tokenizer without a chat template, or without the marks that a loss on all of the
    assistant's turns needs.
    """
    data = load_dataset("parquet", data_files=f"{job['data']}/*.parquet", split="train")
    _check_template(job, tokenizer)
    data, moved = with_system_moved(data, tokenizer)
    if moved:
        told = (
            f"the chat template of {job['base']} has no system role: of {moved:,} rows the system text was put before"
        )
        tell(system_moved=moved, say=[f"{told} the user's first turn"])
    _tell_size(job, data.num_rows)
    if job["method"] not in REINFORCED and not cuts_no_row(job):
        _tell_truncated(job, data, tokenizer)
    if job["loss_on"] != "reply":
        return data.map(_as_messages, remove_columns=data.column_names, desc="messages")
    return data.select_columns(COLUMNS[job["method"]])


def _as_messages(row: dict[str, Any]) -> dict[str, Any]:
    return {"messages": row["prompt"] + row["completion"]}


def _check_template(job: dict[str, Any], tokenizer: Any) -> None:
    if not tokenizer.chat_template:
        raise TrainingError(
            f"{job['base']}: its tokenizer has no chat template, so a chat can't be laid out as text; take a chat "
            "model, or put a chat_template.jinja into its folder"
        )
    if job["loss_on"] != "assistant":
        return
    from trl.chat_template_utils import get_training_chat_template, has_generation_markers

    try:
        if not has_generation_markers(tokenizer.chat_template):
            get_training_chat_template(tokenizer)
    except ValueError as error:
        raise TrainingError(
            f'{job["base"]}: loss_on = "assistant" needs {{% generation %}} marks around the assistant\'s turns in its '
            'chat template, and TRL knows no such form of it: add them, or take loss_on = "reply"'
        ) from error


def with_system_moved(data: Dataset, tokenizer: Any) -> tuple[Dataset, int]:
    """Put system texts before the user's first turn where the chat template has no place for them; gives how many."""
    if has_system_role(tokenizer):
        return data, 0
    moved = sum(any(turn["role"] == "system" for turn in chat) for chat in data["prompt"])
    if not moved:
        return data, 0
    return data.map(lambda row: {"prompt": without_system(row["prompt"])}, desc="system texts"), moved


def has_system_role(tokenizer: Any) -> bool:
    """Say whether the chat template shows a system turn: some refuse it, some leave it out without a word."""
    sign = "a system turn's text"
    chat = [{"role": "system", "content": sign}, {"role": "user", "content": "hello"}]
    try:
        return sign in tokenizer.apply_chat_template(chat, tokenize=False)
    except jinja2.TemplateError:
        return False


def without_system(chat: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give a chat with its system texts before the first turn by the user, with an empty line between."""
    texts = [turn["content"] for turn in chat if turn["role"] == "system"]
    rest = [dict(turn) for turn in chat if turn["role"] != "system"]
    if not texts:
        return rest
    first = next((turn for turn in rest if turn["role"] == "user"), None)
    if first is None:
        return [{**chat[0], "role": "user", "content": "\n\n".join(texts)}, *rest]
    first["content"] = "\n\n".join([*texts, first["content"]])
    return rest


def _tell_size(job: dict[str, Any], rows: int) -> None:
    batch = job["batch_size"] * int(job["arguments"].get("gradient_accumulation_steps", 1))
    prompts = batch // job["generations"] if job["method"] in REINFORCED else batch
    say = []
    if rows == 1:
        say.append(f"the dataset is one row: {job['method']} can learn it by heart and nothing else")
    if rows < prompts and job["method"] in REINFORCED:
        raise TrainingError(
            f"{job['method']}: {rows:,} prompts are less than the {prompts:,} of one batch ({batch} replies, "
            f"{job['generations']} a prompt): set batch_size = {rows * job['generations']} or less"
        )
    if 1 < rows < batch and job["method"] not in REINFORCED:
        say.append(f"the dataset's {rows:,} rows are less than one batch of {batch}: an epoch is one step")
    tell(rows=rows, say=say)


def _tell_truncated(job: dict[str, Any], data: Dataset, tokenizer: Any) -> None:
    """Tell the rows that don't fit `max_length`: TRL cuts their end, or leaves them out where no reply would be left.

    The reward trainer leaves all of them out. Their ids are in `truncated.json`.
    """
    most = job["max_length"]
    cut: list[str] = []
    left_out: list[str] = []
    for name, prompt, longest in _lengths(job["method"], data, tokenizer, most):
        gone = longest > most if job["method"] == "reward" else prompt >= most and job["loss_on"] != "all"
        if longest > most:
            (left_out if gone else cut).append(name)
    write_bytes(
        Path(job["out"], TRUNCATED), json.dumps({"max_length": most, "cut": cut, "left_out": left_out}).encode()
    )
    say = []
    if cut:
        say.append(f"{len(cut):,} of {data.num_rows:,} rows are cut at max_length {most:,}: {_some(cut)}")
    if left_out:
        why = "are longer than" if job["method"] == "reward" else "have a prompt that alone fills"
        say.append(
            f"{len(left_out):,} of {data.num_rows:,} rows {why} max_length {most:,}, TRL leaves them out: "
            f"{_some(left_out)}"
        )
    tell(truncated={"cut": len(cut), "left_out": len(left_out)}, say=say)
    if len(left_out) == data.num_rows:
        raise TrainingError(f"{job['method']}: {say[-1]}; nothing is left to train on, so raise max_length")


def _some(ids: list[str]) -> str:
    more = f" and {len(ids) - NAMED:,} more, in {TRUNCATED}" if len(ids) > NAMED else ""
    return ", ".join(ids[:NAMED]) + more


def _lengths(method: str, data: Dataset, tokenizer: Any, most: int) -> Iterator[tuple[str, int, int]]:
    """Give the id, the tokens of the prompt and of the longest whole chat of the rows that may be over `most`.

    A text has no more tokens than bytes, so that short ones need not be counted.
    """
    sides = ["chosen", "rejected"] if method in {"dpo", "reward"} else ["completion"]
    for row in data:
        chats = [tokenizer.apply_chat_template(row["prompt"] + row[side], tokenize=False) for side in sides]
        if max(len(text.encode()) for text in chats) + SLACK <= most:
            continue
        prompt = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, return_dict=False)
        whole = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in chats]
        yield row["id"], len(prompt), max(whole)
