"""The sections of a recipe that train more than once: the proof of its data, and loops over its stages."""

import inspect
import pkgutil
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pipelines.sections import FilterPart, JudgePart, Section, SelectPart
from pipelines.training import REINFORCED
from schemas.parts import nearest

Method = Literal["rejection", "rest", "rest-em", "dpo", "best-of-n", "hybrid"]


class Arm(Section):
    """Another way to make the data, to be held against the recipe's own; what isn't named is as in the recipe.

    `without` names rules and judges that are left out; `filters`, `judges` and `select` stand in the recipe's place;
    `share` is how much of the prompts' data is used; `methods` which of the recipe's jobs are run. `raw` is the data as
    it came, `shuffled` the recipe's with the verdicts permuted among all candidates.
    """

    without: tuple[str, ...] = ()
    filters: tuple[FilterPart, ...] | None = None
    judges: tuple[JudgePart, ...] | None = None
    select: SelectPart | None = None
    share: float = Field(default=1.0, gt=0, le=1)
    methods: tuple[str, ...] = ()
    raw: bool = False
    shuffled: bool = False


class Prove(Section):
    """How the data is proven: an arm's jobs read `work` times the tokens that the recipe's own jobs do, all the same.

    `seeds` are three from the recipe's own on unless given. `k` are the sizes of pass@k; 1 and the evaluation's
    `samples` unless given. `parallel` trainings run at once; that changes no figure.
    """

    seeds: tuple[int, ...] = ()
    work: float = Field(default=1.0, gt=0)
    k: tuple[Annotated[int, Field(ge=1)], ...] = ()
    parallel: int = Field(default=1, ge=1)
    arms: dict[str, Arm] = Field(default_factory=dict)


@dataclass(frozen=True)
class Preset:
    """What a method of the loop is where the recipe says nothing else.

    A threshold is null where the best of a prompt's replies is taken whatever its score.
    """

    thresholds: tuple[float, ...] | None
    start: Literal["base", "last"]
    cap: int | None
    needs: str  # the method of a [[train]] section


PRESETS: dict[Method, Preset] = {
    "rejection": Preset((1.0,), "base", None, "sft"),  # arXiv 2308.01825
    "rest": Preset(None, "last", None, "sft"),  # arXiv 2308.08998
    "rest-em": Preset((1.0,), "base", 10, "sft"),  # arXiv 2312.06585: 10 correct ones a problem at most
    "dpo": Preset(None, "last", None, "dpo"),
    "best-of-n": Preset(None, "base", 1, "sft"),
    "hybrid": Preset((1.0,), "base", None, "sft"),  # then [[train]]'s own: DPO, and RL on what is still weak
}


class Loop(Section):
    """Rounds of generating with the newest policy, scoring, selecting and training.

    `thresholds` rise: each is a pass of training on the replies that score at least so much. `cap` is how many replies
    of a prompt are learned. A round trains from the `base` model or from the `last` checkpoint. Candidates of `memory`
    earlier rounds are selected from too. It stops after `patience` rounds in a row whose pass@1 on the benchmark
    `watch` (the evaluation's unless named) is not above the best so far by more than `least`, a fraction. With `weak`
    RL trains on the families alone in which the policy before it passes less often than so; `families` are patterns by
    name, searched for in the prompt's last turn; a family is a verifier unless given.
    """

    method: Method
    rounds: int = Field(default=3, ge=1)
    thresholds: tuple[float, ...] | None = Field(default=None, min_length=1)
    cap: int | None = Field(default=None, ge=1)
    start: Literal["base", "last"] | None = None
    memory: int = Field(default=0, ge=0)
    watch: str | None = None
    least: float = Field(default=0.0, ge=0)
    patience: int = Field(default=1, ge=1)
    k: tuple[Annotated[int, Field(ge=1)], ...] = ()
    weak: float | None = Field(default=None, gt=0, le=1)
    families: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def rising(self) -> Self:
        """Hold the thresholds to a rising order, and ReST to have some."""
        if self.method == "rest" and self.thresholds is None:
            raise ValueError("rest needs `thresholds`, rising; with verdicts of right and wrong use rest-em")
        if any(later <= earlier for earlier, later in pairwise(self.thresholds or ())):
            raise ValueError(f"thresholds are {self.thresholds}: each must be above the one before")
        for name, pattern in self.families.items():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"families.{name}: {pattern!r} is no pattern: {error}") from error
        return self

    @property
    def passes(self) -> tuple[float | None, ...]:
        """The threshold of each pass of a round; null where the score alone ranks."""
        told = self.thresholds or PRESETS[self.method].thresholds
        return (None,) if told is None else told

    @property
    def begins(self) -> Literal["base", "last"]:
        """What a round trains from."""
        return self.start or PRESETS[self.method].start

    @property
    def most(self) -> int | None:
        """How many replies of a prompt are learned; null where the recipe's rule of selection says so."""
        return self.cap or PRESETS[self.method].cap


def experiment_faults(values: Mapping[str, Any], known: list[str]) -> Iterator[str]:
    """Check what [prove] and [loop] of a raw recipe need of its other sections; `known` names its rules and judges."""
    prove, loop = _table(values.get("prove")), _table(values.get("loop"))
    jobs = [_table(job).get("method") for job in _list(values.get("train"))]
    for which, there in (("prove", prove), ("loop", loop)):
        missing = [name for name in ("generate", "evaluate", "train") if there and not values.get(name)]
        if missing:
            yield f"{which} needs {', '.join(f'[{name}]' for name in missing)} too"
        answers = _table(values.get("evaluate")).get("samples", 4)
        for k in _list(there.get("k")):
            if isinstance(k, int) and isinstance(answers, int) and k > answers:
                yield f"{which}.k: {k} is above evaluate.samples, {answers}: there are no {k} answers to a task"
    for name, arm in _table(prove.get("arms")).items():
        for part in _list(_table(arm).get("without")):
            if part not in known:
                yield f"prove.arms.{name}.without: no rule or judge {part!r}{nearest(str(part), known)}"
        for method in _list(_table(arm).get("methods")):
            if method not in jobs:
                yield f"prove.arms.{name}.methods: no [[train]] has the method {method!r}"
    if loop:
        yield from _loop_faults(loop, jobs, _table(values.get("benchmarks")))
        if any(_table(job).get("base") for job in _list(values.get("train"))):
            yield "train.base: a loop's jobs go on from the policy of [generate]; name the model there"


def _loop_faults(loop: dict[str, Any], jobs: list[Any], benchmarks: dict[str, Any]) -> Iterator[str]:
    if (method := loop.get("method")) in PRESETS and jobs and PRESETS[method].needs not in jobs:
        yield f"loop.method: {method} needs a [[train]] with method = {PRESETS[method].needs!r}"
    if (loop.get("method") == "hybrid" or "weak" in loop) and jobs and not set(jobs) & set(REINFORCED):
        yield f"loop: {' and '.join(REINFORCED)} are what `weak` and hybrid are about, and no [[train]] is one"
    if loop.get("method") == "hybrid" and "weak" not in loop:
        yield "loop.weak: hybrid needs it, a fraction: RL trains on families that pass less often"
    watch = loop.get("watch")
    if isinstance(watch, str) and watch not in benchmarks:
        yield f"loop.watch: no benchmark {watch!r}{nearest(watch, benchmarks)}"


def takes(use: str) -> set[str]:
    """Name the keyword arguments of a part."""
    return set(inspect.signature(pkgutil.resolve_name(use)).parameters)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
