"""The verifier that each sample brings itself, in a recipe and in a trainer."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, cast

import orjson

from schemas.parts import PartError, load
from schemas.tables import Sample
from schemas.verdicts import Verdict, Verifier


def own() -> Verifier:
    """Give the verdict of the verifier that the sample's `check` names; a sample without one has no verdict.

    `check` is a part as a recipe names it: `{"use": "judges.instructions:ends_with", "mark": "!"}`. A check that names
    no verifier is an error of that sample alone.
    """

    def verify(reply: str, sample: Sample) -> Verdict:
        if sample["check"] is None:
            return Verdict(None, "no_reference", "the sample names no check")
        try:
            verifier = _verifier(sample["check"])
        except (PartError, orjson.JSONDecodeError, TypeError, KeyError) as error:
            return Verdict(None, "error", f"the sample's check can't be used: {sample['check'][:200]}: {error}")
        return verifier.verify(reply, sample)

    return Verifier(verify)


@cache
def _verifier(check: str) -> Verifier:
    arguments = orjson.loads(check)
    use = arguments.pop("use")
    if not use.startswith("judges."):
        raise PartError([f"{use!r} is no verifier of judges/: data may name no other code"])
    verifier = load(use, arguments)()
    if not isinstance(verifier, Verifier):
        raise PartError([f"{use} is no verifier"])
    return verifier


def reward_function(*, default: str = "judges.math:final_answer") -> Callable[..., list[float | None]]:
    """Give the reward function for TRL's GRPO and RLOO trainers on the layout `grpo`: a verifier's score, else null.

    A row is verified by its own `check`, without one by the part `default` against its `reference`. What is null has no
    verdict, which TRL leaves out of the reward and does not take for 0.
    """
    other = load(default, {})()

    def verified(
        completions: Sequence[Any], check: Sequence[str | None], reference: Sequence[str | None], **_more: Any
    ) -> list[float | None]:
        scores = []
        for told, named, gold in zip(completions, check, reference, strict=True):
            text = told if isinstance(told, str) else told[-1]["content"]
            sample = cast("Sample", {"check": named, "reference": gold})
            scores.append((other if named is None else own()).verify(text, sample).score)
        return scores

    return verified
