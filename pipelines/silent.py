"""What stands in a plan for the ledger, which is only read, and for the engines, which are not asked."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from generators.ledger import Ledger
from pipelines.forecast import BYTES_PER_TOKEN, Model
from pipelines.supposed import answer, drafts
from schemas.engines import Reply, Request

SEEDS = "curate seeds"  # the stage that keeps what new prompts start from
SAMPLE = 200  # requests of a stage by which the tokens are measured


@dataclass
class Tally:
    """What a stage would ask one model: how many requests, and some of them, each as likely as another."""

    requests: int = 0
    sample: list[Request] = field(default_factory=list)
    reply_tokens: float = 0.0
    chance: Random = field(default_factory=lambda: Random(0))

    def add(self, request: Request, reply_tokens: float) -> None:
        """Count a request."""
        self.requests += 1
        self.reply_tokens += reply_tokens
        if len(self.sample) < SAMPLE:
            self.sample.append(request)
        elif (at := self.chance.randrange(self.requests)) < SAMPLE:
            self.sample[at] = request


@dataclass(frozen=True)
class Reading(Ledger):
    """A ledger that is only read, and counts what it finds; it holds what was asked of the seeds, which comes twice."""

    counts: dict[str, int] = field(default_factory=lambda: {"found": 0})
    seeds: dict[str, Reply] = field(default_factory=dict)
    stage: list[str] = field(default_factory=list)  # the last is the present one

    def find(self, keys: Sequence[str]) -> dict[str, Reply]:
        """Give what is stored, and count it."""
        found = super().find(keys)
        self.counts["found"] += len(found)
        return found | {key: self.seeds[key] for key in keys if key in self.seeds}

    def store(self, answers: Sequence[tuple[Request, Reply]], found: Sequence[str] = ()) -> dict[str, Reply]:  # noqa: ARG002 - `Ledger`'s
        """Keep nothing for a run."""
        made = {request.key: reply for request, reply in answers}
        if self.stage[-1:] == [SEEDS]:
            self.seeds.update(made)
        return made


@dataclass
class Silent:
    """Stands for an engine that is not asked: counts the requests, and invents answers as long as is expected."""

    known: Model
    tallies: dict[str, Tally] = field(default_factory=dict)  # by stage
    stage: str = ""
    drafts: int = 0  # new prompts that an answer has; of none it is another stage's

    @property
    def model(self) -> str:
        """The engine's."""
        return self.known.engine.model

    @property
    def revision(self) -> str:
        """The engine's."""
        return self.known.engine.revision

    def __call__(self, requests: Iterable[Request], /) -> Iterator[Reply]:
        """Count and invent."""
        tally = self.tallies.setdefault(self.stage, Tally())
        for request in requests:
            tokens, _known = self.known.tokens_out(request.sampling.max_tokens)
            tally.add(request, tokens)
            length = int(tokens * BYTES_PER_TOKEN)
            text = drafts(request, length, self.drafts) if self.drafts else answer(request, length)
            yield Reply(request.key, text, "stop")

    def close(self) -> None:
        """Do nothing: nothing was opened."""
