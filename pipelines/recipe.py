"""Recipes: what to build, read from TOML and checked whole before any work."""

import os
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, get_args, get_origin, get_type_hints

from pydantic import BaseModel, Field, ValidationError

from pipelines.experiments import Loop, Prove, experiment_faults
from pipelines.rule_faults import edit_faults, embeds, rule_faults, unnamed
from pipelines.sections import (
    EnginePart,
    Evaluate,
    FilterPart,
    Generate,
    JudgePart,
    Part,
    PromptPart,
    Section,
    SelectPart,
)
from pipelines.source_faults import source_faults
from pipelines.sources import Benchmark, Source
from pipelines.training import Training
from schemas.errors import GristmillError, RecipeError
from schemas.parts import PartError, load, nearest
from schemas.prompts import Grower
from schemas.verdicts import Verifier, seats

VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


class Recipe(Section):
    """A whole recipe. `file` is where it was read."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    seed: int = 0
    ledger: str | None = None  # a file or a database's URL, where not GRISTMILL_LEDGER's or the one of all runs
    sources: tuple[Source, ...] = Field(min_length=1)
    benchmarks: dict[str, Benchmark] = Field(default_factory=dict)
    edits: tuple[Part, ...] = ()
    prompts: tuple[PromptPart, ...] = ()
    filters: tuple[FilterPart, ...] = ()
    engines: dict[str, EnginePart] = Field(default_factory=dict)
    generate: Generate | None = None
    judges: tuple[JudgePart, ...] = ()
    select: SelectPart = SelectPart(use="pipelines.select:best_and_worst", held_out=0.0, reviews=None)
    train: tuple[Training, ...] = ()
    evaluate: Evaluate | None = None
    prove: Prove | None = None
    loop: Loop | None = None
    file: str = ""

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read and check a recipe. Raises `RecipeError` with every fault in it.

        `${NAME}` in a text is the environment's variable, `${NAME:-other}` has a default. Paths are relative to the
        folder that the command is run in.
        """
        raw = read_toml(path)
        faults: list[str] = []
        values = _expanded(raw, faults)
        recipe = None
        try:
            recipe = cls.model_validate(values | {"file": str(path)})
        except ValidationError as error:
            # A list whose items are at fault is called too short besides.
            real = [told for told in error.errors() if not (told["type"] == "too_short" and told["input"])]
            faults += [_fault(cls, told) for told in real]
        faults += [*_part_faults(values), *_reference_faults(values), *source_faults(_sources(values))]
        faults += experiment_faults(values, [*numbered(_uses(values, "filters")), *numbered(_uses(values, "judges"))])
        if faults or recipe is None:
            raise RecipeError(str(path), list(dict.fromkeys(faults)))
        return recipe


def read_toml(path: str | Path) -> dict[str, Any]:
    """Give the tables of a TOML file; raises `RecipeError` for a missing file and for broken TOML."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        here = [str(known) for known in sorted(Path("recipes").glob("*.toml"))]
        raise RecipeError(str(path), [f"no such file{nearest(str(path), here)}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, IsADirectoryError) as error:
        raise RecipeError(str(path), [f"this is no TOML: {error}"]) from None


def _expanded(value: Any, faults: list[str]) -> Any:
    """Put the environment's variables into every text."""
    if isinstance(value, dict):
        return {key: _expanded(inner, faults) for key, inner in value.items()}
    if isinstance(value, list):
        return [_expanded(inner, faults) for inner in value]
    return VARIABLE.sub(lambda found: _variable(found, faults), value) if isinstance(value, str) else value


def _variable(found: re.Match[str], faults: list[str]) -> str:
    name, *default = found.groups()
    if name not in os.environ and default == [None]:
        faults.append(f"the environment has no variable {name}; set it, or write ${{{name}:-a default}}")
    return os.environ.get(name, default[0] or "")


def _fault(recipe: type[BaseModel], told: Mapping[str, Any]) -> str:
    """Say one of pydantic's errors in the recipe's words."""
    where = ".".join(str(step) for step in told["loc"])
    if told["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
        return f"{where}: unknown key{nearest(str(told['loc'][-1]), _keys(recipe, told['loc'][:-1]))}"
    if told["type"] == "missing":
        return f"{where}: this key is needed"
    return f"{where}: {told['input']!r}: {told['msg']}"


def _keys(model: type[Any], path: Sequence[str | int]) -> list[str]:
    """Give the keys that the section at `path` knows."""
    for step in path:
        hints = get_type_hints(model)
        model = next(_models(hints.get(str(step))), None) or model
    return [name for name, hint in get_type_hints(model).items() if name != "file" and get_origin(hint) is not ClassVar]


def _models(annotation: Any) -> Iterator[type[Any]]:
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or is_dataclass(annotation)):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _part_faults(values: Mapping[str, Any]) -> Iterator[str]:
    """Build every part once, so that its own checks speak too."""
    for where, part, kind in _parts(values):
        try:
            bound = load(part["use"], {key: value for key, value in part.items() if key not in {"use", *kind}})
            if where.endswith("select"):  # it takes tables: it is called when there are some
                continue
            if without := unnamed(bound):
                yield f"{where}: {part['use']} is no part: a recipe can't give it {', '.join(map(repr, without))}"
                continue
            made = bound()
            yield from (f"{where}: {fault}" for fault in _made_faults(where, part, made, values))
            if ".judges." in f".{where}" and not isinstance(made, Verifier):
                seats(made, len(_sequence(part.get("engines"))) or int("engine" in part))
            if where.startswith("prompts.") and not isinstance(made, Grower):
                yield f"{where}: {part['use']} makes no prompts"
            elif where.startswith("prompts.") and made.asks and not part.get("engine"):
                yield f"{where}: {part['use']} asks a model: give it `engine`, the name of one of [engines]"
        except PartError as error:
            yield from (f"{where}: {fault}" for fault in error.faults)
        except (ValueError, GristmillError) as error:
            yield f"{where}: {part['use']}: {error}"


def _made_faults(where: str, part: Mapping[str, Any], made: Any, values: Mapping[str, Any]) -> Iterator[str]:
    """Check that a rule or an edit is one, and what a rule needs of the rest of the recipe."""
    if ".filters." in f".{where}":
        known, engines = numbered(_uses(values, "filters")), _table(values.get("engines"))
        yield from rule_faults(part, made, known=known, engines=engines, benchmarks=bool(values.get("benchmarks")))
    elif where.startswith("edits."):
        yield from edit_faults(part["use"], made)


def _uses(values: Mapping[str, Any], which: str) -> list[str]:
    return [str(_table(part).get("use")) for part in _sequence(values.get(which))]


def numbered(uses: Iterable[str]) -> list[str]:
    """Name each part by its `use`; one that is used again is numbered from the second on: `filters.length:words#2`."""
    seen: Counter[str] = Counter()
    result = []
    for use in uses:
        seen[use] += 1
        result.append(use if seen[use] == 1 else f"{use}#{seen[use]}")
    return result


def _parts(values: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], set[str]]]:
    """Give every part of a raw recipe: where it stands, what it says, which keys are the stage's own."""
    own = {"engine", "engines", "pairs", "calibrated"}
    lists = [("edits", set[str]()), ("filters", {"engine"}), ("judges", own)]
    lists += [("prompts", {name for name in PromptPart.model_fields if name != "use"})]
    found = [
        (f"{name}.{at}", part, kind) for name, kind in lists for at, part in enumerate(_sequence(values.get(name)))
    ]
    for arm, told in _table(_table(values.get("prove")).get("arms")).items():
        found += [
            (f"prove.arms.{arm}.{name}.{at}", part, kind)
            for name, kind in lists[1:3]
            for at, part in enumerate(_sequence(_table(told).get(name)))
        ]
        found.append((f"prove.arms.{arm}.select", _table(told).get("select"), {"held_out"}))
    found += [(f"engines.{name}", part, {"price"}) for name, part in _table(values.get("engines")).items()]
    found += [("select", values.get("select"), {"held_out", "reviews"})] if "select" in values else []
    found += [("evaluate.judge", _table(values.get("evaluate")).get("judge"), set())] if "evaluate" in values else []
    for where, part, kind in found:
        if isinstance(part, dict) and isinstance(part.get("use"), str):
            yield where, part, kind


def _sequence(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _reference_faults(values: Mapping[str, Any]) -> Iterator[str]:
    """Check the names by which a raw recipe's sections speak of each other."""
    engines, benchmarks = _table(values.get("engines")), _table(values.get("benchmarks"))
    generate, evaluate = _table(values.get("generate")), _table(values.get("evaluate"))
    named = [
        ("generate.engine", generate.get("engine")),
        *(("generate.pool", one) for one in _table(generate.get("pool"))),
    ]
    named += [
        (f"{which}.{at}.engine", _table(part).get("engine"))
        for which in ("filters", "judges", "prompts")
        for at, part in enumerate(_sequence(values.get(which)))
    ]
    named += [
        (f"judges.{at}.engines", name)
        for at, part in enumerate(_sequence(values.get("judges")))
        for name in _sequence(_table(part).get("engines"))
    ]
    for where, name in named:
        if isinstance(name, str) and name not in engines:
            yield f"{where}: no engine {name!r}{nearest(name, engines)}"
        elif isinstance(name, str) and not where.startswith("filters") and embeds(engines[name]):
            yield f"{where}: the engine {name!r} makes vectors: name one that answers"
    benchmark = evaluate.get("benchmark")
    if isinstance(benchmark, str) and benchmark not in benchmarks:
        yield f"evaluate.benchmark: no benchmark {benchmark!r}{nearest(benchmark, benchmarks)}"
    reviews = _table(values.get("select")).get("reviews")
    if isinstance(reviews, str) and not Path(reviews).is_file():
        yield f"select.reviews: no file {reviews!r}; ./mill review NAME makes one beside the recipe's runs"
    first = next(iter(_sequence(values.get("train"))), {"base": "none is needed"})
    if (not _table(first).get("base") or evaluate) and not generate:
        yield "train and evaluate need [generate], whose engine's model is trained and measured (or train.0.base)"
    if (not _table(first).get("base") or evaluate) and generate.get("pool"):
        yield "train and evaluate need generate.engine: a pool is no one model that could be trained and measured"


def _sources(values: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the sources and benchmarks of a raw recipe, and where each stands."""
    yield from ((f"sources.{at}", _table(one)) for at, one in enumerate(_sequence(values.get("sources"))))
    yield from ((f"benchmarks.{name}", _table(one)) for name, one in _table(values.get("benchmarks")).items())
