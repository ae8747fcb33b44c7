"""People's labels: a CSV file of what each person said of a candidate, or of a pair of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from judges.agreement import majority
from schemas.errors import InputError

OF_PAIRS = {"a": 1.0, "b": -1.0, "tie": 0.0, "1": 1.0, "-1": -1.0, "0": 0.0}
OF_REPLIES = {"pass": 1.0, "fail": 0.0, "good": 1.0, "bad": 0.0, "yes": 1.0, "no": 0.0, "true": 1.0, "false": 0.0}


@dataclass(frozen=True)
class Labels:
    """People's labels: `rows` hold `ids`, `verdict` and `person`.

    `binary` tells that every verdict is 0 or 1; `people` counts the persons.
    """

    rows: pl.DataFrame
    ids: list[str]
    binary: bool
    people: int


def read_labels(file: Path) -> Labels:
    """Read labels: `candidate_id`, or `a_id` and `b_id`, the person's `verdict`, and `person` where there are several.

    Of a pair: a, b or tie (1, -1 or 0); of a reply: pass or fail (good, bad, yes, no, true, false), or a number. A row
    without a verdict is not labelled yet. Raises `InputError` naming the line of anything else, and of a person who
    labels the same thing twice.
    """
    try:
        rows = pl.read_csv(file, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{file}: this is no CSV file of labels: {error}") from error
    return labels_of(rows, file)


def labels_of(rows: pl.DataFrame, file: Path) -> Labels:
    """Give the labels in a table of texts, as `read_labels` reads them from `file`, which its errors name."""
    ids = ["a_id", "b_id"] if "a_id" in rows.columns else ["candidate_id"]
    missing = [name for name in [*ids, "verdict"] if name not in rows.columns]
    if missing:
        raise InputError(
            f"{file}: no column {', '.join(missing)}; expected candidate_id, or a_id and b_id, and verdict"
        )
    if "person" not in rows.columns:
        rows = rows.with_columns(person=pl.lit("one"))
    rows = rows.select(*ids, "person", "verdict").with_row_index("line", offset=2)
    rows = rows.filter(pl.col("verdict").str.strip_chars() != "")
    said = [_said(file, line, text, ids) for line, text in rows.select("line", "verdict").iter_rows()]
    rows = in_order(rows.with_columns(verdict=pl.Series(said, dtype=pl.Float64)), ids, "verdict")
    twice = rows.filter(pl.struct(*ids, "person").is_duplicated())
    if not twice.is_empty():
        raise InputError(f"{file}, line {twice['line'][0]}: this person labels the same thing more than once")
    binary = len(ids) == 1 and set(said) <= {0.0, 1.0}
    return Labels(rows.drop("line"), ids, binary, rows["person"].n_unique())


def _said(file: Path, line: int, text: str, ids: Sequence[str]) -> float:
    word = text.strip().lower()
    known = OF_PAIRS if len(ids) > 1 else OF_REPLIES
    if word in known:
        return known[word]
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if len(ids) == 1 and math.isfinite(number):
        return number
    expected = "a, b or tie" if len(ids) > 1 else "pass, fail or a number"
    raise InputError(f"{file}, line {line}: the verdict is {text!r} instead of {expected}")


def in_order(rows: pl.DataFrame, ids: Sequence[str], verdict: str) -> pl.DataFrame:
    """Put the ids of each pair in order, the column `verdict` turned with them."""
    if len(ids) == 1:
        return rows
    swapped = rows["a_id"] > rows["b_id"]
    turned = pl.when(swapped).then(-pl.col(verdict)).otherwise(pl.col(verdict)).alias(verdict)
    return rows.with_columns(
        a_id=pl.min_horizontal("a_id", "b_id"),
        b_id=pl.max_horizontal("a_id", "b_id"),
    ).with_columns(turned)


def settled(labels: Labels) -> pl.DataFrame:
    """Give for each thing labelled people's `votes` and what most said, `human`: null where two come first together."""
    votes = labels.rows.group_by(labels.ids).agg(votes=pl.col("verdict")).sort(labels.ids)
    human = [majority(one) for one in votes["votes"].to_list()]
    return votes.with_columns(human=pl.Series(human, dtype=pl.Float64))
