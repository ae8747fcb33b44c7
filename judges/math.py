"""Verifiers of an answer that is a number."""

import re
from fractions import Fraction

from schemas.tables import Sample
from schemas.verdicts import Verdict, Verifier

NUMBER = re.compile(r"(?<![\w.])([-−]?)\s?[$€£]?((?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?:\s?/\s?(\d+))?(?!\d)")  # noqa: RUF001 - a typographic minus is a minus
MARKS = {
    "boxed": re.compile(r"\\boxed\{([^{}]*)\}"),
    "####": re.compile(r"####[ \t]*([^\n]*)"),
    "A:": re.compile(r"(?m)^[ \t]*A:[ \t]*([^\n]*)"),
    "the answer is": re.compile(r"(?i)\b(?:answer|result)\s*(?:is|:|=)\s*:?([^\n]*)"),
}


def final_answer() -> Verifier:
    r"""Pass when the reply's final answer equals the sample's `reference` as a number, exactly.

    The final answer is the number behind the reply's last mark of the first kind it uses: `\boxed{}`, `####`, a line
    `A:`, "the answer is"; without a mark it is the reply's last number. Thousands separators, currency signs and a
    trailing `.0` don't count; fractions (`3/4`) are exact. Fails: no number, and boxed answers that differ.
    """

    def verify(reply: str, sample: Sample) -> Verdict:
        if sample["reference"] is None:
            return Verdict(None, "no_reference", "the sample has no reference")
        wanted = numbers(sample["reference"])
        if not wanted:
            return Verdict(None, "error", f"the reference holds no number: {sample['reference'][:80]!r}")
        answer, rule = extract(reply)
        if answer is None:
            return Verdict(0.0, why=rule)
        right = answer == wanted[-1]
        return Verdict(float(right), why=rule if right else f"{rule}: expected {wanted[-1]}", extracted=str(answer))

    return Verifier(verify)


def extract(reply: str) -> tuple[Fraction | None, str]:
    """Give the final answer and the mark it was found by; without an answer, null and the reason."""
    for mark, pattern in MARKS.items():
        marked = pattern.findall(reply)
        if not marked:
            continue
        found = [values[0] if (values := numbers(text)) else None for text in marked]
        if mark == "boxed" and len(set(found)) > 1:
            return None, "several boxed answers that differ"
        return found[-1], mark if found[-1] is not None else f"no number behind {mark!r}"
    values = numbers(reply)
    return (values[-1], "last number") if values else (None, "no number in the reply")


def numbers(text: str) -> list[Fraction]:
    """Give the numbers of a text in order, exactly; a fraction with a zero below is none."""
    parts = [(sign, whole.replace(",", ""), below) for sign, whole, below in NUMBER.findall(text)]
    return [
        Fraction(whole) / Fraction(below or 1) * (-1 if sign else 1)
        for sign, whole, below in parts
        if below == "" or int(below)
    ]
