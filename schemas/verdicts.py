"""Verdicts, and what gives them: verifiers, judges of replies, judges of a pair, juries of judges."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.chats import Chat
from schemas.engines import Reply, Sampling
from schemas.parts import PartError
from schemas.tables import Sample

Status = Literal["scored", "unparsed", "error", "timeout", "no_reference", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """A score, or why there is none. `score` is null exactly when `status` is not "scored".

    Of one reply: higher is better; a verifier gives 1.0 (pass) or 0.0 (fail), a judge 0.0 to 1.0. Of a pair: 1.0 the
    first is better, -1.0 the second, 0.0 a tie, so that swapping the pair negates the score. `extracted` is what was
    compared, `answers` is what the judge said, one text a chat. "undecided" is a judge that spoke without settling the
    matter, or a reply that has none to be compared with.
    """

    score: float | None
    status: Status = "scored"
    why: str = ""
    extracted: str | None = None
    answers: tuple[str | None, ...] = ()

    def __post_init__(self) -> None:
        if (self.score is None) == (self.status == "scored"):
            raise ValueError(f"a verdict has a score or a reason, not both and not neither: {self}")


@dataclass(frozen=True)
class Pair:
    """Two replies to one prompt, the first and the second."""

    prompt: Chat
    first: str
    second: str


@dataclass(frozen=True)
class Verifier:
    """Scores a reply without a model, from the sample's `reference` or `check`."""

    verify: Callable[[str, Sample], Verdict]


@dataclass(frozen=True)
class PairJudge:
    """Two pure functions: `ask` gives the chats that settle a pair, `read` the verdict in their answers, in order."""

    ask: Callable[[Pair], list[Chat]]
    read: Callable[[Sequence[Reply]], Verdict]
    sampling: Sampling


@dataclass(frozen=True)
class Query:
    """One chat that a judge wants answered: the `sample`-th answer (from 0), drawn by `sampling`."""

    chat: Chat
    sampling: Sampling
    sample: int = 0


@dataclass(frozen=True)
class BatchVerifier:
    """Scores many replies at once, each with its sample, without asking an engine: a reward model, say.

    A verdict must not depend on what it is scored with. `revision` names the weights; `close` frees the device.
    """

    verify: Callable[[Sequence[tuple[str, Sample]]], list[Verdict]]
    revision: str
    close: Callable[[], None]


@dataclass(frozen=True)
class ReplyJudge:
    """Two pure functions: `ask` gives the next questions about replies to a sample, `read` a verdict for each reply.

    `ask` sees what was answered so far and is called until it gives none, so that a question can rest on an answer (a
    rubric is written, then applied). Neither sees a reply that met an error: then the verdicts are errors. `together`
    says that all of a sample's different texts are told at once; else each is judged alone. Where a question rests on
    an answer, `suppose` gives a text that the answer of a number (from 0) may have, one of those that most is asked
    after: by it is foreseen what will be asked. `revision` names what the verdicts rest on besides the questions. What
    `base` gives a reply is added to its score; without it there is none.
    """

    ask: Callable[[Sample, Sequence[str], Sequence[Reply]], list[Query]]
    read: Callable[[Sample, Sequence[str], Sequence[Reply]], list[Verdict]]
    together: bool = False
    suppose: Callable[[int], str] | None = None
    revision: str = ""
    base: BatchVerifier | None = None


@dataclass(frozen=True)
class Jury:
    """Judges of one kind, of replies or of pairs; `combine` gives one verdict out of the members', in their order.

    Members are the judges, each asked by the engine of its place; one judge is asked by each engine, and one engine
    asks each judge.
    """

    judges: tuple[ReplyJudge, ...] | tuple[PairJudge, ...]
    combine: Callable[[Sequence[Verdict]], Verdict]


def seats(judge: object, engines: int) -> list[tuple[int, int]]:
    """Give the members of a judge that so many engines answer: the number of each one's judge, and of its engine.

    Raises `PartError` where it is no judge, no engine is named, or judges and engines are several and not as many.
    """
    judges = len(judge.judges) if isinstance(judge, Jury) else 1
    if not isinstance(judge, ReplyJudge | PairJudge | Jury):
        raise PartError([f"{type(judge).__name__} is no judge and no verifier"])
    if not engines:
        raise PartError(["it asks a model: give it `engine`, the name of one of [engines]"])
    if engines > 1 and not isinstance(judge, Jury):
        raise PartError([f"one judge can't ask {engines} engines: judges.jury:of is asked by several"])
    count = max(judges, engines)
    if judges not in {1, count} or engines not in {1, count}:
        raise PartError([f"{judges} judges and {engines} engines: name as many, or one of either"])
    return [(at % judges, at % engines) for at in range(count)]
