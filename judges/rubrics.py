"""The LLM judge by weighted criteria of the prompt's own, which came with the data or are written by the judge."""

import json
from collections.abc import Sequence
from typing import Any, TypedDict

import orjson

from judges.asking import REASONED, Answer, json_of, question, sampling_of, shares
from schemas.engines import Reply, Sampling
from schemas.parts import PartError
from schemas.tables import Sample
from schemas.verdicts import Query, ReplyJudge, Verdict

OPTIONS = ("yes", "no")
HEAVIEST = 1_000.0
CRITERION_WORDS = 12  # of a criterion that is not written yet


class Criterion(TypedDict):
    """One line of a rubric."""

    criterion: str
    weight: float


def weighted(
    *, least: int = 2, most: int = 8, answer: Answer = "text", rubric: Sequence[Criterion] = (), write: bool = True
) -> ReplyJudge:
    """Give the weighted share of the criteria that the reply meets, 0 to 1; each criterion is a question of its own.

    The rubric is the sample's own, `rubric` in the JSON of its `check`; else the recipe's `rubric`; else, with `write`,
    the judge writes one of `least` to `most` criteria before it sees a reply, once for all replies to the prompt.
    `extracted` is each criterion with its weight and whether it is met, or how probably. One unread answer leaves the
    reply unscored, as does a rubric that can't be read.
    Source: Rubrics as Rewards, explicit aggregation (arXiv 2507.17746, section 2).
    Raises `PartError` for a rubric in the recipe that is none.
    """
    if rubric and criteria_of(list(rubric)) is None:
        raise PartError([f"rubric is {rubric!r} instead of criteria, each with a weight above 0"])

    def known(sample: Sample) -> list[Criterion] | None:
        own = _own(sample)
        return criteria_of(own) if own is not None else list(rubric) or None

    def ask(sample: Sample, texts: Sequence[str], said: Sequence[Reply]) -> list[Query]:
        needed = known(sample) is None and _own(sample) is None and write
        if needed and not said:
            return [_writing(sample, least, most)]
        criteria = _written(said[0], least, most) if needed else known(sample)
        if criteria is None or len(said) > needed:
            return []
        return [
            Query(
                question("criterion", prompt=sample["prompt"], texts=[texts[0], one["criterion"]], answer=answer),
                sampling_of(answer, OPTIONS),
            )
            for one in criteria
        ]

    def read(sample: Sample, _texts: Sequence[str], said: Sequence[Reply]) -> list[Verdict]:
        answers = tuple(reply.text for reply in said)
        needed = known(sample) is None and _own(sample) is None and write
        criteria = _written(said[0], least, most) if needed else known(sample)
        if criteria is None and needed:
            return [Verdict(None, "unparsed", "the judge's rubric can't be read", answers=answers)]
        if criteria is None:
            if _own(sample) is None:
                return [Verdict(None, "no_reference", "the sample's check holds no rubric")]
            return [Verdict(None, "error", f"the rubric in the sample's check can't be read: {sample['check']!r:.200}")]
        return [_sum(criteria, [shares(reply, OPTIONS, answer) for reply in said[needed:]], answers)]

    def suppose(_at: int) -> str:
        words = " ".join(["criterion"] * CRITERION_WORDS)
        return json.dumps({"rubric": [{"criterion": f"{words} {one}", "weight": 1} for one in range(most)]})

    return ReplyJudge(ask, read, suppose=suppose if write and not rubric else None)


def criteria_of(told: Any) -> list[Criterion] | None:
    """Give the criteria that plain data holds, null unless each has words, a weight above 0, and none comes twice."""
    if not isinstance(told, list) or not told:
        return None
    found = [one for one in told if isinstance(one, dict) and _is_criterion(one)]
    distinct = {one["criterion"] for one in found}
    if not len(told) == len(found) == len(distinct):
        return None
    return [{"criterion": one["criterion"].strip(), "weight": float(one["weight"])} for one in found]


def _is_criterion(one: dict[str, Any]) -> bool:
    words, weight = one.get("criterion"), one.get("weight")
    heavy = isinstance(weight, int | float) and not isinstance(weight, bool) and 0 < weight <= HEAVIEST
    return isinstance(words, str) and bool(words.strip()) and heavy


def _own(sample: Sample) -> Any:
    """Give what the sample's check says its rubric is, null where it says nothing."""
    try:
        told = orjson.loads(sample["check"] or "null")
    except orjson.JSONDecodeError:
        return None
    return told.get("rubric") if isinstance(told, dict) else None


def _writing(sample: Sample, least: int, most: int) -> Query:
    reference = [sample["reference"]] if sample["reference"] is not None else []
    item = {
        "type": "object",
        "properties": {"criterion": {"type": "string"}, "weight": {"type": "integer", "minimum": 1, "maximum": 5}},
        "required": ["criterion", "weight"],
        "additionalProperties": False,
    }
    items = {"type": "array", "items": item, "minItems": least, "maxItems": most}
    schema = {
        "type": "object",
        "properties": {"rubric": items},
        "required": ["rubric"],
        "additionalProperties": False,
    }
    sampling = Sampling(temperature=0.0, max_tokens=2 * REASONED, schema=json.dumps(schema))
    return Query(question("rubric", prompt=sample["prompt"], texts=reference, least=least, most=most), sampling)


def _written(reply: Reply, least: int, most: int) -> list[Criterion] | None:
    told = json_of(reply.text)
    found = criteria_of(told.get("rubric")) if isinstance(told, dict) else None
    return found if found is not None and least <= len(found) <= most else None


def _sum(
    criteria: Sequence[Criterion], found: Sequence[dict[str, float] | None], answers: tuple[str | None, ...]
) -> Verdict:
    met = [None if one is None else one["yes"] for one in found]
    lines = [{**one, "met": value} for one, value in zip(criteria, met, strict=True)]
    told = orjson.dumps(lines).decode()
    if None in met:
        why = f"neither yes nor no for {met.count(None)} of {len(met)} criteria"
        return Verdict(None, "unparsed", why, extracted=told, answers=answers)
    total = sum(one["weight"] for one in criteria)
    score = sum(one["weight"] * (value or 0.0) for one, value in zip(criteria, met, strict=True)) / total
    return Verdict(min(1.0, score), extracted=told, answers=answers)
