"""The text of a sample that a rule measures."""

from typing import Literal

import polars as pl

Part = Literal["prompt", "question", "reply", "conversation"]


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
