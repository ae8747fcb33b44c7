"""The third stage: candidates for every kept prompt, each answer asked through the ledger.

Memory is bounded by a shard of the samples and one of the candidates, and by what waits for a reply.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from generators.asking import Asking
from generators.ledger import Ledger
from generators.pool import Pool
from generators.sweep import Sweep, variants
from pipelines.sections import Generate
from pipelines.store import Stored, Writer, once, shards
from pipelines.versions import code_version
from schemas.chats import Chat, content_id
from schemas.engines import Engine, Reply, Request, Sampling
from schemas.tables import CANDIDATES, SAMPLES, Ranked

SOURCE = "source"  # the model's name of a reply that came with the data
AT_ONCE = 5_000  # candidates made into a frame

Progress = Callable[[int, int], None]
Write = Callable[[pl.DataFrame], object]
NOTHING_ASKED = {"asked": 0, "from_ledger": 0, "failed": 0}


def generate(
    store: Path,
    curated: Stored,
    section: Generate | None,
    *,
    seed: int,
    engine: Engine | Pool | None,
    ledger: Ledger,
    progress: Progress,
) -> Stored:
    """Make the table `candidates`: the recipe's number of answers to each kept prompt, and the replies it came with.

    Without a `[generate]` section the replies that came with the data are the only candidates. An answer that failed is
    a row with its reason.
    """
    question = {
        "samples": curated.key,
        "generate": section.model_dump() if section else None,
        "seed": seed,
        "model": [engine.model, engine.revision] if engine else None,
        "code": code_version(__name__),
    }

    def build(folder: Path) -> dict[str, Any]:
        samples = shards(curated, "kept", SAMPLES)
        with Writer(folder, "candidates", CANDIDATES) as table:
            if section is None or engine is None:
                facts = dict(NOTHING_ASKED)
                for shard in samples:
                    _write(source_rows(shard), table.write)
            else:
                facts = answer(
                    samples,
                    Draws(engine, section.samples, sweep_of(section, seed), section.system),
                    ledger,
                    keep_reply=section.keep_reply,
                    write=table.write,
                    progress=lambda done: progress(done, curated.facts["kept"] * section.samples),
                )
        return {"candidates": table.rows, **facts}

    return once(store, "generate", question, build)


def sweep_of(section: Generate, seed: int) -> Sweep:
    """Give what a section draws answers with."""
    drawn = (section.temperature, section.top_p, section.min_p, section.systems, section.personas)
    return Sweep(*drawn, section.max_tokens, section.stop, seed)


def generator_of(section: Generate, engine: Callable[[str], Engine]) -> Engine | Pool:
    """Give a section's engine, or the pool of its engines; `engine` gives one by name."""
    if section.engine is not None:
        return engine(section.engine)
    return Pool({name: engine(name) for name in section.pool}, section.pool)


@dataclass(frozen=True)
class Draws:
    """How a prompt's answers are drawn: whose they are, how many, in which ways; `system` where the row has no text."""

    engine: Engine | Pool
    count: int
    sweep: Sweep
    system: str | None = None

    @cached_property
    def ways(self) -> list[tuple[Sampling, str | None]]:
        """Each answer's sampling and system text."""
        return [variants(self.sweep, sample) for sample in range(self.count)]

    def requests(self, sample_id: str, prompt: Chat, tools: str | None) -> list[Request]:
        """Give the requests for a prompt's answers."""
        chats = {system: _chat(prompt, system or self.system) for _sampling, system in self.ways}
        found = []
        for sample, (sampling, system) in enumerate(self.ways):
            one = self.engine.of(self.sweep.seed, sample_id, sample) if isinstance(self.engine, Pool) else self.engine
            found.append(Request(chats[system], sampling, one.model, one.revision, sample, tools))
        return found


def answer(
    samples: Iterable[pl.DataFrame],
    draws: Draws,
    ledger: Ledger,
    *,
    keep_reply: bool,
    write: Write,
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """Ask for the answers to each prompt, give the candidates to `write`, prompt by prompt, and what was paid.

    With `keep_reply` the replies that a prompt came with stand before its answers.
    """
    waiting: deque[tuple[str, list[dict[str, Any]], list[Request]]] = deque()  # samples, own replies, what is asked

    def requests() -> Iterator[Request]:
        for row, asked in asked_of(samples, draws):
            own = source_candidates(row["id"], row["reply"], row["replies"]) if keep_reply else []
            waiting.append((row["id"], own, asked))
            yield from asked

    asking = Asking(requests(), draws.engine, ledger, progress=progress)

    def rows() -> Iterator[dict[str, Any]]:
        replies = iter(asking)
        for first in replies:
            sample_id, own, asked = waiting.popleft()
            yield from reversed(own)
            for request, reply in zip(asked, [first, *islice(replies, draws.count - 1)], strict=True):
                yield candidate(sample_id, request, reply)

    _write(rows(), write)
    return asking.counts()


def asked_of(samples: Iterable[pl.DataFrame], draws: Draws) -> Iterator[tuple[dict[str, Any], list[Request]]]:
    """Give each sample with the requests for its candidates."""
    for shard in samples:
        for row in shard.select("id", "prompt", "tools", "reply", "replies").iter_rows(named=True):
            yield row, draws.requests(row["id"], row["prompt"], row["tools"])


def _write(rows: Iterable[dict[str, Any]], write: Write) -> None:
    rows = iter(rows)
    while some := list(islice(rows, AT_ONCE)):
        write(pl.DataFrame(some, schema=CANDIDATES))


def source_rows(samples: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Give the rows of the replies that samples came with."""
    for sample_id, reply, replies in samples.select("id", "reply", "replies").iter_rows():
        yield from reversed(source_candidates(sample_id, reply, replies))


def _chat(prompt: Chat, system: str | None) -> Chat:
    """Give the messages with only the keys that are set, the recipe's system text first where the row has none."""
    turns: Chat = [
        {"role": turn["role"], "content": turn["content"]}
        if turn.get("tool_calls") is None
        else {"role": turn["role"], "content": turn["content"], "tool_calls": turn["tool_calls"]}
        for turn in prompt
    ]
    if system is None or turns[0]["role"] == "system":
        return turns
    return [{"role": "system", "content": system}, *turns]


def candidate(sample_id: str, request: Request, reply: Reply) -> dict[str, Any]:
    """Give the row of a request and its reply."""
    sampling = request.sampling
    return {
        "id": content_id(sample_id, request.key),
        "sample_id": sample_id,
        "text": reply.text,
        "model": reply.model or request.model,
        "revision": request.revision,
        "request_key": request.key,
        "sample": request.sample,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "seed": request.seed,
        "finish_reason": reply.finish_reason,
        "prompt_tokens": reply.prompt_tokens,
        "reply_tokens": reply.reply_tokens,
        "logprob": reply.logprob,
        "status": "answered" if reply.error is None else "error",
        "why": reply.error,
    }


def source_candidates(sample_id: str, reply: str | None, replies: list[Ranked] | None) -> list[dict[str, Any]]:
    """Give the rows of the replies that came with the data, each text once: the sample's own is number -1, others less.

    A sample's own reply has the same id whatever others came with it.
    """
    others = dict.fromkeys(other["text"] for other in replies or [] if other["text"] != reply)
    ids = [(content_id(sample_id, SOURCE), reply, -1)] if reply is not None else []
    ids += [(content_id(sample_id, SOURCE, text), text, -at) for at, text in enumerate(others, 2)]
    shared = dict.fromkeys(CANDIDATES) | {"sample_id": sample_id, "model": SOURCE, "status": "answered"}
    return [shared | {"id": row, "text": text, "sample": at} for row, text, at in ids]
