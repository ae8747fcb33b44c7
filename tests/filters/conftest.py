"""How the tests of rules make rows and measure them."""

import polars as pl
import pytest

from schemas.rules import Rule
from schemas.tables import SAMPLES
from tests.filters.measuring import Column, Measured


def samples(*pairs: tuple[str, str | None]) -> pl.DataFrame:
    """Give samples of a prompt's one message and a reply each."""
    return pl.DataFrame(
        [
            dict.fromkeys(SAMPLES)
            | {"id": str(at), "prompt": [{"role": "user", "content": prompt, "tool_calls": None}], "reply": reply}
            for at, (prompt, reply) in enumerate(pairs)
        ],
        schema=SAMPLES,
    )


def values(table: pl.DataFrame, rule: Rule) -> list[float | None]:
    """Give the rule's value of each row."""
    if isinstance(rule.measure, pl.Expr):
        return table.select(value=rule.measure.cast(pl.Float64))["value"].to_list()
    found = rule.measure(table)
    value = found.struct.field("value") if isinstance(found.dtype, pl.Struct) else found
    return value.cast(pl.Float64).to_list()


@pytest.fixture(scope="session")
def measured() -> Measured:
    """A function that gives a rule's value of one row, told by its reply and its prompt."""

    def value(rule: Rule, reply: str | None, prompt: str = "What is it?") -> float | None:
        return values(samples((prompt, reply)), rule)[0]

    return value


@pytest.fixture(scope="session")
def column() -> Column:
    """A function that gives a rule's values of several rows, told by prompt and reply."""

    def several(rule: Rule, *pairs: tuple[str, str | None]) -> list[float | None]:
        return values(samples(*pairs), rule)

    return several
