"""What a pairwise verdict costs in tokens, beside distilabel's prompts, and what it is worth, on LLMBar's pairs.

Run from the project's root as `python -m benchmarks.judge_tokens`, with LLMBar below `GRISTMILL_DATA` (../shared/data).
distilabel's tasks for two replies, `PrometheusEval` (relative, helpfulness) and `UltraFeedback` (overall rating), write
their own prompts where `DISTILABEL_PYTHON` names the Python that has it; else they are left out, which is said. Its
PairRM asks no language model. Tokens are those of Mistral Nemo's tokenizer (tekken_240911), which comes with vLLM's
environment (`GRISTMILL_VLLM_PYTHON`, else .venv-vllm), of the messages' texts without a chat template.

No model is asked, so what a model would reply is taken from the record: GPT-4 answered every pair in both orders by the
letter alone (LLMBar's "Vanilla") and by an explanation that ends in the letter ("Swap"). The letter stands for our
answer; the explanation for distilabel's, whose prompts ask for one before the verdict. The tokens of prompts are exact;
the replies' and the agreement with the experts are those of the record, which was asked by LLMBar's prompts and not by
either of ours: they say what the kind of answer is worth, not what the wording is.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from benchmarks.llmbar import DATA, LETTERS, SETS, rows
from judges.pairwise import preference
from schemas.chats import Chat
from schemas.verdicts import Pair

MODEL = "GPT-4"
ORDERS = ("swap = False", "swap = True")
VLLM = os.environ.get("GRISTMILL_VLLM_PYTHON", ".venv-vllm/bin/python")
PEER = os.environ.get("DISTILABEL_PYTHON")
COUNT = """
import json, pathlib, sys
import mistral_common.data
from mistral_common.tokens.tokenizers.tekken import Tekkenizer
file = pathlib.Path(list(mistral_common.data.__path__)[0]) / "tekken_240911.json"
encode = Tekkenizer.from_file(file).encode
print(json.dumps([len(encode(text, bos=False, eos=False)) for text in json.load(sys.stdin)]))
"""
THEIRS = """
import json, logging, sys
logging.disable(logging.WARNING)
from distilabel.models.llms.base import LLM
from distilabel.steps.tasks import PrometheusEval, UltraFeedback
class Silent(LLM):
    @property
    def model_name(self): return "none"
    def generate(self, inputs, num_generations=1): raise NotImplementedError
tasks = {
    "PrometheusEval": PrometheusEval(llm=Silent(), mode="relative", rubric="helpfulness"),
    "UltraFeedback": UltraFeedback(llm=Silent(), aspect="overall-rating"),
}
rows, told = json.load(sys.stdin), {}
for name, task in tasks.items():
    task.load()
    told[name] = [[one["content"] for one in task.format_input(row)] for row in rows]
print(json.dumps(told))
"""


class Recorded(NamedTuple):
    """The record of one kind of answer: its mean length, and the experts' agreement with one order and with both."""

    reply: float
    one_order: float
    kept: float
    both_orders: float


def child(python: str, code: str, told: Any) -> Any:
    """Give what a script in another environment makes of JSON on its standard input."""
    done = subprocess.run(  # noqa: S603 - an interpreter that the environment names, and the code above
        [python, "-W", "ignore", "-c", code], input=orjson.dumps(told), stdout=subprocess.PIPE, check=True
    )
    return orjson.loads(done.stdout.splitlines()[-1])


def tokens(chats: Sequence[Sequence[str]]) -> float:
    """Give the mean tokens of chats, each the texts of its messages."""
    counts: list[int] = child(VLLM, COUNT, [text for chat in chats for text in chat])
    return sum(counts) / len(chats)


def said(chat: Chat) -> list[str]:
    """Give the texts of a chat."""
    return [one["content"] or "" for one in chat]


def ours(records: Sequence[dict[str, Any]]) -> float:
    """Give the mean tokens of the two questions that settle a pair, of one verdict."""
    ask, asked = preference(answer="probabilities").ask, []
    for one in records:
        pair = Pair([{"role": "user", "content": one["input"]}], one["output_1"], one["output_2"])
        asked += [said(chat) for chat in ask(pair)]
    return 2 * tokens(asked)


def theirs(records: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Give by task the mean tokens of distilabel's one question; nothing where there is no distilabel."""
    if PEER is None:
        return {}
    asked = [{"instruction": one["input"], "generations": [one["output_1"], one["output_2"]]} for one in records]
    return {task: tokens(chats) for task, chats in child(PEER, THEIRS, asked).items()}


def recorded(evaluator: str) -> Recorded:
    """Give what GPT-4's answers of a kind were recorded to be."""
    every = [one for name in SETS for one in rows(name, MODEL, evaluator)]
    told = [[one["results"][0][order]["winner"] == str(one["label"]) for order in ORDERS] for one in every]
    wins = [[one["results"][0][order]["winner"] for order in ORDERS] for one in every]
    kept = [right[0] for right, (a, b) in zip(told, wins, strict=True) if a == b]
    texts = [one["results"][0][order]["completion"][0] for one in every for order in ORDERS]
    answers = [[LETTERS.get(text, text)] for text in texts]
    return Recorded(
        tokens(answers), sum(map(sum, told)) / (2 * len(every)), len(kept) / len(every), sum(kept) / len(kept)
    )


def line(name: str, calls: int, prompt: float, one: Recorded) -> str:
    """Write what a verdict costs and is worth: from one call by one order, from two by both."""
    kept, right = (1.0, one.one_order) if calls == 1 else (one.kept, one.both_orders)
    reply = calls * one.reply
    cost = prompt + reply
    told = f"{name:38} {calls:5} {prompt:7.0f} {reply:6.1f} {cost:6.0f}"
    return f"{told} {kept:7.3f} {right:6.3f} {cost / kept / right:10.0f}"


def main() -> None:
    """Print the table."""
    if not DATA.is_dir() or not Path(VLLM).exists():
        sys.exit(f"no LLMBar in {DATA}, or no tokenizer by {VLLM}: set GRISTMILL_DATA and GRISTMILL_VLLM_PYTHON")
    records = [one for name in SETS for one in rows(name, MODEL)]
    letter, explained = recorded("Vanilla"), recorded("Swap")
    print(f"{len(records)} pairs; kept and right by {MODEL}'s recorded answers of the same kind")
    print(f"{'tokens a verdict':38} calls  prompt  reply    all    kept  right  all a right one")
    print(line("ours, the letter, both orders", 2, ours(records), letter))
    if PEER is None:
        print("distilabel: left out, DISTILABEL_PYTHON names no Python that has it")
    for task, prompt in theirs(records).items():
        print(line(f"distilabel {task}", 1, prompt, explained))
        print(line(f"distilabel {task}, both orders", 2, 2 * prompt, explained))


if __name__ == "__main__":
    main()
