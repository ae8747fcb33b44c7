"""A rule on replies that were cut off."""

import polars as pl

from filters.texts import text
from schemas.rules import Rule

CLOSED = r"""[.!?…:;。！？؟।۔)\]}>"'”’»`*_|=\d\p{Emoji_Presentation}\x{200b}\x{fe0f}]\s*\z"""  # noqa: RUF001 - full-width marks
DANGLING = (  # what no sentence ends in
    r"(?:\s(?:a|an|the|and|or|but|nor|of|as|than|because|which|whose|if|is|are|was|were|their|my|our|your"
    r"|(?:to|in|on|of|for|with|from|by) its|will be|equal to|such as|due to|order to|able to|need to|want to)"
    r"|[.!?] [^.!?]+,|\s[$€£])\z"
)
LETTER = (
    r"(?i)\A\W*(?:sincerely|regards|best|yours|thanks|thank you|love|cheers|with|warm|kind|respectfully|cordially)\b"
)
CODE = (
    r"```|(?m)^\s*(?:def |class |import |from \w+ import|#include|public |private |for ?\(|if ?\(|while ?\("
    r"|SELECT |<\w+)|[{};]\s*$"
)


def unfinished(*, words: int = 8, maximum: float = 0.5) -> Rule:
    """1 when a reply of at least `words` words breaks off, 0.5 when no mark closes it, else 0. Kept: to `maximum`.

    It breaks off where its last line is a sentence that ends in a comma after other sentences, in a currency sign or in
    a word that needs another ("the", "and", "equal to"). Without a mark alone it may be a title, a verse or a list:
    `maximum` = 0 drops these too. Shorter replies, code and lists (the last line opens with a bullet or is indented)
    are not measured.
    """
    reply = text("reply").str.replace_all("\r\n", "\n").str.strip_chars_end()
    last = reply.str.extract(r"([^\n]*)\z")
    listed = last.str.contains(r"\A(?:\s|[-*•+#|]|\d+[.)])") | reply.str.contains(CODE)
    prose = (reply.str.count_matches(r"\S+") >= words) & ~listed
    sentence = (last.str.count_matches(r"\S+") >= words) & ~last.str.contains(LETTER)
    broken = last.str.contains(DANGLING) & sentence
    level = pl.when(broken).then(1.0).when(~reply.str.contains(CLOSED)).then(0.5).otherwise(0.0)
    return Rule(pl.when(prose).then(level), None, maximum)
