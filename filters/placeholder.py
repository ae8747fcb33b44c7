"""Rules on text that stands for other text: "no input", "N/A", "[insert image]"."""

import polars as pl

from filters.texts import text
from schemas.rules import Rule

MARKER = r"(?i)<\s*\\?\s*no[ _-]?(?:in|out)put"  # the tag of self-instruct's template, wherever it got in
THING = (
    r"(?:image|photo|photograph|picture|painting|drawing|sketch|figure|chart|flow ?chart|graph|graphic|infographic"
    r"|diagram|table|data ?set|data|document|article|essay|poem|story|link|url|website|web ?page|video|audio|sound|song"
    r"|melody|music(?:al)?|lyrics|file|sheet|spreadsheet|screenshot|logo|poster|design|visual(?:i[sz]ation)?|presentation|gif"
    r"|rendering|animation|cartoon|comic|map|attach(?:ed|ment)?|insert|input|output|text|passage|paragraph|description"
    r"|corpus|puzzle|speech|clip|notes|code|illustration|cloud|icon|flag)s?"
)
ABSENT = r"(?i)\A[\W_]*(?:no[ _-]?(?:in|out)?puts?e?\b[^\n]{0,60}|n/a|none|null|nil|not applicable)[\W_]*\z"
INSIDE = r"[^<>\[\](){}\n=|]"
STAND_IN = rf"(?i)\A\s*[<\[({{]\s*(?:\w{INSIDE}{{0,80}}?\b)?{THING}\b{INSIDE}{{0,80}}[>\])}}][.!?]?\s*\z"
PICTURE = r"\A\s*!\[[^\]\n]*\]\(\S*\)\s*\z"  # Markdown: an image and nothing else
NOTHING = (
    r"(?i)\A[\W_]*(?:(?:no[ _-]?(?:in|out)puts?|n/a)"
    r"(?:\W*\z|\s*[^\w\s]|\s*\n|\s+(?:(?:is |was )?(?:required|needed|necessary|given|provided|available|applicable"
    r"|possible|expected)|because|as|since|due to|for this)\b)"
    r"|(?:not applicable|todo|tbd)\W*\z"
    r"|lorem ipsum\b[^\n]{0,60}\z|to be (?:determined|added|completed)\W*\z|your (?:answer|text|response) here\W*\z)"
    r"|\A\s*(?:\.{3,}|…+|_{3,}|-{3,})\s*\z"
)


def inputs(*, maximum: int = 0) -> Rule:
    """1 when the last paragraph of the prompt's last message is a placeholder, else 0. Kept: up to `maximum`.

    Such as "Noinput", "N/A", "[Link to article]", "<image attached>" or an image in Markdown and no more; the tag
    `<noinput>` of self-instruct counts wherever it stands. The rest takes two paragraphs: the first is the task.
    """
    last = pl.col("prompt").list.last().struct.field("content").str.strip_chars()
    marked = last.str.contains(MARKER)
    paragraph = last.str.extract(r"(?s)\n\s*\n((?:[^\n]|\n[^\n])+)\z").str.strip_chars()
    standing = pl.any_horizontal(paragraph.str.contains(form) for form in (ABSENT, STAND_IN, PICTURE))
    return Rule((marked | standing.fill_null(value=False)).cast(pl.Float64), None, maximum)


def replies(*, maximum: int = 0) -> Rule:
    """1 when the reply is a placeholder, or opens as one ("No output …"), else 0. Kept: up to `maximum`.

    "None" is an answer to some questions and doesn't count. The tag `<noinput>` of self-instruct counts wherever it
    stands: after an answer it opens the next example, which the model went on to write.
    """
    reply = text("reply")
    forms = (MARKER, NOTHING, STAND_IN, PICTURE)
    return Rule(pl.any_horizontal(reply.str.contains(form) for form in forms), None, maximum)
