"""What can be wrong with a recipe's rules and edits as they were made, each alone and beside the rest."""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, get_type_hints

from schemas.engines import Embedder
from schemas.parts import PartError, find, nearest
from schemas.rules import AskRule, MatchRule, PickRule, Rule, VectorRule

RULES = (Rule, AskRule, MatchRule, VectorRule, PickRule)
COMPARE = (MatchRule, VectorRule, PickRule)  # they give no row a value of its own


def unnamed(function: Callable[..., Any]) -> list[str]:
    """Name the arguments without a default that a recipe can't give, since they have no keyword."""
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return [one.name for one in parameters if one.kind in by_place and one.default is inspect.Parameter.empty]


def edit_faults(use: str, made: Any) -> Iterator[str]:
    """Check that what an edit's part made is an edit."""
    if isinstance(made, RULES):
        yield f"{use} is a rule, no edit: name it under [[filters]]"
    elif not callable(made):
        yield f"{use} makes no edit: it gave {type(made).__name__}"


def rule_faults(
    part: Mapping[str, Any], rule: Any, *, known: Sequence[str], engines: Mapping[str, Any], benchmarks: bool
) -> Iterator[str]:
    """Check a rule by itself, then what it needs of the recipe: a kind of engine, benchmarks, the rule it keeps by.

    `known` are the names of the recipe's rules, `engines` its engines as they are written.
    """
    use = part["use"]
    if not isinstance(rule, RULES):
        edit = callable(rule) and use.startswith("filters.redaction:")
        yield f"{use} is an edit, no rule: name it under [[edits]]" if edit else f"{use} makes no rule"
        return
    yield from (f"{use}: {fault}" for fault in _bounds_faults(rule))
    yield from _engine_faults(part, rule, engines)
    yield from _keep_faults(getattr(rule, "keep", "first"), known)
    if isinstance(rule, MatchRule) and rule.needs_benchmarks and not benchmarks:
        yield f"{use} looks for benchmarks' rows, and the recipe names none: add [benchmarks.NAME] with its path"


def _bounds_faults(rule: Any) -> Iterator[str]:
    """Check that some value can be within the bounds."""
    if isinstance(rule, MatchRule | VectorRule):
        if not 0 <= rule.threshold <= 1:
            yield f"threshold is {rule.threshold}; rows are 0 to 1 alike"
        return
    low, high = getattr(rule, "minimum", None), rule.maximum
    for name, bound in (("minimum", low), ("maximum", high)):
        if bound is not None and math.isnan(bound):
            yield f"{name} is nan, which no value can be held against; leave it out for no bound"
    if low is not None and high is not None and low > high:
        yield f"the minimum {low} is above the maximum {high}: no row could be kept"


def _engine_faults(part: Mapping[str, Any], rule: Any, engines: Mapping[str, Any]) -> Iterator[str]:
    use, name = part["use"], part.get("engine")
    vectors = isinstance(rule, VectorRule) or getattr(rule, "part", None) is not None
    if not (vectors or isinstance(rule, AskRule)):
        return
    if not name:
        yield f"{use} asks a model: give it `engine`, the name of one of [engines]"
    elif name in engines and vectors and not embeds(engines[name]):
        yield (
            f"{use} compares vectors, and the engine {name!r} makes none: give it one that does, such as "
            "generators.embeddings:mean_pooled"
        )
    elif name in engines and not vectors and embeds(engines[name]):
        yield f"{use} asks a model, and the engine {name!r} makes vectors: give it one that answers"


def embeds(engine: Any) -> bool:
    """Tell whether an engine, as a recipe writes it, makes vectors; one that can't be found is told elsewhere."""
    try:
        function = find(str(engine.get("use")))
    except (PartError, AttributeError):
        return False
    return get_type_hints(function).get("return") is Embedder


def _keep_faults(keep: str, known: Sequence[str]) -> Iterator[str]:
    which, _, name = keep.partition(" ")
    if which not in {"first", "none", "highest", "lowest"}:
        yield f"keep is {which!r}; known are first, none, highest RULE, lowest RULE"
    elif which in {"highest", "lowest"} and name not in known:
        yield f"keep names the rule {name!r}{nearest(name, known)}"
    elif name and get_type_hints(find(name.partition("#")[0])).get("return") in COMPARE:
        yield f"keep names the rule {name!r}, which compares rows with each other: name one that measures each alone"
