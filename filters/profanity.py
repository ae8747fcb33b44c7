"""A rule on foul language."""

from filters.texts import Part, text
from schemas.rules import Rule

# Words with no other meaning, with their usual endings. What is an animal, a name ("Fuk") or a term
# of anatomy besides ("ass", "dick", "cock") is left out: a rule that drops the rooster is of no use.
WORDS = (
    r"(?:mother|bull|horse|bat|ape|dip|dumb|clusterf?)?[\s-]?(?:fuck|(?-i:fuk|FUK)|shit)(?:s|ed|er|ers|ing|in|y|ty|tier)?",
    r"(?:fu+c?k|shit)[\s-]?(?:face|head|hole|wit|up|off|show|storm)s?",
    r"cunt(?:s|y)?",
    r"(?:ass|arse)(?:hole|holes|hat|hats|wipe|wipes)",
    r"(?:dumb|jack|smart|lazy|bad)-?ass(?:es)?",
    r"bitch(?:es|ed|ing|y)?",
    r"nigg(?:er|ers|a|as|az)",
    r"fagg?ots?",
    r"whores?",
    r"sluts?",
    r"wank(?:er|ers|ing)?",
    r"twats?",
    r"dickheads?",
    r"cocksuck(?:er|ers|ing)",
    r"pissed off",
    r"goddamn(?:ed|it)?",
)
PATTERN = rf"(?i)\b(?:{'|'.join(WORDS)})\b"


def words(*, part: Part = "conversation", maximum: int = 0) -> Rule:
    """Foul and abusive words in `part`, by a short list of English words. Kept: up to `maximum`."""
    return Rule(text(part).str.count_matches(PATTERN), None, maximum)
