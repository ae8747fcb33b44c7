"""Rows on both sides of a bound, each with the part of its text that the rule measures."""

import inspect
import re
from collections.abc import Mapping
from typing import Any, cast, get_args

import orjson
import polars as pl

from filters.texts import Part, text
from pipelines.store import MANIFEST, Stored, shards
from schemas.parts import PartError, find
from schemas.tables import SAMPLES

EXAMPLES = 3
SHOWN = 200  # characters of either end of a text
WITHOUT_PART: dict[str, Part] = {  # rules that look at one part alone and take no argument for it
    "filters.truncation:unfinished": "reply",
    "filters.placeholder:inputs": "prompt",
    "filters.placeholder:replies": "reply",
    "filters.refusal:refusals": "reply",
    "filters.echo:verbatim": "reply",
    "filters.echo:normalised": "reply",
    "filters.length:turns": "prompt",
    "filters.likelihood:perplexity": "reply",
}
KINDS = {"emails": "email", "phones": "phone", "cards": "card", "ibans": "iban", "addresses": "ip", "secrets": "secret"}

Told = dict[str, Any]


def nearest_rows(known: pl.DataFrame, minimum: float | None, maximum: float | None) -> dict[str, list[Told]]:
    """Give up to 3 rows nearest to a bound on either side, `lost` and `kept`; without one the `lowest` and `highest`.

    `known` holds `VALUES` without null; among equals the id decides.
    """
    bounds = [bound for bound in (minimum, maximum) if bound is not None]
    if not bounds:
        ends = {"lowest": pl.col("value"), "highest": -pl.col("value")}
        found = {end: _least(known, by) for end, by in ends.items()}
        return found if known["value"].n_unique() > 1 else {"lowest": found["lowest"]}
    outside = pl.any_horizontal(
        pl.col("value") < pl.lit(minimum, pl.Float64), pl.col("value") > pl.lit(maximum, pl.Float64)
    ).fill_null(value=False)
    distance = pl.min_horizontal((pl.col("value") - bound).abs() for bound in bounds)
    return {"lost": _least(known.filter(outside), distance), "kept": _least(known.filter(~outside), distance)}


def _least(rows: pl.DataFrame, by: pl.Expr) -> list[Told]:
    value = pl.when(pl.col("value").is_finite()).then("value")  # JSON has no infinity
    return rows.bottom_k(EXAMPLES, by=[by, "id"]).sort(by, "id").select("id", value, "why").to_dicts()


def nearest_pairs(matches: pl.DataFrame, bound: float) -> dict[str, list[Told]]:
    """Give up to 3 pairs nearest to the bound on either side; among equals the ids decide."""
    sides = {"lost": (pl.col("measured") >= bound, 1), "kept": (pl.col("measured") < bound, -1)}
    return {
        side: matches.filter(inside)
        .sort(sign * pl.col("measured"), "id", "other")
        .head(EXAMPLES)
        .select("id", "other", "span", value="measured")
        .to_dicts()
        for side, (inside, sign) in sides.items()
    }


def with_texts(explored: list[Told], curated: Stored, came: Stored) -> list[Told]:
    """Give the rules with the text of their examples: the `part` that each measures, and what it `found` in there."""
    shown = [one for told in explored for some in told["examples"].values() for one in some]
    ids = {one[key] for one in shown for key in ("id", "other") if key in one}
    columns = ("id", "prompt", "reply")
    rows = pl.concat(shard.filter(pl.col("id").is_in(list(ids))) for shard in shards(came, "samples", SAMPLES, columns))
    return [_with_texts(told, rows, _asked(curated, told["rule"])) for told in explored]


def _with_texts(told: Told, rows: pl.DataFrame, asked: Told) -> Told:
    part = part_of(asked["use"], asked["arguments"])
    texts = dict(rows.select("id", text(part).fill_null("(none)")).iter_rows())

    def shown(one: Told) -> Told:
        words = texts.get(one["id"], "(none)")
        found = one.get("span") or found_in(words, asked["use"], asked["arguments"], one["value"])
        more = {"other_text": ends(texts[one["other"]], SHOWN)} if one.get("other") in texts else {}
        return one | {"text": around(words, found, SHOWN), "found": found} | more

    examples = {side: [shown(one) for one in some] for side, some in told["examples"].items()}
    return told | {"part": part, "examples": examples}


def _asked(curated: Stored, rule: str) -> Told:
    """Give what a rule of the run was asked: its `use` and its `arguments` but for the bounds."""
    key = curated.facts["measured"].get(rule)
    folder = curated.folder if key is None else curated.folder.parent / key
    question = orjson.loads((folder / MANIFEST).read_bytes())["question"]
    return cast("Told", question["picks"][rule] if key is None else question)


def part_of(use: str, arguments: Mapping[str, Any]) -> Part:
    """Give the part of a sample that a rule measures: its argument, that argument's default, or else all of it."""
    if use in WITHOUT_PART:
        return WITHOUT_PART[use]
    try:
        default = getattr(inspect.signature(find(use)).parameters.get("part"), "default", None)
    except PartError:  # a user's own, gone since
        default = None
    part = arguments.get("part", default)
    return cast("Part", part) if part in get_args(Part) else "conversation"


def found_in(words: str, use: str, arguments: Mapping[str, Any], value: float | None) -> str | None:
    """Give the first thing in a text that a rule on private data, foul words, links, keywords or years counts.

    Null for other rules, and where nothing is found.
    """
    module, _, name = use.partition(":")
    if use == "filters.keywords:latest_year":
        return None if value is None else f"{value:.0f}"
    if module == "filters.private":
        from filters.private import KINDS as EVERY
        from filters.private import spans

        return next((words[start:end] for start, end, kind in spans(words, EVERY) if kind == KINDS.get(name)), None)
    form = _form(module, arguments)
    return None if form is None else cast("str | None", pl.Series([words]).str.extract(f"({form})", 0)[0])


def _form(module: str, arguments: Mapping[str, Any]) -> str | None:
    from filters import links, profanity

    if module == "filters.keywords":
        return arguments.get("pattern") or "(?i)" + "|".join(re.escape(word) for word in arguments["words"])
    return {"filters.profanity": profanity.PATTERN, "filters.links": links.LINK}.get(module)


def around(words: str, found: str | None, each: int) -> str:
    """Give `each` characters on either side of the middle of what was found; of a text without it both ends."""
    at = words.find(found) if found else -1
    if at < 0 or len(words) <= 2 * each:
        return ends(words, each)
    start = min(max(at + min(len(found or ""), each) // 2 - each, 0), len(words) - 2 * each)
    piece = words[start : start + 2 * each]
    before = f"… {piece.lstrip()}" if start else piece
    return f"{before.rstrip()} …" if start + 2 * each < len(words) else before


def ends(words: str, each: int) -> str:
    """Give the first and the last `each` characters of a text, or all of one that is hardly longer than both."""
    return words if len(words) <= 2 * each + 3 else f"{words[:each].rstrip()} … {words[-each:].lstrip()}"
