"""Engines that answer at once, and break in every way an engine can."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from schemas.engines import Reply, Request, Sampling


def request(prompt: str, sample: int = 0) -> Request:
    return Request([{"role": "user", "content": prompt}], Sampling(), "echo", "1", sample)


@dataclass
class Echo:
    """Answers with the prompt and the sample's number, in the reverse order; counts what it was asked."""

    model: str = "echo"
    revision: str = "1"
    asked: list[Request] = field(default_factory=list)

    def __call__(self, requests: Iterable[Request], /) -> Iterator[Reply]:
        """Answer, the last request first."""
        for one in reversed(list(requests)):
            self.asked.append(one)
            yield Reply(one.key, f"{one.chat[-1]['content']} {one.sample}", "stop", 1, 2, -0.5)

    def close(self) -> None:
        """Hold nothing, so that there is nothing to free."""


@dataclass
class Broken(Echo):
    """Answers as `how` has it."""

    how: Callable[[list[Request]], Iterator[Reply]] = iter  # type: ignore[assignment]

    def __call__(self, requests: Iterable[Request], /) -> Iterator[Reply]:
        """Answer as `how` does all of the requests."""
        return self.how(list(requests))


@dataclass
class Streaming(Echo):
    """Answers as `how` has it, and takes the requests as that does."""

    how: Callable[[Iterable[Request]], Iterator[Reply]] = iter  # type: ignore[assignment]

    def __call__(self, requests: Iterable[Request], /) -> Iterator[Reply]:
        """Answer as `how` does the requests that it takes."""
        return self.how(requests)
