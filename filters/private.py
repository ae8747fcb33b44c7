"""Rules on what must not be published: e-mail addresses and secrets, by their form."""

from filters.texts import Part, text
from schemas.rules import Rule

EMAIL = r"(?i)\b[a-z0-9][a-z0-9._%+-]*@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,24}\b"
KEYS = (
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",  # an AWS access key id
    r"\bsk-(?:[a-z]+-)?[A-Za-z0-9_-]{32,}",  # an OpenAI-like key
    r"\bgh[pousr]_[A-Za-z0-9]{36,}\b",  # a GitHub token
    r"\bhf_[A-Za-z0-9]{30,}\b",  # a Hugging Face token
    r"\bxox[abprs]-[A-Za-z0-9-]{10,}",  # a Slack token
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
)


def emails(*, part: Part = "conversation", maximum: int = 0) -> Rule:
    """E-mail addresses in `part`. Kept: up to `maximum`, inclusive."""
    return Rule(text(part).str.count_matches(EMAIL), None, maximum)


def keys(*, part: Part = "conversation", maximum: int = 0) -> Rule:
    """Access keys and private keys in `part`, by the form their issuers give them. Kept: up to `maximum`."""
    return Rule(text(part).str.count_matches("|".join(KEYS)), None, maximum)
