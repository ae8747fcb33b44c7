import hashlib
import sys
from pathlib import Path
from random import Random

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from models import make_data
from models.make_data import verdict_row
from models.make_tiny import collated
from models.measure import Checkpoint, held_out, load, measure, replies
from models.puzzles import FAMILIES
from models.tokens import PAD_ID, tokenizer

TINY = Path(__file__).parents[2] / "models" / "tiny"


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    torch.set_num_threads(1)
    return load(TINY)


def test_the_checkpoint_is_small_and_whole() -> None:
    names = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert {file.name for file in TINY.iterdir()} == names | {"chat_template.jinja", "README.md"}
    assert sum(file.stat().st_size for file in TINY.iterdir()) < 10_000_000


def test_the_checkpoint_s_tokenizer_is_the_one_its_code_makes() -> None:
    saved = AutoTokenizer.from_pretrained(TINY)
    assert saved.get_vocab() == tokenizer().get_vocab()
    assert saved.chat_template == tokenizer().chat_template
    assert AutoModelForCausalLM.from_pretrained(TINY).config.pad_token_id == saved.pad_token_id == PAD_ID


def test_the_checkpoint_answers_a_sum(checkpoint: Checkpoint) -> None:
    (reply,) = replies(checkpoint, [[{"role": "user", "content": "What is 20 + 30?"}]])
    assert reply in {"50", "The answer is 50."}


def test_the_checkpoint_is_right_more_often_greedily_than_sampled() -> None:
    found = measure(TINY, tasks=10, samples=2)["all"]
    assert found.greedy.right / found.greedy.of > 0.8
    assert 0.4 < found.sampled.right / found.sampled.of < 0.8
    assert found.verdicts.right / found.verdicts.of > 0.65


def test_held_out_tasks_differ() -> None:
    for family in FAMILIES:
        prompts = [task.prompt for task in held_out(Random(0), family, 20)]
        assert len(set(prompts)) == len(prompts) == 20


def test_a_batch_learns_the_right_reply_and_the_verdict_alone() -> None:
    words = tokenizer()
    row = verdict_row(Random(3), "training")
    batch = collated([row], words)
    right = next(judged for judged in row.judged if judged.right)
    learnt = words.decode(batch.ids[batch.weight > 0])
    assert learnt == f"{row.text[right.start : right.end]}\n{row.chat[-1]['content']}<|end|>"
    assert set(batch.wrong.flatten().tolist()) <= {-1, 0, 1}


def test_the_data_s_command_prints_the_same_rows_for_the_same_seed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["make_data", "--rows", "20", "--seed", "5"])
    make_data.main()
    first = capsys.readouterr().out
    make_data.main()
    assert hashlib.sha256(first.encode()).digest() == hashlib.sha256(capsys.readouterr().out.encode()).digest()
    assert len(first.splitlines()) == 20
