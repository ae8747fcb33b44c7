"""What a plan supposes of answers that are not known: as much of them as it takes to count what rests on them."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.sections import JudgePart
from pipelines.store import Stored, Writer, once, shards
from schemas.engines import Reply, Request
from schemas.tables import DROPPED, SAMPLES, Sample
from schemas.verdicts import Jury, Query, ReplyJudge, Verdict

SUPPOSED = "(not written yet)"
BETWEEN = re.compile(r"<(\w+)> and </\1>")  # how a prompt of a grower says where its text is to stand


def answer(request: Request, length: int) -> str:
    """Give a text of so many characters, or its key's, which no other request has."""
    return f"{request.key} ".ljust(length, "x")[: max(length, len(request.key))]


def is_supposed(reply: Reply) -> bool:
    """Tell whether a reply is by `answer`, or `drafts`."""
    return reply.key in (reply.text or "")


def drafts(request: Request, length: int, count: int) -> str:
    """Give so many new prompts between the tags that the request names; plain where it names none."""
    tags = BETWEEN.findall(request.chat[-1]["content"]) if request.writes == "assistant" else []
    if not tags:
        return f"{SUPPOSED} {answer(request, length)}"
    each = [f"{SUPPOSED} {at} {answer(request, length // count)}" for at in range(count)]
    return "".join(f"<{tags[-1]}>{text}</{tags[-1]}>" for text in each)


class SupposingPart(JudgePart):
    """A recipe's judge which, where an answer is not known, goes on as if it were what the judge supposes of it."""

    def build(self) -> Any:
        """Build the judge."""
        return _supposing(super().build())


def _supposing(judge: Any) -> Any:
    if isinstance(judge, Jury):
        return replace(judge, judges=tuple(_supposing(one) for one in judge.judges))
    if not isinstance(judge, ReplyJudge) or judge.suppose is None:
        return judge
    suppose = judge.suppose

    def told(said: Sequence[Reply]) -> list[Reply]:
        return [replace(one, text=suppose(at)) if is_supposed(one) else one for at, one in enumerate(said)]

    def ask(sample: Sample, texts: Sequence[str], said: Sequence[Reply]) -> list[Query]:
        return judge.ask(sample, texts, told(said))

    def read(sample: Sample, texts: Sequence[str], said: Sequence[Reply]) -> list[Verdict]:
        return judge.read(sample, texts, told(said))

    return ReplyJudge(ask, read, judge.together, suppose)


def with_supposed(store: Path, samples: Stored, curated: Stored) -> Stored:
    """Give the curated samples with the supposed ones that fell: what a rule says of an invented text means nothing."""

    def build(folder: Path) -> dict[str, Any]:
        fallen = [shard.filter(_SUPPOSED).select(*SAMPLES) for shard in shards(curated, "dropped", DROPPED)]
        back = pl.concat(fallen)
        with Writer(folder, "kept", SAMPLES) as kept:
            for shard in shards(curated, "kept", SAMPLES):
                kept.write(shard)
            kept.write(back)
        return {**curated.facts, "kept": kept.rows}

    return once(store, "curate", {"samples": samples.key, "curated": curated.key}, build)


_SUPPOSED = (
    pl.col("prompt").list.eval(pl.element().struct.field("content").str.contains(SUPPOSED, literal=True)).list.any()
)
