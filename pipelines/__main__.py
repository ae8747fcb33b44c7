"""The command line: `./mill`."""

import os
import sys
from pkgutil import resolve_name
from typing import Annotated

from cyclopts import App, Parameter

from pipelines import ledgers, reviews
from pipelines.commands import judging, publishing, rows, runs, training
from schemas.errors import GristmillError

app = App(name="mill", help="Turn raw instruction data into SFT and preference datasets people can trust.")
for command in (
    ledgers.app,
    reviews.app,
    runs.run,
    runs.plan,
    runs.check,
    runs.show,
    runs.bounds,
    runs.index,
    rows.diff,
    rows.trace,
    rows.forget,
    judging.calibrate,
    judging.probe,
    judging.weigh,
    publishing.publish,
    publishing.unpublish,
    training.train,
    training.prove,
):
    app.command(command)


@app.command(help_flags=[])
def serve(*arguments: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> None:
    """Start the flows of recipes with their schedules and triggers (Prefect), until it is ended; see serve --help."""
    _flows("serve", arguments)


@app.command(help_flags=[])
def watch(*arguments: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> None:
    """Set up a Prefect API for work pools: dead runs are started again, leases; see watch --help."""
    _flows("watch", arguments)


@app.command(help_flags=[])
def approve(*arguments: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> None:
    """Answer a run that waits for a person's yes before it publishes; see approve --help."""
    _flows("approve", arguments)


def _flows(command: str, arguments: tuple[str, ...]) -> None:
    """Hand a command over to the flows: by name, since Prefect is theirs alone."""
    resolve_name("flows.serving:app")([command, *arguments])


def main() -> None:
    """Answer a command; a fault that a user can mend is told without a traceback and exits with 2."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # more threads on busy cores made decoding 8 to 20 times slower
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except GristmillError as error:
        print(f"mill: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # who read the output has read enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
