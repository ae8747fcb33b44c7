"""A rule on replies that were cut off."""

import polars as pl

from filters.texts import text
from schemas.rules import Rule

CLOSED = r"""[.!?…:;。！？)\]}>"'”’»`*_|=\d]\s*\z"""  # noqa: RUF001 - full-width marks end sentences too


def unfinished(*, words: int = 8, maximum: int = 0) -> Rule:
    """1 when a reply of at least `words` words ends in no closing mark, bracket or digit, else 0. Kept: to `maximum`.

    Shorter replies, code and lists (the last line opens with a bullet or is indented) are not measured.
    """
    reply = text("reply").str.replace_all("\r\n", "\n")
    last = reply.str.strip_chars_end().str.extract(r"([^\n]*)\z")
    listed = last.str.contains(r"\A(?:\s|[-*•+#|]|\d+[.)])") | reply.str.contains("```")
    prose = (reply.str.count_matches(r"\S+") >= words) & ~listed
    return Rule(pl.when(prose).then(~reply.str.contains(CLOSED)), None, maximum)
