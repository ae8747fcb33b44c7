"""The meta-judge: several judgments of one reply, and a judge of judgments that says which of them counts."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import orjson

from judges.asking import Answer, chosen, question, sampling_of
from judges.elo import Battle, elo
from schemas.engines import Reply
from schemas.parts import PartError, load
from schemas.tables import Sample
from schemas.verdicts import Query, ReplyJudge, Verdict

OPTIONS = ("A", "B")
VERDICTS = [*map(str, range(1, 10)), "yes", "no"]
POSSIBLE = [*VERDICTS, *(json.dumps({"reason": " ".join(["reason"] * 40), "verdict": one}) for one in VERDICTS)]
ANY: Sample = {"id": "", "prompt": [], "reply": None, "reference": "", "check": None, "replies": None}
POINT = 0.5  # of Elo: ratings nearer than that are equal but for rounding


def best_judgment(
    *, judge: dict[str, Any], judgments: int = 4, temperature: float = 1.0, answer: Answer = "text"
) -> ReplyJudge:
    """Give the score of the judgment that a meta-judge rates highest, of `judgments` by `judge`; of equals their mean.

    `judge` is a part as a recipe names it, a judge of one reply that asks once; give it `answer = "schema"`, so that
    its judgments have reasons. Where scores differ, each two different texts are compared in both orders and rated by
    Elo with position weights: a meta-judge that always names the first place ranks nothing. One comparison that can't
    be read leaves the reply unscored; a judgment that can't be read takes no part. `extracted` is each judgment's score
    and rating.
    Source: Meta-Rewarding (arXiv 2407.19594, section 2.2).
    Raises `PartError` for a part that is no such judge, fewer than 2 judgments, or a temperature of 0.
    """
    inner = load(str(judge.get("use")), {key: value for key, value in judge.items() if key != "use"})()
    if not isinstance(inner, ReplyJudge) or inner.together:
        raise PartError([f"judge is {judge.get('use')} instead of a judge of one reply"])
    if judgments < 2 or temperature <= 0:  # noqa: PLR2004 - of one there is no best
        raise PartError([f"{judgments} judgments at temperature {temperature} are none that could differ"])

    def heard(sample: Sample, texts: Sequence[str], said: Sequence[Reply]) -> list[tuple[str, Verdict]]:
        verdicts = [(one.text or "", inner.read(sample, texts, [one])[0]) for one in said[:judgments]]
        return list({text: (text, verdict) for text, verdict in verdicts if verdict.score is not None}.values())

    def pairs(sample: Sample, texts: Sequence[str], said: Sequence[Reply]) -> list[tuple[int, int]]:
        found = heard(sample, texts, said)
        differ = len({verdict.score for _, verdict in found}) > 1
        return list(itertools.permutations(range(len(found)), 2)) if differ else []

    def ask(sample: Sample, texts: Sequence[str], said: Sequence[Reply]) -> list[Query]:
        if not said:
            once = inner.ask(sample, texts, [])
            return [
                Query(one.chat, replace(one.sampling, temperature=temperature), sample=at)
                for one in once[:1]
                for at in range(judgments)
            ]
        if len(said) > judgments:
            return []
        found, sampling = heard(sample, texts, said), sampling_of(answer, OPTIONS)
        return [
            Query(
                question("meta", prompt=sample["prompt"], texts=[texts[0], found[i][0], found[j][0]], answer=answer),
                sampling,
            )
            for i, j in pairs(sample, texts, said)
        ]

    def read(sample: Sample, texts: Sequence[str], said: Sequence[Reply]) -> list[Verdict]:
        if not said:
            return inner.read(sample, texts, said)
        answers = tuple(reply.text for reply in said)
        found = heard(sample, texts, said)
        if not found:
            return [Verdict(None, "unparsed", f"none of {judgments} judgments can be read", answers=answers)]
        letters = [chosen(reply, OPTIONS, answer) for reply in said[judgments:]]
        if None in letters:
            why = f"neither A nor B in {letters.count(None)} of {len(letters)} comparisons of judgments"
            return [Verdict(None, "unparsed", why, answers=answers)]
        battles: list[Battle] = [
            (i, j, "first" if letter == "A" else "second")
            for (i, j), letter in zip(pairs(sample, texts, said), letters, strict=True)
        ]
        return [_topmost([verdict.score or 0.0 for _, verdict in found], battles, answers)]

    @cache
    def readable() -> list[str]:
        return [text for text in POSSIBLE if _is_read(inner, text)] or POSSIBLE

    def suppose(at: int) -> str:
        return readable()[at % len(readable())]

    return ReplyJudge(ask, read, suppose=suppose, revision=inner.revision, base=inner.base)


def _is_read(judge: ReplyJudge, text: str) -> bool:
    (verdict,) = judge.read(ANY, [""], [Reply("", text)])
    return verdict.score is not None


def _topmost(scores: Sequence[float], battles: Sequence[Battle], answers: tuple[str | None, ...]) -> Verdict:
    ratings = elo(len(scores), battles)
    top = [score for score, rating in zip(scores, ratings, strict=True) if rating > max(ratings) - POINT]
    told = [{"score": score, "elo": round(rating, 1)} for score, rating in zip(scores, ratings, strict=True)]
    return Verdict(sum(top) / len(top), extracted=orjson.dumps(told).decode(), answers=answers)
