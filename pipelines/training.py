"""The section `[[train]]` of a recipe: one fine-tuning job."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from generators.budget import read_budget
from pipelines.sections import OneOrMore, Section
from pipelines.trackers import Tracker
from schemas.errors import GristmillError

Method = Literal["sft", "dpo", "kto", "reward", "rloo", "grpo", "preference"]
REINFORCED = ("rloo", "grpo")
LOSSES = {  # as TRL 1.16 names them
    "dpo": (
        *("sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired"),
        *("apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm"),
    ),
    "kto": ("kto", "apo_zero_unpaired"),
    "sft": ("nll", "dft"),
    "grpo": ("grpo", "dapo", "dr_grpo", "bnpo", "cispo", "sapo", "luspo", "vespo"),
}
OWN = {  # keys that only some methods read
    "label_smoothing": ("dpo", "preference"),
    "packing": ("sft",),
    "loss_on": ("sft",),
    "generations": REINFORCED,
    "max_tokens": REINFORCED,
    "temperature": REINFORCED,
    "verifier": REINFORCED,
    "ensemble": ("reward",),
}


def limits_of(said: tuple[str, ...]) -> dict[str, float]:
    """Read limits such as "200steps", "1000000tokens", "30min"; by "steps", "tokens" and "seconds"."""
    steps = {one for one in said if re.fullmatch(r"\d+ ?steps?", one)}
    found = read_budget([one for one in said if one not in steps]).limits if set(said) - steps else {}
    if unknown := set(found) - {"tokens", "seconds"}:
        raise GristmillError(f"training has no {', '.join(sorted(unknown))}; expected 200steps, 1000000tokens, 30min")
    counts = [float(re.sub(r"\D", "", one)) for one in steps]
    return found | ({"steps": min(counts)} if counts else {})


def _readable(said: tuple[str, ...]) -> tuple[str, ...]:
    try:
        limits_of(said)
    except GristmillError as error:
        raise ValueError(str(error)) from error
    return said


Limits = Annotated[OneOrMore[str], AfterValidator(_readable)]


class Lora(Section):
    """Low-rank adapters (arXiv 2106.09685) on `targets`, "all-linear" or names of layers, in the place of all weights.

    The checkpoint is the merged model; the adapter lies beside it.
    """

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: OneOrMore[str] = ("all-linear",)


class Only(Section):
    """Which rows are trained on: those that meet all that is told, each by one of its values.

    `sources` are the rows' sources, `checks` the verifiers of an RL prompt ("reference": it brings a gold answer and no
    check of its own), `matching` regular expressions that the last turn of the prompt contains.
    """

    sources: OneOrMore[str] = ()
    checks: OneOrMore[str] = ()
    matching: OneOrMore[str] = ()


class Training(Section):
    """One TRL job; `arguments` go to TRL's configuration as they are.

    Without `learning_rate` it is TRL's own for the method. `method` "preference" is DPO or KTO, as the data has pairs;
    "reward" trains `ensemble` reward models on the preferences, each by a seed of its own. `base` names another model
    than the one before it. `trainable` are regular expressions: only weights whose names contain one of them are
    trained. Training stops at the first limit of `budget` that is reached. `accelerate` are the options of `accelerate
    launch`. A `tracker` is told what the job logs; no result depends on it.
    """

    method: Method
    base: str | None = None
    loss: OneOrMore[str] = ()
    label_smoothing: float | None = Field(default=None, ge=0, lt=0.5)
    lora: Lora | None = None
    trainable: OneOrMore[str] = ()
    packing: bool = False
    loss_on: Literal["reply", "assistant", "all"] = "reply"
    only: Only = Only()
    generations: int = Field(default=8, ge=2)
    max_tokens: int = Field(default=256, ge=1)
    temperature: float = Field(default=1.0, gt=0)
    verifier: str = "judges.math:final_answer"
    ensemble: int = Field(default=1, ge=1, le=16)
    epochs: float = Field(default=1.0, gt=0)
    learning_rate: float | None = Field(default=None, gt=0)
    batch_size: int = Field(default=32, ge=1)
    max_length: int = Field(default=512, ge=2)
    budget: Limits = ()
    checkpoint_every: Limits = ("10min",)
    tracker: Tracker | None = None
    accelerate: dict[str, str | int | float | bool] = Field(default_factory=dict)
    arguments: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def fits_its_method(self) -> Self:
        """Hold the section to what its method can do."""
        if faults := list(_faults(self)):
            raise ValueError("; ".join(faults))
        return self


def _faults(section: Training) -> Iterator[str]:
    method = section.method
    known = LOSSES.get("dpo" if method == "preference" else method, ())
    for loss in section.loss:
        if loss not in known:
            yield f"loss {loss!r}: {method} has {', '.join(known) or 'one loss, which has no name'}"
    for key, methods in OWN.items():
        if key in section.model_fields_set and method not in methods:
            yield f"{key} is of {' and '.join(methods)}, not of {method}"
    if section.only.checks and method not in REINFORCED:
        yield f"only.checks is of {' and '.join(REINFORCED)}: the other datasets don't tell a row's check"
    if len(section.loss) > 1 and method not in {"dpo", "preference"}:
        yield f"{method} takes one loss"
    batch = section.batch_size * int(section.arguments.get("gradient_accumulation_steps", 1))
    if method in REINFORCED and batch % section.generations:
        yield f"a batch of {batch} replies is no multiple of generations, {section.generations} a prompt"
    if method == "kto" and section.batch_size < 2:  # noqa: PLR2004 - the others are its measure
        yield "kto compares a row with the others of its batch: batch_size is at least 2"
    if section.lora and section.trainable:
        yield "lora trains adapters and trainable names weights of the model itself: take one of the two"
    for key, patterns in (("only.matching", section.only.matching), ("trainable", section.trainable)):
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                yield f"{key} {pattern!r}: {error}"
