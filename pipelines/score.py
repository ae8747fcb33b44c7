"""The fourth stage: what verifiers and judges say of the candidates.

Memory is bounded by a shard of each table, and by what is asked of 5,000 samples at a time.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import polars as pl

import judges
from generators.ledger import Ledger
from pipelines.curate import names
from pipelines.judging import Block, Case, Heard, Hearing, Progress, in_rounds, judgment, members, verdict_row
from pipelines.sections import JudgePart
from pipelines.steps import in_step
from pipelines.store import Stored, Writer, once, sha256, shards
from pipelines.versions import code_version
from schemas.chats import content_id
from schemas.engines import Engine
from schemas.tables import CANDIDATES, COMPARISONS, JUDGMENTS, SAMPLES, SCORES, Sample
from schemas.verdicts import BatchVerifier, Jury, PairJudge, ReplyJudge, Verdict, Verifier

PairDrawn = tuple[str, tuple[str, str], tuple[str, str]]  # a sample's id, and twice a candidate's id and text
TABLES = {"scores": SCORES, "comparisons": COMPARISONS, "judgments": JUDGMENTS}
FIXED = cast("Sample", {"id": "s", "prompt": [{"role": "user", "content": "p"}], "reference": "r", "check": None})
Asked = ReplyJudge | PairJudge | Jury
Rows = dict[str, list[dict[str, Any]]]  # by table


def score(
    store: Path,
    curated: Stored,
    generated: Stored,
    parts: Sequence[JudgePart],
    *,
    engines: Mapping[str, Engine],
    ledger: Ledger,
    progress: Progress,
) -> list[Stored]:
    """Give one stored output a judge, each with the tables `scores`, `comparisons` and `judgments`.

    One of the first two is empty. In the third is what each member of a jury and each judge of replies said.
    """
    return [
        _score_with(store, curated, generated, part=part, name=name, engines=engines, ledger=ledger, progress=progress)
        for name, part in zip(names(parts), parts, strict=True)
    ]


def _score_with(
    store: Path,
    curated: Stored,
    generated: Stored,
    *,
    part: JudgePart,
    name: str,
    engines: Mapping[str, Engine],
    ledger: Ledger,
    progress: Progress,
) -> Stored:
    judge = part.build()
    asked = [engines[one] for one in part.asks]
    models = [[engine.model, engine.revision] for engine in asked]
    question = {
        "candidates": generated.key,
        "samples": curated.key,
        "judge": part.model_dump(exclude={"calibrated"}),
        "name": name,
        "model": models[0] if len(models) == 1 else models or None,
        "code": judging_code(part.use),
        "prompts": prompts_of(judge),
    }

    def build(folder: Path) -> dict[str, Any]:
        facts: dict[str, Any] = {"judge": name, "asked": 0, "from_ledger": 0, "failed": 0}
        with ExitStack() as opened:
            tables = {one: opened.enter_context(Writer(folder, one, schema)) for one, schema in TABLES.items()}
            blocks = Blocks(curated, generated, progress)
            if isinstance(judge, Verifier | BatchVerifier):
                made: Iterator[Rows] = _verified(name, judge, blocks)
            else:
                scratch = Path(opened.enter_context(TemporaryDirectory(dir=folder)))
                hearing = Hearing(members(judge, asked), ledger, scratch, facts)
                cases = partial(_cases, judge, part.pairs, blocks)
                made = (rows_of(name, judge, heard, answered) for (_, _, answered), heard in hearing(cases))
            for rows in made:
                for one, some in rows.items():
                    tables[one].write(pl.DataFrame(some, schema=TABLES[one]))
        return facts | {one: table.rows for one, table in tables.items()}

    return once(store, "score", question, build)


@dataclass(frozen=True)
class Blocks:
    """The kept samples, some at a time, with their answered candidates; may be gone through more than once."""

    curated: Stored
    generated: Stored
    progress: Progress

    def __iter__(self) -> Iterator[tuple[dict[str, Sample], pl.DataFrame, Progress]]:
        """Give a block's samples by id, its candidates, and the progress whose whole is this block."""
        done, every = 0, self.generated.facts["candidates"]
        kept, made = shards(self.curated, "kept", SAMPLES), shards(self.generated, "candidates", CANDIDATES)
        for samples, candidates in in_step(kept, made):
            answered = candidates.filter(pl.col("status") == "answered")
            yield samples_by_id(samples), answered, partial(self._tell, done, candidates.height, every)
            done += candidates.height

    def _tell(self, before: int, share: int, every: int, done: int, whole: int) -> None:
        self.progress(before + share * done // whole, every)


def _verified(name: str, judge: Verifier | BatchVerifier, blocks: Blocks) -> Iterator[Rows]:
    try:
        for samples, answered, progress in blocks:
            if isinstance(judge, Verifier):
                yield {"scores": verify(name, judge, samples, answered, progress)}
            else:
                yield {"scores": verify_together(name, judge, samples, answered)}
    finally:
        if isinstance(judge, BatchVerifier):
            judge.close()


def _cases(judge: Asked, pairs: int, blocks: Blocks) -> Iterator[Block]:
    one = judge.judges[0] if isinstance(judge, Jury) else judge
    for samples, answered, progress in blocks:
        yield list(cases_of(one, answered, samples, pairs)), progress, answered


def judging_code(use: str) -> str:
    """Name the code that a verdict depends on: all judges, because a sample's own check may name any of them."""
    return code_version(
        use.partition(":")[0],
        "judges",
        "judges.jail",
        "schemas.verdicts",
        "pipelines.judging",
        "pipelines.steps",
        __name__,
    )


def samples_by_id(samples: pl.DataFrame) -> dict[str, Sample]:
    """Give the samples as rows, by id."""
    return {row["id"]: cast("Sample", row) for row in samples.iter_rows(named=True)}


def prompts_of(judge: Verifier | BatchVerifier | Asked) -> list[Any]:
    """Give what a judge asks of fixed replies, and the prompt files, or its weights: what makes it another judge."""
    if isinstance(judge, BatchVerifier):
        return [judge.revision]
    if isinstance(judge, Verifier):
        return []
    told = judge.judges if isinstance(judge, Jury) else (judge,)
    files = sorted(Path(judges.__file__).with_name("prompts").glob("*.txt"))
    asked = [vars(query) for one in told for query in in_rounds(one).ask(FIXED, ["a", "b"], [])]
    return [*asked, *map(sha256, files), *_revisions(told)]


def _revisions(told: Sequence[ReplyJudge | PairJudge]) -> list[str]:
    """Give what the judges' verdicts rest on besides what they ask: fitted weights, a reward model."""
    bases = [one.base for one in map(in_rounds, told) if one.base is not None]
    return [*(one.revision for one in map(in_rounds, told) if one.revision), *(base.revision for base in bases)]


def verify(
    name: str, verifier: Verifier, samples: Mapping[str, Sample], candidates: pl.DataFrame, progress: Progress
) -> list[dict[str, Any]]:
    """Give a verifier's verdict on every candidate; one text of one sample is verified once."""
    known: dict[tuple[str, str], Verdict] = {}
    rows = []
    for done, (row, sample_id, text) in enumerate(candidates.select("id", "sample_id", "text").iter_rows(), 1):
        verdict = known.get((sample_id, text)) or verifier.verify(text, samples[sample_id])
        known[sample_id, text] = verdict
        rows.append(_score_row(name, sample_id, row, verdict))
        progress(done, candidates.height)
    return rows


def verify_together(
    name: str, verifier: BatchVerifier, samples: Mapping[str, Sample], candidates: pl.DataFrame
) -> list[dict[str, Any]]:
    """Give a batch verifier's verdict on every candidate; one text of one sample is scored once."""
    rows = candidates.select("id", "sample_id", "text").rows()
    asked = list(dict.fromkeys((sample_id, text) for _row, sample_id, text in rows))
    verdicts = verifier.verify([(text, samples[sample_id]) for sample_id, text in asked])
    known = dict(zip(asked, verdicts, strict=True))
    return [_score_row(name, sample_id, row, known[sample_id, text]) for row, sample_id, text in rows]


def pairs_of(candidates: pl.DataFrame, count: int) -> list[PairDrawn]:
    """Draw up to `count` pairs of different texts a sample.

    The draw is by the hash of the pair, so it is the same in every run; which of the two comes first is so too.
    """
    drawn = []
    for (sample_id,), rows in different_texts(candidates).group_by(["sample_id"], maintain_order=True):
        every = itertools.permutations(rows.select("id", "text").iter_rows(), 2)
        ranked = sorted((content_id(sample_id, a[0], b[0]), a, b) for a, b in every)
        seen: set[frozenset[str]] = set()
        for _rank, a, b in ranked:
            if len(seen) < count and frozenset((a[0], b[0])) not in seen:
                seen.add(frozenset((a[0], b[0])))
                drawn.append((str(sample_id), a, b))
    return drawn


def cases_of(
    judge: ReplyJudge | PairJudge, candidates: pl.DataFrame, samples: Mapping[str, Sample], count: int
) -> Iterator[Case]:
    """Give what is judged at once: up to `count` pairs a sample, or its different texts, together or each alone.

    The order of texts says nothing of who wrote them.
    """
    if isinstance(judge, PairJudge):
        for sample_id, a, b in pairs_of(candidates, count):
            yield Case(samples[sample_id], (a[0], b[0]), (a[1], b[1]))
        return
    for (sample_id,), rows in different_texts(candidates).group_by(["sample_id"], maintain_order=True):
        drawn = sorted(rows.select("id", "text").iter_rows(), key=lambda row: content_id(sample_id, row[1]))
        for group in [drawn] if judge.together else [[one] for one in drawn]:
            yield Case(samples[str(sample_id)], tuple(row for row, _ in group), tuple(text for _, text in group))


def different_texts(candidates: pl.DataFrame) -> pl.DataFrame:
    """Give each sample's different texts under the id of the first candidate that has it."""
    return candidates.select("sample_id", "id", "text").unique(["sample_id", "text"], keep="first", maintain_order=True)


def rows_of(name: str, judge: Asked, heard: Sequence[Sequence[Heard]], candidates: pl.DataFrame) -> Rows:
    """Give the rows of what the members said: of replies, or of pairs."""
    kind = judge.judges[0] if isinstance(judge, Jury) else judge
    if isinstance(kind, PairJudge):
        return comparison_rows(name, judge, heard)
    return score_rows(name, judge, heard, candidates)


def score_rows(name: str, judge: Asked, heard: Sequence[Sequence[Heard]], candidates: pl.DataFrame) -> Rows:
    """Give what was said of each text, and one score for each candidate that has it."""
    judgments, settled = [], {}
    for said in zip(*heard, strict=True):
        case = said[0].case
        for at, (row, text) in enumerate(zip(case.ids, case.texts, strict=True)):
            verdicts = [one.verdicts[at] for one in said]
            settled[case.sample["id"], text] = settled_of(judge, verdicts)
            judgments += [
                judgment(name, one, verdict, (row, None)) for one, verdict in zip(said, verdicts, strict=True)
            ]
    every = candidates.select("id", "sample_id", "text").iter_rows()
    return {
        "scores": [_score_row(name, sample, row, settled[sample, text]) for row, sample, text in every],
        "judgments": judgments,
    }


def comparison_rows(name: str, judge: Asked, heard: Sequence[Sequence[Heard]]) -> Rows:
    """Give a verdict for each pair, and what each member of a jury said of it."""
    judgments: list[dict[str, Any]] = []
    comparisons = []
    for said in zip(*heard, strict=True):
        verdicts = [one.verdicts[0] for one in said]
        settled, (a, b) = settled_of(judge, verdicts), said[0].case.ids
        answers = [None, None] if isinstance(judge, Jury) else [verdicts[0].answers[0], verdicts[0].answers[-1]]
        replies = [reply for one in said for reply in one.said]
        comparisons.append(
            {
                "sample_id": said[0].case.sample["id"],
                "a_id": a,
                "b_id": b,
                "judge": name,
                **verdict_row(settled),
                "a_first": answers[0],
                "b_first": answers[1],
                "prompt_tokens": sum(reply.prompt_tokens or 0 for reply in replies),
                "reply_tokens": sum(reply.reply_tokens or 0 for reply in replies),
            }
        )
        if isinstance(judge, Jury):
            judgments += [judgment(name, one, verdict, (a, b)) for one, verdict in zip(said, verdicts, strict=True)]
    return {"comparisons": comparisons, "judgments": judgments}


def settled_of(judge: Asked, verdicts: Sequence[Verdict]) -> Verdict:
    """Give the one verdict of a judge's members."""
    return judge.combine(verdicts) if isinstance(judge, Jury) else verdicts[0]


def _score_row(name: str, sample: str, candidate: str, verdict: Verdict) -> dict[str, Any]:
    ids = {"sample_id": sample, "candidate_id": candidate, "judge": name}
    return {**ids, **verdict_row(verdict), "extracted": verdict.extracted}
