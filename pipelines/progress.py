"""What a run says while it works: a bar on a terminal, plain lines of log elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

LOG_EVERY = 10.0  # seconds between two lines on one piece of work


@dataclass(frozen=True)
class Progress:
    """`say` tells one thing; `count` tells how far the work named is: done, and of how many (0 where unknown)."""

    say: Callable[[str], None]
    count: Callable[[str, int, int], None]


@contextmanager
def shown() -> Iterator[Progress]:
    """Give the progress for standard error: bars where that is a terminal, else lines with the time of day."""
    if sys.stderr.isatty():
        with bars() as progress:
            yield progress
    else:
        yield lines(lambda text: print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True))  # noqa: T201


def lines(say: Callable[[str], None]) -> Progress:
    """Give a progress that says a line at most every 10 seconds a piece of work, and one at its end."""
    said: dict[str, float] = {}
    ended: set[str] = set()

    def count(work: str, done: int, total: int) -> None:
        now = time.monotonic()
        ends = bool(total) and done == total and work not in ended
        if now - said.setdefault(work, now) >= LOG_EVERY or ends:
            said[work] = now
            ended.update([work] if ends else [])
            say(f"{work}: {done:,} of {total:,}" if total else f"{work}: {done:,}")

    return Progress(say, count)


@contextmanager
def bars() -> Iterator[Progress]:
    """Give a progress that draws a bar for each piece of work on the terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Bars(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as drawn:
        works = {}

        def count(work: str, done: int, total: int) -> None:
            if work not in works:
                works[work] = drawn.add_task(work, total=total or None)
            drawn.update(works[work], completed=done, total=total or None)

        yield Progress(drawn.console.print, count)
