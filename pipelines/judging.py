"""The way from LLM judges to verdicts: questions asked in rounds, of the members of a jury too."""

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from generators.asking import ask
from generators.ledger import Ledger
from schemas.engines import Engine, Reply, Request
from schemas.tables import Sample
from schemas.verdicts import BatchVerifier, Jury, Pair, PairJudge, Query, ReplyJudge, Verdict, seats

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Case:
    """What is judged at once: replies to a sample, by candidate id, each of another text."""

    sample: Sample
    ids: tuple[str, ...]
    texts: tuple[str, ...]


Block = tuple[list[Case], Progress, pl.DataFrame]  # with the candidates that the cases are of


@dataclass
class Heard:
    """What one member of a judge said of a case: the replies so far, then a verdict for each text, or one a pair."""

    case: Case
    member: int
    said: list[Reply] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)

    @property
    def error(self) -> str | None:
        """The first error met."""
        return next((reply.error for reply in self.said if reply.error is not None), None)


def members(judge: ReplyJudge | PairJudge | Jury, engines: Sequence[Engine]) -> list[tuple[Any, Engine]]:
    """Give who judges, each with the engine that answers it; raises as `seats` does."""
    judges: Sequence[Any] = judge.judges if isinstance(judge, Jury) else (judge,)
    return [(judges[which], engines[engine]) for which, engine in seats(judge, len(engines))]


def settle(
    judges: Sequence[tuple[Any, Engine]], cases: Sequence[Case], *, ledger: Ledger, progress: Progress
) -> tuple[list[list[Heard]], dict[str, Any]]:
    """Give what each member said of each case, member by member, and what was paid."""
    paid: dict[str, Any] = {}
    heard = []
    for member, (judge, engine) in enumerate(judges):
        own = [Heard(case, member) for case in cases]
        for counts in _rounds(in_rounds(judge), own, engine, ledger, progress):
            paid = {key: paid.get(key, 0) + value for key, value in counts.items()}
        heard.append(own)
    return heard, paid


@dataclass
class Hearing:
    """Hears all members of a judge, block by block, and counts in `paid` what that cost.

    Those of one engine hear all blocks before the next engine is asked, so that two that share a device are loaded once
    each. What they said waits in files in the folder `scratch`.
    """

    members: Sequence[tuple[Any, Engine]]
    ledger: Ledger
    scratch: Path
    paid: dict[str, Any]

    def __call__(self, blocks: Callable[[], Iterable[Block]]) -> Iterator[tuple[Block, list[list[Heard]]]]:
        """Give each block with what each member said of each case, member by member."""
        *earlier, last = self._groups()
        for group in earlier:
            for at, (cases, progress, _of) in enumerate(blocks()):
                for member, heard in self._settle(group, cases, progress).items():
                    told = [(one.said, one.verdicts) for one in heard]
                    (self.scratch / f"{member}-{at}").write_bytes(pickle.dumps(told))
        for at, block in enumerate(blocks()):
            cases, progress, _of = block
            now = self._settle(last, cases, progress)
            several = range(len(self.members))
            yield block, [now[one] if one in now else self._kept(one, at, cases) for one in several]

    def _groups(self) -> list[list[int]]:
        """Give the members by engine."""
        groups: dict[int, list[int]] = {}
        for member, (_judge, engine) in enumerate(self.members):
            groups.setdefault(id(engine), []).append(member)
        return list(groups.values())

    def _settle(self, group: list[int], cases: list[Case], progress: Progress) -> dict[int, list[Heard]]:
        several = [self.members[member] for member in group]
        heard, paid = settle(several, cases, ledger=self.ledger, progress=progress)
        for key, value in paid.items():
            self.paid[key] = self.paid.get(key, 0) + value
        for member, said in zip(group, heard, strict=True):
            for one in said:
                one.member = member
        return dict(zip(group, heard, strict=True))

    def _kept(self, member: int, block: int, cases: list[Case]) -> list[Heard]:
        told = pickle.loads((self.scratch / f"{member}-{block}").read_bytes())  # noqa: S301 - written here just before
        return [Heard(case, member, said, verdicts) for case, (said, verdicts) in zip(cases, told, strict=True)]


def _rounds(
    judge: ReplyJudge, heard: Sequence[Heard], engine: Engine, ledger: Ledger, progress: Progress
) -> Iterator[Mapping[str, Any]]:
    """Ask until no case has a question left, then let the judge read; gives each round's counts."""
    open_ = list(heard)
    while open_:
        asked = [(one, judge.ask(one.case.sample, one.case.texts, one.said)) for one in open_]
        asked = [(one, queries) for one, queries in asked if queries]
        requests = [_request(query, engine) for _, queries in asked for query in queries]
        if requests:
            answers = ask(requests, engine, ledger, progress=partial(_tell, progress, len(requests)))
            replies = iter(answers.replies)
            for one, queries in asked:
                one.said += [next(replies) for _ in queries]
            yield answers.counts()
        open_ = [one for one, _ in asked if one.error is None]
    for one in heard:
        one.verdicts = _read(judge, one)
    if judge.base is not None:
        _add(judge.base, heard)


def _add(base: BatchVerifier, heard: Sequence[Heard]) -> None:
    """Add to each score what `base` gives the reply; where it gives none there is no verdict."""
    scored = [(one, at) for one in heard for at, verdict in enumerate(one.verdicts) if verdict.score is not None]
    if not scored:
        return  # so that a plan loads no reward model
    try:
        added = base.verify([(one.case.texts[at], one.case.sample) for one, at in scored])
    finally:
        base.close()
    for (one, at), more in zip(scored, added, strict=True):
        one.verdicts[at] = _sum(one.verdicts[at], more)


def _sum(verdict: Verdict, more: Verdict) -> Verdict:
    if verdict.score is None or more.score is None:
        return replace(verdict, score=None, status=more.status, why=f"the reward model: {more.why}")
    told = f"{verdict.score:+.4g} on a reward model's {more.score:.4g}"
    return replace(verdict, score=verdict.score + more.score, why=told)


def _tell(progress: Progress, whole: int, done: int) -> None:
    progress(done, whole)


def _request(query: Query, engine: Engine) -> Request:
    return Request(query.chat, query.sampling, engine.model, engine.revision, query.sample)


def _read(judge: ReplyJudge, one: Heard) -> list[Verdict]:
    if one.error is not None:
        answers = tuple(reply.text for reply in one.said)
        return [Verdict(None, "error", one.error, answers=answers)] * len(one.case.texts)
    return judge.read(one.case.sample, one.case.texts, one.said)


def in_rounds(judge: ReplyJudge | PairJudge) -> ReplyJudge:
    """Give a judge of replies as it is, and of a pair as one that asks both orders in one round."""
    if isinstance(judge, ReplyJudge):
        return judge

    def questions(sample: Sample, texts: Sequence[str], said: Sequence[Reply]) -> list[Query]:
        pair = Pair(sample["prompt"], texts[0], texts[1])
        return [] if said else [Query(chat, judge.sampling) for chat in judge.ask(pair)]

    def verdict(_sample: Sample, _texts: Sequence[str], said: Sequence[Reply]) -> list[Verdict]:
        return [judge.read(said)]

    return ReplyJudge(questions, verdict, together=True)


def judgment(name: str, heard: Heard, verdict: Verdict, ids: tuple[str, str | None]) -> dict[str, Any]:
    """Give the row of a member's verdict in the table `judgments`."""
    return {
        "sample_id": heard.case.sample["id"],
        "candidate_id": ids[0],
        "other_id": ids[1],
        "judge": name,
        "member": heard.member,
        **verdict_row(verdict),
        "extracted": verdict.extracted,
        "answers": list(verdict.answers),
        "prompt_tokens": sum(reply.prompt_tokens or 0 for reply in heard.said),
        "reply_tokens": sum(reply.reply_tokens or 0 for reply in heard.said),
    }


def verdict_row(verdict: Verdict) -> dict[str, Any]:
    """Give a verdict's columns that scores, comparisons and judgments share."""
    return {"score": verdict.score, "status": verdict.status, "why": verdict.why}
