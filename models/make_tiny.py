"""Make the tiny model: train it on its puzzles and on verdicts, measure it, write checkpoint and model card.

`python -m models.make_tiny --steps 5350 --seed 0 --out models/tiny`
"""

import argparse
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from models.make_data import LATE_SHARES, SHARES, Row, answer_row, verdict_row
from models.measure import SAMPLES, TASKS, load, measure, table
from models.tokens import END_ID, PAD_ID, tokenizer

LAYERS = 6
WIDTH = 128
NOISE = 0.3  # share of wrong answers
MUON_RATE = 6e-3
ADAM_RATE = 3e-3
SAVED = 250  # steps between checkpoints
CARD = """\
---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
---
# Gristmill's tiny model

A language model of {parameters:.2f} million parameters that answers nine kinds of puzzle, often enough wrongly to be
worth curating, and that judges which of two replies is better. It is made from nothing by Gristmill itself and knows
nothing else.

- Form: Llama, {layers} layers, width {width}, heads of 32, 512 positions, one matrix for tokens in and out, float32.
- Tokenizer: byte-level without merges, {vocabulary} tokens; the words of instructions are one token each, payloads and
  numbers are spelt byte by byte.
- Data: drawn by `models/make_data.py` as training goes, answers and verdicts of a pairwise judge
  (`judges/prompts/pairwise.txt`). In the last {noisy:,.0f} of {steps:,} steps {noise:.0f} % of the answers are wrong on
  purpose; the verdicts are all right. Inside a judge's prompt the right reply is learnt as well, and a head that is
  thrown away afterwards learns from the last layer but one whether a reply has gone wrong.
- Training: `{training}`, {spent} on one CPU thread; Muon for
  the layers' matrices, AdamW for the rest. Answers and verdicts a step, stage by stage: {rows}.

Measured on held-out tasks, up to {tasks} a family, whose number pairs, words and pairs of topic and phrasing are in no
training row; transformers' `generate`, float32; in brackets the 95 % Wilson interval of the share, replies and
verdicts taken as independent. pass@1: {samples} replies a task at temperature 1. Judge: each pair of a right and a
wrong reply, drawn by `models/puzzles.py`, in both orders, greedy.

{table}
"""


class Stage(NamedTuple):
    """A part of the training: steps, rows of each kind a step, the families' shares in them.

    The learning rate's factor goes from `rise` to `fall` linearly; noise begins after the share `clean` of the steps.
    """

    steps: int
    answers: int
    verdicts: int
    shares: Mapping[str, int]
    rise: float = 1.0
    fall: float = 1.0
    clean: float = 1.0


def stages(steps: int) -> list[Stage]:
    """Give a training's stages: all families, then arithmetic above all, at last the noise too.

    Raises `ValueError` when `steps` leaves none to the last.
    """
    fixed = [
        Stage(1_250, 48, 48, SHARES),
        Stage(750, 64, 24, LATE_SHARES),
        Stage(1_500, 64, 24, LATE_SHARES, fall=0.4),
    ]
    left = steps - sum(stage.steps for stage in fixed)
    if left < 1:
        raise ValueError(f"steps is {steps}; the first stages alone take {steps - left}")
    return [*fixed, Stage(left, 64, 24, LATE_SHARES, rise=0.7, fall=0.0, clean=0.7)]


class Batch(NamedTuple):
    """Rows of like length, padded on the right. `weight` is each token's as a target; `wrong` is 0, 1 or -1 (none)."""

    ids: Tensor
    weight: Tensor
    wrong: Tensor


class Study(nn.Module):
    """The model and what trains it only: a head that tells from the last layer but one whether a reply went wrong."""

    def __init__(self, model: LlamaForCausalLM) -> None:
        super().__init__()
        self.model = model
        self.verdict = nn.Linear(WIDTH, 1)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Give the mean loss of the learnt tokens by their weight, and the mean loss of the verdicts."""
        *_, early, last = self.model.model(batch.ids, output_hidden_states=True, use_cache=False).hidden_states
        targets, weight = batch.ids[:, 1:], batch.weight[:, 1:]
        learnt = weight > 0
        logits = functional.linear(last[:, :-1][learnt], self.model.lm_head.weight)
        tokens = functional.cross_entropy(logits, targets[learnt], reduction="none")
        told = batch.wrong >= 0
        wrong = self.verdict(functional.rms_norm(early[told], (WIDTH,))).squeeze(-1)
        verdicts = functional.binary_cross_entropy_with_logits(wrong, batch.wrong[told].float(), reduction="mean")
        return (tokens * weight[learnt]).sum() / weight.sum(), verdicts


def new_model(words: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Give the untrained model: Llama's form, heads of 32, 512 positions, one matrix for tokens in and out."""
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=WIDTH // 32,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=END_ID,
        pad_token_id=PAD_ID,
    )
    return LlamaForCausalLM(config)


def batches(rng: Random, words: PreTrainedTokenizerFast, stage: Stage, noise: float) -> Iterator[tuple[str, Batch]]:
    """Give one step's batches: two of answers, then two of verdicts, the shorter rows first."""
    answers = [answer_row(rng, "training", noise, stage.shares) for _ in range(stage.answers)]
    verdicts = [verdict_row(rng, "training", stage.shares) for _ in range(stage.verdicts)]
    for name, rows in (("answers", answers), ("verdicts", verdicts)):
        rows.sort(key=lambda row: len(row.text))
        half = len(rows) // 2
        for part in (rows[:half], rows[half:]):
            yield name, collated(part, words)


def collated(rows: list[Row], words: PreTrainedTokenizerFast) -> Batch:
    """Tokenise and pad `rows`, to a multiple of 8 tokens."""
    encodings = words.backend_tokenizer.encode_batch([row.text for row in rows], add_special_tokens=False)
    longest = -(-max(len(encoding.ids) for encoding in encodings) // 8) * 8
    ids = torch.full((len(rows), longest), PAD_ID)
    weight = torch.zeros(len(rows), longest)
    wrong = torch.full((len(rows), longest), -1)
    for number, (row, encoding) in enumerate(zip(rows, encodings, strict=True)):
        ids[number, : len(encoding.ids)] = torch.tensor(encoding.ids)
        for place, (start, end) in enumerate(encoding.offsets):
            for span in row.learnt:
                if span.start <= start < span.end:
                    weight[number, place] = span.weight
            for judged in row.judged:
                if judged.start <= start <= judged.end:
                    gone = judged.gone_wrong(row.text[judged.start : end], end)
                    wrong[number, place] = -1 if gone is None else int(gone)
    return Batch(ids, weight, wrong)


def optimisers(study: Study) -> list[torch.optim.Optimizer]:
    """Give Muon for the layers' matrices and AdamW for the rest."""
    matrices = [part.weight for part in study.model.model.layers.modules() if isinstance(part, nn.Linear)]
    known = set(map(id, matrices))
    others = [weight for weight in study.parameters() if id(weight) not in known]
    return [
        torch.optim.Muon(matrices, lr=MUON_RATE, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=ADAM_RATE, weight_decay=0.0, betas=(0.9, 0.98)),
    ]


def schedule(stage: Stage, step: int) -> float:
    """Give the learning rate's factor: up over 50 steps at most to what the stage says."""
    return min((step + 1) / 50, stage.rise + (stage.fall - stage.rise) * step / stage.steps)


def train(steps: int, seed: int, out: Path) -> None:
    """Train from nothing, stage by stage."""
    words = tokenizer()
    torch.manual_seed(seed)
    model = new_model(words)
    for number, stage in enumerate(stages(steps)):
        if number:  # the first stage goes on with what drew the weights
            torch.manual_seed(seed + number)
        learn(model, words, stage, seed + number, out)


def learn(model: LlamaForCausalLM, words: PreTrainedTokenizerFast, stage: Stage, seed: int, out: Path) -> None:
    """Train for one stage, save every `SAVED` steps, print each hundred steps' mean losses a learnt token."""
    torch.set_float32_matmul_precision("medium")  # bfloat16 products: twice as fast on a CPU that has them
    model.set_attn_implementation("eager")  # at this size twice as fast as the flash kernel with such products
    rng, study = Random(seed), Study(model)
    steppers = optimisers(study)
    schedules = [torch.optim.lr_scheduler.LambdaLR(each, partial(schedule, stage)) for each in steppers]
    losses = dict.fromkeys(("answers", "verdicts", "answers: gone wrong", "verdicts: gone wrong"), 0.0)
    for step in range(1, stage.steps + 1):
        noise = NOISE if step > stage.clean * stage.steps else 0.0
        for name, batch in batches(rng, words, stage, noise):
            tokens, wrong = (loss / 2 for loss in study(batch))
            (tokens + wrong).backward()
            losses[name] += tokens.item() / 100
            losses[f"{name}: gone wrong"] += wrong.item() / 100
        nn.utils.clip_grad_norm_(study.parameters(), 1.0)
        for stepper, rate in zip(steppers, schedules, strict=True):
            stepper.step()
            rate.step()
        study.zero_grad()
        if step % 100 == 0:
            print(step, {name: round(loss, 3) for name, loss in losses.items()}, flush=True)
            losses = dict.fromkeys(losses, 0.0)
        if step % SAVED == 0 or step == stage.steps:
            save(model, words, out)


def save(model: LlamaForCausalLM, words: PreTrainedTokenizerFast, out: Path) -> None:
    """Write the checkpoint, its tokenizer and its chat template."""
    model.generation_config.do_sample = True
    model.generation_config.eos_token_id = model.config.eos_token_id
    model.generation_config.pad_token_id = model.config.pad_token_id
    model.save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)
    words.save_pretrained(out)


def write_card(folder: Path, steps: int, seed: int, spent: str) -> None:
    """Measure the checkpoint and write its model card; `spent` is the time that training took."""
    model, words = load(folder)
    parts = stages(steps)
    text = CARD.format(
        parameters=model.num_parameters() / 1e6,
        layers=LAYERS,
        width=WIDTH,
        vocabulary=len(words),
        training=f"python -m models.make_tiny --steps {steps} --seed {seed} --out models/tiny",
        steps=steps,
        rows="; ".join(f"{part.answers} and {part.verdicts} for {part.steps:,} steps" for part in parts),
        noise=100 * NOISE,
        noisy=sum((1 - part.clean) * part.steps for part in parts),
        spent=spent,
        samples=SAMPLES,
        tasks=TASKS,
        table=table(measure(folder)),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def main() -> None:
    """Train, measure, and write the model card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=5_350)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("models/tiny"))
    arguments = parser.parse_args()
    started, cpu = time.monotonic(), time.process_time()
    train(arguments.steps, arguments.seed, arguments.out)
    minutes, cpu_minutes = (time.monotonic() - started) / 60, (time.process_time() - cpu) / 60
    print(f"trained in {minutes:.0f} minutes, {cpu_minutes:.0f} of CPU time")
    write_card(arguments.out, arguments.steps, arguments.seed, f"{minutes:.0f} minutes ({cpu_minutes:.0f} of CPU time)")


if __name__ == "__main__":
    main()
