"""What the commands share: their options, and how a summary is told."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Json = Annotated[bool, Parameter(help="Print the summary as JSON on standard output.", negative=())]
Out = Annotated[Path, Parameter(help="The folder that runs, their stages and the ledger are kept in.")]


def as_json(told: object) -> str:
    """Give what a command found as JSON text."""
    import orjson

    return orjson.dumps(told, option=orjson.OPT_INDENT_2).decode()


def tell(summary: dict[str, object], *, json: bool) -> None:
    """Print a summary for a person, or as JSON."""
    if json:
        print(as_json(summary))
    else:
        from pipelines.closing import closing_words

        print(closing_words(summary))
        if "loop" in summary:
            from pipelines.rounds_page import terminal

            print(f"\n{terminal(summary)}")
