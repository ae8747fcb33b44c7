"""Measure a checkpoint on held-out tasks: pass@1 sampled and greedy, and verdicts on pairs, greedy, in both orders.

`python -m models.measure models/tiny` prints what the model card says.
"""

import argparse
import json
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from judges.agreement import wilson
from judges.pairwise import question
from models.make_data import pair_of
from models.puzzles import FAMILIES, LEAD_IN, Task, draw
from schemas.chats import Chat
from schemas.verdicts import Pair

TASKS = 200  # a family
SAMPLES = 8  # replies a task
CHUNK = 256  # prompts generated for at once


class Share(NamedTuple):
    """How many of `of` were right."""

    right: int
    of: int

    def __str__(self) -> str:
        """Give the share with its 95 % Wilson interval, in per cent."""
        low, high = wilson(self.right, self.of) or (0.0, 1.0)
        return f"{100 * self.right / self.of:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


class Measured(NamedTuple):
    """Shares of one family, or of all: replies sampled at temperature 1, greedy replies, verdicts."""

    sampled: Share
    greedy: Share
    verdicts: Share


class Checkpoint(NamedTuple):
    """A model and its tokenizer."""

    model: PreTrainedModel
    words: PreTrainedTokenizerFast


def load(folder: Path) -> Checkpoint:
    """Load the checkpoint in `folder`."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder)
    return Checkpoint(model, PreTrainedTokenizerFast.from_pretrained(folder))


def measure(folder: Path, tasks: int = TASKS, samples: int = SAMPLES, seed: int = 2) -> dict[str, Measured]:
    """Measure `tasks` held-out tasks a family, `samples` replies a task; the key "all" sums the families."""
    torch.manual_seed(seed)
    checkpoint = load(folder)
    found = {}
    for family in FAMILIES:
        rng = Random(seed)
        drawn = held_out(rng, family, tasks)
        found[family] = Measured(*answers(checkpoint, drawn, samples), verdicts(checkpoint, drawn, rng))
    columns = zip(*found.values(), strict=True)
    return {**found, "all": Measured(*(Share(*map(sum, zip(*column, strict=True))) for column in columns))}


def answers(checkpoint: Checkpoint, tasks: list[Task], samples: int) -> tuple[Share, Share]:
    """Give the shares of right replies, sampled and greedy."""
    chats: list[Chat] = [[{"role": "user", "content": task.prompt}] for task in tasks]
    greedy = [is_right(task, reply) for task, reply in zip(tasks, replies(checkpoint, chats), strict=True)]
    repeated = [chat for chat in chats for _ in range(samples)]
    sampled = replies(checkpoint, repeated, sample=True)
    passed = [is_right(tasks[place // samples], reply) for place, reply in enumerate(sampled)]
    return Share(sum(passed), len(passed)), Share(sum(greedy), len(greedy))


def verdicts(checkpoint: Checkpoint, tasks: list[Task], rng: Random) -> Share:
    """Give the share of right verdicts, each pair asked about in both orders."""
    pairs = [pair_of(rng, task, first_is_right=True) for task in tasks]
    swapped = [Pair(pair.prompt, pair.second, pair.first) for pair in pairs]
    said = replies(checkpoint, [question(pair, "correctness") for pair in (*pairs, *swapped)])
    right = said[: len(pairs)].count("A") + said[len(pairs) :].count("B")
    return Share(right, len(said))


def held_out(rng: Random, family: str, tasks: int) -> list[Task]:
    """Draw up to `tasks` held-out tasks of different prompts; some families have fewer."""
    drawn = {task.prompt: task for task in (draw(rng, family, "held_out") for _ in range(20 * tasks))}
    return list(drawn.values())[:tasks]


@torch.inference_mode()
def replies(checkpoint: Checkpoint, chats: list[Chat], *, sample: bool = False) -> list[str]:
    """Answer `chats`, at most 32 tokens each, greedily or sampled at temperature 1 without truncation."""
    texts: list[str] = []
    model: Any = checkpoint.model
    words: Any = checkpoint.words
    words.padding_side = "left"
    sampling = {"temperature": 1.0, "top_k": 0, "top_p": 1.0} if sample else {}
    for start in range(0, len(chats), CHUNK):
        prompts = words.apply_chat_template(
            chats[start : start + CHUNK],
            add_generation_prompt=True,
            padding=True,
            return_tensors="pt",
            return_dict=True,
        )
        given = model.generate(**prompts, max_new_tokens=32, do_sample=sample, **sampling)
        texts += words.batch_decode(given[:, prompts["input_ids"].shape[1] :], skip_special_tokens=True)
    return texts


def is_right(task: Task, reply: str) -> bool:
    """Tell whether `reply` is right: the answer bare or in its sentence, or of the form asked for."""
    if task.reference is not None:
        return reply in {task.reference, LEAD_IN.format(task.reference)}
    asked = json.loads(task.check)
    if "count" in asked:
        return bool(len(reply.split()) == asked["count"])
    return reply.endswith(str(asked["mark"])) and reply != asked["mark"]


def table(found: dict[str, Measured]) -> str:
    """Give the figures as a Markdown table."""
    head = "| family | tasks | pass@1 at temperature 1 | greedy | judge |\n|---|---|---|---|---|"
    rows = (
        f"| {family} | {row.greedy.of} | {row.sampled} | {row.greedy} | {row.verdicts} |"
        for family, row in found.items()
    )
    return "\n".join((head, *rows))


def main() -> None:
    """Print the table of a checkpoint."""
    parser = argparse.ArgumentParser(description="Measure a checkpoint on held-out tasks.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tasks", type=int, default=TASKS, help="of each family")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="of each task, at temperature 1")
    arguments = parser.parse_args()
    print(table(measure(arguments.folder, arguments.tasks, arguments.samples)))


if __name__ == "__main__":
    main()
