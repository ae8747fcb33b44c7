"""Rules on links."""

import polars as pl

from filters.texts import Part, text
from schemas.rules import Rule

LINK = r"(?i:https?://|www\.)[^\s<>\"]+"
PAGE = r"(?i:https?://|www\.)[^\s<>\"/?]+(?:/|\?)[^\s<>\"]+"  # more than a site's name: a text to be read


def only(*, part: Part = "question", maximum: int = 0) -> Rule:
    """1 when the last paragraph of `part` is nothing but links to pages, else 0. Kept: up to `maximum`.

    A task on a page that isn't there can't be done from the text alone: what the reply says of it is made up. A site's
    bare address doesn't count: it may well be what the task is about.
    """
    last = text(part).str.strip_chars().str.extract(r"([^\n]*)\z").str.strip_chars()
    bare = last.str.replace_all(
        rf"!?\[[^\]\n]*\]\(({PAGE}?)\)|<({PAGE})>", " ${1}${2} "
    )  # Markdown's ways to write one
    return Rule(bare.str.contains(rf"\A[\W_]*(?:{PAGE}[\s,;.]*)+\z"), None, maximum)


def links(*, part: Part = "reply", maximum: int | None = None) -> Rule:
    """Links in `part`, to pages and sites. Kept: up to `maximum`, inclusive."""
    return Rule(text(part).str.count_matches(LINK), None, maximum)


def share(*, part: Part = "reply", maximum: float | None = None) -> Rule:
    """Fraction of the non-blank characters of `part` that is in links. Kept: up to `maximum`, inclusive."""
    every = text(part).str.replace_all(r"\s+", "").str.len_chars()
    rest = text(part).str.replace_all(rf"{LINK}|\s+", "").str.len_chars()
    return Rule(pl.when(every > 0).then((every - rest) / every), None, maximum)
