"""The text of a sample that a rule measures."""

from typing import Literal

import polars as pl

Part = Literal["prompt", "question", "reply", "conversation"]
DIFFERS = r'-?\d+|"[^"]*"|[+*/=<>^×÷−]'  # noqa: RUF001 - arithmetic signs
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"


def text(part: Part) -> pl.Expr:
    """Give the prompt's messages, the reply, or both, as one text, the messages a line apart; null where absent.

    "question" is the prompt without system messages: many rows share these, and what they ask is not the same for it.
    """
    prompt = pl.col("prompt").list.eval(pl.element().struct.field("content")).list.join("\n")
    if part == "question":
        asked = pl.element().filter(pl.element().struct.field("role") != "system")
        return pl.col("prompt").list.eval(asked.struct.field("content")).list.join("\n")
    if part == "prompt":
        return prompt
    if part == "reply":
        return pl.col("reply")
    return pl.concat_str(prompt, pl.col("reply"), separator="\n", ignore_nulls=True)


def spaced(texts: pl.Expr) -> pl.Expr:
    """Give texts with blanks around runs of letters whose scripts set none between words (and around Hangul's).

    So that a Latin word or a number beside them has borders. Of a text in such a script a word is any part.
    """
    return texts.str.replace_all(f"[{UNSPACED}]+", " ${0} ")


def normalised(part: Part) -> pl.Expr:
    """Give the text in lower case, blanks run together, without marks at its ends; null when nothing is left.

    A point or a minus at the beginning is kept: it may be a number's.
    """
    return bare(text(part), common=False)


def bare(texts: pl.Expr, *, common: bool) -> pl.Expr:
    """Give texts as `normalised` does; `common` says that none has `rare_blanks`, which takes half the time."""
    plain = texts.str.to_lowercase()
    if common:
        plain = plain.str.replace_all("\n", " ", literal=True).str.replace_all("  +", " ")
    else:
        plain = plain.str.replace_all(r"\s{2,}|[^\S ]", " ")  # a lone space needs no replacing
    stripped = plain.str.strip_chars_end(" .,;:!?…-").str.strip_chars_start(" ,;:!?¡¿…")
    return pl.when(stripped != "").then(stripped)


def rare_blanks(texts: pl.Expr) -> pl.Expr:
    """Tell which texts may hold other white space than spaces and newlines."""
    return texts.str.contains("[\t\r\x0b\x0c]") | (texts.str.len_bytes() != texts.str.len_chars())
