"""Verifiers of instructions whose form can be checked; the kinds are IFEval's (arXiv 2311.07911, table 1)."""

from schemas.tables import Sample
from schemas.verdicts import Verdict, Verifier


def number_of_words(*, count: int) -> Verifier:
    """Pass when the reply has exactly `count` words, runs of non-blank characters that hold a letter or a digit."""

    def verify(reply: str, _sample: Sample) -> Verdict:
        found = sum(any(map(str.isalnum, word)) for word in reply.split())
        return _verdict(found == count, str(found), f"expected {count} words")

    return Verifier(verify)


def ends_with(*, mark: str) -> Verifier:
    """Pass when the reply, blanks at its end aside, ends with `mark` and says something before it."""

    def verify(reply: str, _sample: Sample) -> Verdict:
        text = reply.rstrip()
        says = any(map(str.isalnum, text.removesuffix(mark)))
        return _verdict(
            text.endswith(mark) and says, text[-max(len(mark), 1) :], f"expected words and {mark!r} at the end"
        )

    return Verifier(verify)


def _verdict(passed: bool, extracted: str, expected: str) -> Verdict:  # noqa: FBT001 - a verdict is a yes or no
    return Verdict(float(passed), why="" if passed else expected, extracted=extracted)
