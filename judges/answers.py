"""Verifiers of an answer that is a text."""

import re

from schemas.tables import Sample
from schemas.verdicts import Verdict, Verifier

LEAD_IN = re.compile(r"(?i)\A(?:so,? )?(?:the )?(?:final )?(?:answer|result|solution)(?: is|:)\s*:?\s*")
QUOTES = "\"'`*“”‘’"  # noqa: RUF001 - typographic quotes are quotes


def exact(*, ignore_case: bool = True) -> Verifier:
    """Pass when the answer is the sample's `reference`.

    A lead-in ("The answer is"), outer quotes and a closing full stop don't count; white space is run together.
    `ignore_case` false makes upper and lower case differ.
    """

    def verify(reply: str, sample: Sample) -> Verdict:
        if sample["reference"] is None:
            return Verdict(None, "no_reference", "the sample has no reference")
        found, wanted = bare(reply), bare(sample["reference"])
        same = found.casefold() == wanted.casefold() if ignore_case else found == wanted
        return Verdict(float(same), why="" if same else f"expected {wanted!r}", extracted=found)

    return Verifier(verify)


def bare(answer: str) -> str:
    """Give the answer without lead-in, outer quotes and one closing full stop, white space run together."""
    words = LEAD_IN.sub("", " ".join(answer.split()))
    return words.strip(QUOTES).removesuffix(".").strip(QUOTES).strip()
