from functools import cache
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from models.make_data import answer_row, rendered, verdict_row
from models.puzzles import NOUNS
from models.tokens import SPECIAL, tokenizer


@cache
def words() -> Any:
    return tokenizer()


@given(st.text())
def test_any_text_comes_back_from_its_tokens(text: str) -> None:
    if not any(token in text for token in SPECIAL):
        assert words().decode(words()(text)["input_ids"]) == text


def test_the_special_tokens_are_one_token_each() -> None:
    assert [words()(token)["input_ids"] for token in SPECIAL] == [[number] for number in range(len(SPECIAL))]
    assert (words().eos_token, words().pad_token) == ("<|end|>", "<|pad|>")


def test_an_instruction_word_is_one_token_and_a_payload_is_spelt() -> None:
    tokens = [words().decode(token) for token in words()('Reverse the letters of "otter".')["input_ids"]]
    assert tokens == ["Reverse", " the", " letters", " of", ' "', *"otter", '".']


def test_no_noun_is_a_token() -> None:
    vocabulary = set(words().get_vocab())
    assert not vocabulary & {form for noun in NOUNS for form in (noun, f"Ġ{noun}", noun.upper(), noun[::-1])}


def test_a_system_message_and_the_opening_of_the_reply_are_in_the_prompt() -> None:
    chat = [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": "Hi"}]
    text = words().apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert text == "<|system|>Answer briefly.<|end|><|user|>Hi<|end|><|assistant|>"


def test_the_assistant_mask_covers_the_reply_and_its_end() -> None:
    chat = [{"role": "user", "content": "What is 2 + 2?"}, {"role": "assistant", "content": "4"}]
    given = words().apply_chat_template(chat, return_dict=True, return_assistant_tokens_mask=True)
    masked = [token for token, mask in zip(given["input_ids"], given["assistant_masks"], strict=True) if mask]
    assert words().decode(masked) == "4<|end|>"


@given(st.integers(0, 2**32))
def test_training_rows_have_the_chat_template_s_form(seed: int) -> None:
    for row in (answer_row(Random(seed), "training", 0.3), verdict_row(Random(seed), "training")):
        assert row.text == words().apply_chat_template(row.chat, tokenize=False) == rendered(row.chat)


@given(st.integers(0, 2**32))
def test_a_verdict_names_the_right_reply(seed: int) -> None:
    row = verdict_row(Random(seed), "training")
    first, second = row.judged
    assert row.chat[-1]["content"] == ("A" if first.right else "B")
    assert first.right != second.right
    for judged in row.judged:
        assert row.text[judged.end : judged.end + 5] == "\n===\n"
