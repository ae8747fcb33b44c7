"""The report's section on what the samples are: lengths, languages, tasks, and twenty that were kept."""

from typing import Any

from pipelines import charts, page
from pipelines.closing import number
from pipelines.page import Block, bar, beside, code, examples, note, table
from pipelines.run_tables import Tables
from pipelines.sample_figures import QUANTILES

READ = 20  # samples to read

Summary = dict[str, Any]


def data(told: Summary, tables: Tables) -> list[Block]:
    """Tell what the samples are, and show the kept ones with the lowest ids, which are hashes."""
    some = tables.rows["kept"].bottom_k(READ, by="id").collect().sort("id")
    shown = [page.kept(row, None) for row in some.iter_rows(named=True)]
    return [
        note("lengths"),
        _lengths(told["lengths"]),
        beside(*charts.reach(tables.rows["samples"], tables.rows["kept"])),
        note("languages"),
        _counted("Language of the prompt", told["languages"]["counts"]),
        note("forms"),
        _counted("Samples", told["forms"], plain=True),
        _counted("Check", told["checks"]),
        note("openings"),
        _counted("First word", told["openings"]),
        *([note("kept_read"), *examples(shown)] if shown else []),
    ]


def _lengths(told: Summary) -> Block:
    rows = [
        [name, number(one["known"]), f"{one['mean']:,.1f}", *(number(one[label]) for label in QUANTILES)]
        for name, one in told.items()
    ]
    return table(["Of the samples", "Known", "Mean", *(label.capitalize() for label in QUANTILES)], rows, "1234567")


def _counted(name: str, told: list[Summary], *, plain: bool = False) -> Block:
    most = max((one["samples"] for one in told), default=0)
    rows = [
        [
            one["name"] if plain else code(one["name"]),
            number(one["samples"]),
            number(one["kept"]),
            bar(one["samples"], most),
        ]
        for one in told
    ]
    return table([name, "All", "Kept", ""], rows, "12")
