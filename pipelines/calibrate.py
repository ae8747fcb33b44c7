"""The command `./mill calibrate`: what a judge's verdicts are worth beside people's, and the card that says so."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from judges.agreement import Mean, alpha, kappa, mean, trusted_from
from pipelines.curate import names
from pipelines.labels import Labels, in_order, settled
from pipelines.opened import Run
from pipelines.review.labels import labelled
from pipelines.score import judging_code, prompts_of
from pipelines.sections import JudgePart
from pipelines.store import MANIFEST, write_bytes
from pipelines.versions import part_version
from schemas.chats import content_id
from schemas.engines import Engine
from schemas.errors import InputError, RecipeError

CARDS = "cards"
Card = dict[str, Any]


def judge_id(part: JudgePart, engines: Sequence[Engine]) -> str:
    """Name a judge by all that its verdict on a reply depends on: its part, its code and prompts, the model asked."""
    own = {key: value for key, value in part.arguments.items() if key not in JudgePart.model_fields}
    asked = [[engine.model, engine.revision] for engine in engines]
    return content_id(
        part.use, own, asked, _as_json(prompts_of(part.build())), part_version(part.use.partition(":")[0])
    )


def demand(run: Run) -> None:
    """Refuse a judge without a card of at least the agreement that the recipe demands of it.

    Raises `RecipeError` naming each such judge and what to do.
    """
    faults = []
    for at, part in enumerate(run.recipe.judges):
        if part.calibrated is None:
            continue
        file = card_file(run.out, judge_id(part, [run.engine(name) for name in part.asks]))
        found = orjson.loads(file.read_bytes())["agreement"]["mean"] if file.is_file() else None
        if found is None or found < part.calibrated:
            has = "it has no card" if found is None else f"its card says {found:.3f}"
            faults.append(
                f"judges.{at}: {part.use} is wanted with an agreement of {part.calibrated:g} with people, and {has}: "
                "run the recipe without `calibrated`, have people judge some of what this judge judged, and give that "
                f"to ./mill calibrate {run.recipe.name} --human FILE (or lower `calibrated`)"
            )
    if faults:
        raise RecipeError(run.recipe.file, faults)


def card_file(out: Path, judge: str, kind: str = "") -> Path:
    """Give the place of a judge's card among those of all runs in `out`; of `kind` "probes", what gamed it."""
    return out / CARDS / f"{judge}{kind and '.'}{kind}.json"


def cards_of(run: Run) -> dict[str, dict[str, Any]]:
    """Give the cards that there are of the recipe's judges: by a judge's name its `people` and its `probes`."""
    found: dict[str, dict[str, Any]] = {}
    for name, part in zip(names(run.recipe.judges), run.recipe.judges, strict=True):
        own = judge_id(part, [run.engine(name) for name in part.asks])
        files = {"people": card_file(run.out, own), "probes": card_file(run.out, own, "probes")}
        told = {kind: orjson.loads(file.read_bytes()) for kind, file in files.items() if file.is_file()}
        found |= {name: told} if told else {}
    return found


@dataclass(frozen=True)
class Judged:
    """What one judge of a run said: `rows` are its scores or comparisons with `score`, lengths and generators."""

    name: str
    pairs: bool
    rows: pl.DataFrame


def judged(folder: Path) -> Iterator[Judged]:
    """Give what each judge said in a finished run's folder."""
    texts = pl.read_parquet(folder / "candidates").select("id", "model", length=pl.col("text").str.len_chars())
    families = pl.Series([family_of(model) for model in texts["model"].to_list()], dtype=pl.String)
    texts = texts.select("id", "length", family=families)
    for table, ids in (("scores", ["candidate_id"]), ("comparisons", ["a_id", "b_id"])):
        for place in sorted((folder / table).glob("*")):
            rows = in_order(pl.read_parquet(place), ids, "score")
            for column in ids:
                side = texts.rename({"id": column, "length": f"length_{column}", "family": f"family_{column}"})
                rows = rows.join(side, on=column, how="left")
            yield Judged(str(rows["judge"][0]), table == "comparisons", rows)


def card(one: Judged, labels: Labels, *, least: float, trusted: float, family: str | None) -> Card:
    """Give the card of a judge: its agreement with people and its biases, as `docs/calibration.md` tells each figure.

    `least` is the score from which a reply counts as good where people said good or bad; `trusted` the agreement from
    which a score is trusted; `family` the family of the judge's own model.
    """
    people = settled(labels)
    unscored = one.rows.filter(pl.col("score").is_null())["status"].value_counts().sort("status")
    without = dict(unscored.iter_rows())
    both = one.rows.join(people, on=labels.ids).filter(pl.col("human").is_not_null() & pl.col("score").is_not_null())
    both = both.with_columns(verdict=_verdict(both, labels, least)).sort("sample_id", *labels.ids)
    hits = (both["verdict"] == both["human"]).cast(pl.Float64)
    decided = both.filter((pl.col("verdict") != 0) & (pl.col("human") != 0)) if one.pairs else both
    scale: Any = "nominal" if one.pairs or labels.binary else "interval"
    votes = people["votes"].to_list()
    return {
        "judge": one.name,
        "kind": "pairs" if one.pairs else "replies",
        "judged": one.rows.height,
        "labelled": people.height,
        "split": people["human"].null_count(),  # people's votes settle nothing
        "people": labels.people,
        "people_alpha": alpha(votes, scale=scale),
        "agreement": vars(_mean(both, hits)),
        "decided_agreement": vars(_mean(decided, (decided["verdict"] == decided["human"]).cast(pl.Float64))),
        "kappa": kappa(both["verdict"].to_list(), both["human"].to_list()),
        "alpha": alpha(both.select("verdict", "human").rows(), scale=scale),
        "parse_failures": vars(_mean(one.rows, (one.rows["status"] == "unparsed").cast(pl.Float64))),
        "without_verdict": without,
        "position_bias": vars(_first_slot(one)),
        "length_bias": vars(_length_bias(decided, one)),
        "own_family": family,
        "self_preference": vars(_self_preference(decided, one, family)),
        "trusted": {"least": trusted, "score": _trusted(both, one, labels, trusted)},
    }


def _verdict(both: pl.DataFrame, labels: Labels, least: float) -> pl.Series:
    """Bring the judge's score to what people could say: a side or a tie, good or bad, or the number itself."""
    if len(labels.ids) > 1:
        return both["score"].sign()
    return (both["score"] >= least).cast(pl.Float64) if labels.binary else both["score"]


def _mean(rows: pl.DataFrame, values: pl.Series) -> Mean:
    return mean(values.to_list(), rows["sample_id"].to_list())


def _first_slot(one: Judged) -> Mean:
    """Give the fraction of single answers that name the first place: 0.5 without bias."""
    if not one.pairs:
        return Mean(None, None, 0)
    said = pl.concat([one.rows.select("sample_id", said=side) for side in ("a_first", "b_first")])
    said = said.with_columns(pl.col("said").str.strip_chars().str.strip_suffix("."))
    said = said.filter(pl.col("said").is_in(["A", "B"]))
    return _mean(said, (said["said"] == "A").cast(pl.Float64))


def _length_bias(decided: pl.DataFrame, one: Judged) -> Mean:
    """Give by how much more often the judge than people prefer the longer of two replies (in characters)."""
    if not one.pairs:
        return Mean(None, None, 0)
    longer = (pl.col("length_a_id").cast(pl.Int64) - pl.col("length_b_id").cast(pl.Int64)).sign()
    rows = decided.with_columns(longer=longer).filter(pl.col("longer") != 0)
    return _mean(rows, (rows["verdict"] - rows["human"]) * rows["longer"] / 2)


def _self_preference(decided: pl.DataFrame, one: Judged, family: str | None) -> Mean:
    """Give by how much more often the judge than people prefer a reply of its own family to one of another."""
    if not one.pairs or family is None:
        return Mean(None, None, 0)
    own = {side: (pl.col(f"family_{side}") == family).cast(pl.Int64) for side in ("a_id", "b_id")}
    side = own["a_id"] - own["b_id"]
    rows = decided.with_columns(side=side).filter(pl.col("side") != 0)
    return _mean(rows, (rows["verdict"] - rows["human"]) * rows["side"] / 2)


def family_of(model: str) -> str:
    """Give a model's family: the letters that the last part of its name starts with, small ("org/Llama-3": llama)."""
    name = model.rstrip("/").rpartition("/")[2].lower()
    letters = len(name) - len(name.lstrip("abcdefghijklmnopqrstuvwxyz"))
    return name[:letters] or name


def _trusted(both: pl.DataFrame, one: Judged, labels: Labels, least: float) -> float | None:
    """Give the score (of pairs: its size) from which on people agree; a tie is no preference to trust."""
    rows = both.filter(pl.col("score") != 0) if one.pairs else both
    if not one.pairs and not labels.binary:
        return None
    right = rows["verdict"] == rows["human"] if one.pairs else rows["human"] == 1
    groups = rows["sample_id"].to_list()
    return trusted_from(rows["score"].abs().to_list(), right.cast(pl.Float64).to_list(), groups, least=least)


def calibrate(
    run: Run,
    folder: Path,
    human: Path,
    *,
    judge: str | None = None,
    least: float = 1.0,
    trusted: float = 0.8,
    family: str | None = None,
) -> list[Card]:
    """Write the card of each judge of a finished run that people's labels speak of, and give them.

    A card lies in the run's folder, and where a recipe that demands one looks for it. Raises `InputError` where no
    label is of anything that a judge judged.
    """
    told, digest = labelled(human, folder)
    parts = dict(zip(names(run.recipe.judges), run.recipe.judges, strict=True))
    known = [one for one in judged(folder) if one.name in parts and judge in {None, one.name}]
    cards = []
    for one in known:
        engines = [run.engine(name) for name in parts[one.name].asks]
        labels = next((which for which in told if one.pairs == (len(which.ids) > 1)), None)
        if labels is None or one.rows.join(labels.rows, on=labels.ids, how="semi").is_empty():
            continue
        _unchanged(run, folder, one.name, parts[one.name], engines)
        own = family or (family_of(engines[0].model) if len(engines) == 1 else None)
        found = {"id": judge_id(parts[one.name], engines), "labels": digest}
        found |= card(one, labels, least=least, trusted=trusted, family=own)
        content = orjson.dumps(found, option=orjson.OPT_INDENT_2)
        for file in (card_file(run.out, found["id"]), folder / CARDS / f"{one.name.replace(':', '.')}.json"):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(file, content)
        cards.append(found)
    if not cards:
        said = ", ".join(f"{one.name} ({'a_id, b_id' if one.pairs else 'candidate_id'})" for one in known) or "no judge"
        raise InputError(f"{human}: no label is of anything judged in {folder}, where these judged: {said}")
    return cards


def _unchanged(run: Run, folder: Path, name: str, part: JudgePart, engines: Sequence[Engine]) -> None:
    """Hold the verdicts of a run to the judge as it is now: a card is of one judge."""
    stage = orjson.loads((folder / "summary.json").read_bytes())["stages"][f"score {name}"]
    then = orjson.loads((run.store / stage / MANIFEST).read_bytes())["question"]
    now: dict[str, Any] = {"code": judging_code(part.use), "prompts": prompts_of(part.build())}
    models = [[engine.model, engine.revision] for engine in engines]
    now["model"] = models[0] if len(models) == 1 else models or None
    changed = [key for key, value in _as_json(now).items() if then[key] != value]
    if changed:
        raise InputError(
            f"{folder}: of the judge {name} the {', '.join(changed)} changed after this run; run the recipe again, "
            "which takes the answers there are from the ledger"
        )


def _as_json(value: Any) -> Any:
    """Give a value as a manifest gives it back."""
    return orjson.loads(orjson.dumps(value))


def words(cards: list[Card]) -> str:
    """Give the cards for the terminal."""
    return "\n\n".join(_words(one) for one in cards)


def _words(one: Card) -> str:
    rows = [("agreement", one["agreement"]), ("where neither says tie", one["decided_agreement"])]
    rows += [("unparsed", one["parse_failures"]), ("first place named", one["position_bias"])]
    rows += [("prefers the longer more than people", one["length_bias"])]
    rows += [(f"prefers the family {one['own_family']} more than people", one["self_preference"])]
    lines = [f"{one['judge']}: {one['labelled']:,} labelled by {one['people']} people, {one['split']:,} of them split"]
    lines += [f"  {name}: {_told(value)}" for name, value in rows if value["rows"]]
    lines += [
        f"  {name}: {value:.3f}" for name in ("kappa", "alpha", "people_alpha") if (value := one[name]) is not None
    ]
    score = one["trusted"]["score"]
    lines.append(f"  trusted ({one['trusted']['least']:g}) from score: {'none' if score is None else f'{score:g}'}")
    return "\n".join(lines)


def _told(value: dict[str, Any]) -> str:
    interval = value["interval"]
    doubt = "" if interval is None else f" [{interval[0]:.3f}, {interval[1]:.3f}]"
    return f"{value['mean']:.3f}{doubt} of {value['rows']:,}"
