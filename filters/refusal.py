"""A rule on replies that refuse."""

from filters.texts import text
from schemas.rules import Rule

CANNOT = r"(?:can(?:'?t|not)|unable|not able|won'?t|do(?:n'?t| not) (?:have|know))"
HELP = "(?:help|assist|comply|fulfil|provide|answer|do|complete|process|support|engage|discuss)"
OPENINGS = (
    rf"(?:i'?m|i am) (?:very |so |really )?(?:sorry|afraid)\b.{{0,80}}\b{CANNOT}",
    rf"(?:sorry|apologies|unfortunately),? (?:but )?(?:i|as an?)\b.{{0,60}}\b{CANNOT}",
    rf"i (?:apologi[sz]e|regret)\b.{{0,80}}\b{CANNOT}",
    rf"as an? (?:ai|artificial intelligence|(?:ai )?language model|(?:ai )?assistant)\b.{{0,120}}\b{CANNOT}",
    rf"i (?:can(?:'?t|not)|am unable to|am not able to|won'?t be able to|will not) {HELP}",
)
PATTERN = r"(?is)\A\W*(?:" + "|".join(OPENINGS) + ")"


def refusals(*, maximum: int = 0) -> Rule:
    """1 when the reply opens with a refusal, else 0, by its wording in English. Kept: up to `maximum`.

    Only the opening counts: a reply that quotes a refusal further on is none. Typographic apostrophes read as plain.
    """
    reply = text("reply").str.replace_all("[‘’]", "'")  # noqa: RUF001 - the typographic ones are meant
    return Rule(reply.str.contains(PATTERN), None, maximum)
