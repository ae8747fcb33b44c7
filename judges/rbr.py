"""Rule-based rewards: classes of replies by combinations of propositions, and a weight for each (arXiv 2411.01111)."""

import tomllib
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from judges.propositions import HARD, SOFT, probability, question
from judges.reward import scored
from schemas.chats import content_id
from schemas.engines import Reply
from schemas.parts import PartError, nearest
from schemas.tables import Sample
from schemas.verdicts import Query, ReplyJudge, Verdict

Literals = dict[str, bool]  # propositions or derived ones, all of which are as said
HALF = 0.5
GIVEN = "given"  # the rows told what the reward model says, and not which it is


class Rules(BaseModel):
    """What is asked of a reply, and how the answers make classes.

    `order` names the classes, the best first; `propositions` holds the question of each; `derived` propositions and the
    classes of each response type are conjunctions of propositions, each true or false, and of derived ones before them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    order: tuple[str, ...]
    propositions: dict[str, str]
    derived: dict[str, Literals] = {}
    classes: dict[str, dict[str, Literals]]  # by response type

    @model_validator(mode="after")
    def _known(self) -> "Rules":
        known = set(self.propositions)
        for name, literals in self.derived.items():
            _all_known(f"derived.{name}", literals, known)
            known.add(name)
        for kind, classes in self.classes.items():
            _all_known(f"classes.{kind}", classes, set(self.order))
            for name, literals in classes.items():
                _all_known(f"classes.{kind}.{name}", literals, known)
        return self

    @property
    def key(self) -> str:
        """The content hash: weights fitted under other rules are no weights of these."""
        return content_id(self.model_dump())

    def features(self, kind: str) -> list[str]:
        """Name the features of a response type: the propositions, then its classes."""
        return [*self.propositions, *(name for name in self.order if name in self.classes[kind])]


def _all_known(where: str, names: Mapping[str, Any], known: set[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{where}: no {name!r} before it{nearest(name, known)}")


def read_rules(file: str) -> Rules:
    """Read rules from TOML; raises `PartError` with what is wrong in it."""
    try:
        return Rules.model_validate(tomllib.loads(Path(file).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:  # TOML's and pydantic's faults are ValueErrors
        told = [one["msg"] for one in error.errors()] if isinstance(error, ValidationError) else [str(error)]
        raise PartError([f"{file}: {one}" for one in told]) from error


def truths(rules: Rules, kind: str, propositions: Mapping[str, float]) -> dict[str, float]:
    """Give how likely each feature of a response type is, from how likely each proposition is.

    A conjunction's is the product of its parts', so that of plain truths (0 and 1) it is the logic itself.
    """
    known = {name: float(propositions[name]) for name in rules.propositions}
    for name, literals in rules.derived.items():
        known[name] = _all(literals, known)
    classes = {name: _all(literals, known) for name, literals in rules.classes[kind].items()}
    return {name: classes[name] if name in classes else known[name] for name in rules.features(kind)}


def _all(literals: Literals, known: Mapping[str, float]) -> float:
    return prod(known[name] if wanted else 1.0 - known[name] for name, wanted in literals.items())


def classes_of(rules: Rules, kind: str, propositions: Mapping[str, float]) -> list[str]:
    """Name the classes that hold, the best first, each proposition taken as true from 0.5 on: one, if rules are right.

    Rules whose classes overlap or leave a gap give several or none.
    """
    plain = {name: float(value >= HALF) for name, value in propositions.items()}
    told = truths(rules, kind, plain)
    return [name for name in rules.order if name in rules.classes[kind] and told[name] == 1]


def reward(
    *,
    rules: str,
    weights: str,
    response_type: str | None = None,
    soft: bool = True,
    reward_model: str | list[str] | None = None,
) -> ReplyJudge:
    """Give the sum of the weights of what is true of a reply, each times how likely it is, and of the reward model.

    Every proposition of the file `rules` is asked by itself; `weights` is the file that the fit wrote. The response
    type is `response_type`, or the sample's `reference` where none is given. No verdict: a sample whose type the rules
    don't know, a proposition that was not answered. `soft` false reads yes or no instead of their log-probabilities.
    `extracted` is the class and how likely each proposition is.
    `reward_model` names the checkpoint, or several (then their mean), that the weights were fitted on top of.
    Source: arXiv 2411.01111, whose total reward it is.
    Raises `PartError` for weights that were fitted under other rules, or on top of another reward model.
    """
    known = read_rules(rules)
    base = None if reward_model is None else scored(model=reward_model)
    fitted = _weights(weights, known, None if base is None else base.revision)
    sampling = SOFT if soft else HARD
    if response_type is not None and response_type not in fitted:
        raise PartError([f"response_type is {response_type!r}{nearest(response_type, fitted)}"])

    def ask(sample: Sample, texts: Sequence[str], replies: Sequence[Reply]) -> list[Query]:
        if replies or _kind(sample, response_type) not in fitted:
            return []
        asked = [question(one, sample["prompt"], text) for text in texts for one in known.propositions.values()]
        return [Query(chat, sampling) for chat in asked]

    def read(sample: Sample, texts: Sequence[str], replies: Sequence[Reply]) -> list[Verdict]:
        kind = _kind(sample, response_type)
        if kind not in fitted:
            return [Verdict(None, "no_reference", f"no response type {kind!r} has weights") for _text in texts]
        each = len(known.propositions)
        return [_verdict(known, kind, fitted[kind], replies[at * each : (at + 1) * each]) for at in range(len(texts))]

    return ReplyJudge(ask, read, revision=content_id(known.key, fitted), base=base)


def _kind(sample: Sample, response_type: str | None) -> str:
    return response_type or sample["reference"] or ""


def _verdict(rules: Rules, kind: str, weights: Mapping[str, float], replies: Sequence[Reply]) -> Verdict:
    answers = tuple(reply.text for reply in replies)
    graded = {name: probability(reply) for name, reply in zip(rules.propositions, replies, strict=True)}
    said = {name: value for name, value in graded.items() if value is not None}
    if len(said) < len(graded):
        missing = ", ".join(name for name, value in graded.items() if value is None)
        return Verdict(None, "unparsed", f"neither yes nor no: {missing}", answers=answers)
    held = orjson.dumps({"class": ", ".join(classes_of(rules, kind, said)) or None, "propositions": said}).decode()
    return Verdict(weighted(truths(rules, kind, said), weights), extracted=held, answers=answers)


def weighted(features: Mapping[str, float], weights: Mapping[str, float], reward_model: float = 0.0) -> float:
    """Give a reply's reward: the reward model's plus each feature times its weight."""
    return reward_model + sum(weights[name] * value for name, value in features.items())


def _weights(file: str, rules: Rules, reward_model: str | None) -> dict[str, dict[str, float]]:
    try:
        told = orjson.loads(Path(file).read_bytes())
        fitted = {kind: one["weights"] for kind, one in told["types"].items()}
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise PartError([f"{file}: no weights can be read from it: {error!r}"]) from error
    if told.get("rules") != rules.key:
        raise PartError([f"{file}: its weights were fitted under other rules; fit them anew"])
    under = told.get("reward_model")
    if under not in {reward_model, GIVEN}:
        has, wanted = ("no reward model" if one is None else f"the reward model {one}" for one in (under, reward_model))
        how = "name it as `reward_model`" if reward_model is None else "fit them with ./mill weigh --reward-model"
        raise PartError([f"{file}: its weights were fitted on top of {has}, and here is {wanted}: {how}"])
    return fitted
