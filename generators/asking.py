"""The one way to an engine: through the ledger, in the order of the requests, within the budget."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from threading import Event, Lock, Thread
from typing import Any

from generators.ledger import CHUNK, Ledger
from schemas.engines import Engine, Reply, Request
from schemas.errors import EngineError

PAUSE = 0.005  # seconds from a commit to the next: what arrives meanwhile is committed together
WINDOW = 16_384  # requests that may wait for the reply to one before them


@dataclass(frozen=True)
class Asked:
    """The replies in the order of the requests, and how the distinct ones among them were come by.

    `asked` were sent to the engine, `from_ledger` were not; `failed` met an error, which is not stored, and `not_asked`
    of those did so because the budget was used up. `engine_seconds` passed while the engine answered, `new_tokens` of
    replies were made in them, and they cost `cost` at the prices stated.
    """

    replies: list[Reply]
    asked: int
    from_ledger: int
    failed: int
    not_asked: int = 0
    prompt_tokens: int = 0
    reply_tokens: int = 0
    new_tokens: int = 0
    engine_seconds: float = 0.0
    cost: float = 0.0

    def counts(self) -> dict[str, Any]:
        """Give all but the replies, by name, as a stage's facts tell them."""
        return {name: value for name, value in vars(self).items() if name != "replies"}


@dataclass(slots=True)
class _Place:
    """Where a request's reply comes to lie; `wanted` counts the requests that say the same and wait."""

    wanted: int = 0
    reply: Reply | None = None


class Asking:
    """Goes through the replies to `requests` in their order, as they come; the counts are `Asked`'s so far.

    Requests are read as the engine takes them. Each distinct one is sent once while it or another before it waits; what
    comes later finds the answer in the ledger. Where `WINDOW` wait for one reply, the engine is let finish first.
    """

    def __init__(
        self,
        requests: Iterable[Request],
        engine: Engine,
        ledger: Ledger,
        *,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.requests = iter(requests)
        self.engine, self.ledger, self.progress = engine, ledger, progress
        self.asked = self.from_ledger = self.failed = self.not_asked = 0
        self.prompt_tokens = self.reply_tokens = self.new_tokens = 0
        self.engine_seconds = self.cost = 0.0
        self._line: deque[str] = deque()  # the keys of the requests that wait, in order
        self._places: dict[str, _Place] = {}
        self._missing: deque[Request] = deque()  # not in the ledger, not yet sent
        self._sent: dict[str, Request] = {}
        self._commits = _Commits(ledger)

    def __iter__(self) -> Iterator[Reply]:
        try:
            while self._missing or self._look_up():
                before = self.asked
                yield from self._round()
                if self._missing and self.asked == before:
                    self._refuse()
                yield from self._settled()
        finally:
            self._commits.close()

    def counts(self) -> dict[str, Any]:
        """Give the counts by name, as a stage's facts tell them."""
        names = ("asked", "from_ledger", "failed", "not_asked", "prompt_tokens", "reply_tokens", "new_tokens")
        measured = {"engine_seconds": round(self.engine_seconds, 3), "cost": round(self.cost, 6)}
        return {name: getattr(self, name) for name in names} | measured

    def _round(self) -> Iterator[Reply]:
        """Have the engine answer until it has nothing left that may be sent now."""
        fresh = self._fresh()
        first = next(fresh, None)
        if first is None:
            return
        start = time.perf_counter()
        for reply in self.engine(chain([first], fresh)):
            self._arrived(reply)
            yield from self._ready()
        self.engine_seconds += time.perf_counter() - start
        for key in list(self._sent):
            self._arrived(Reply(key, None, error="the engine gave no answer"))

    def _fresh(self) -> Iterator[Request]:
        """Give what the engine is sent, one by one as it takes them."""
        while self._missing or self._look_up():
            if not self._missing:
                continue
            request = self._missing[0]
            budget = self.ledger.budget
            if budget and not budget.take(request, self.ledger.price(request.model)):
                return  # with nothing in flight it may fit yet: the next round tells
            self._missing.popleft()
            self._sent[request.key] = request
            self.asked += 1
            yield request

    def _look_up(self) -> bool:
        """Read on in the requests and look for them in the ledger; false at their end, and where too many wait."""
        batch = list(islice(self.requests, CHUNK)) if len(self._line) < WINDOW else []
        new: dict[str, Request] = {}
        for request in batch:
            if request.key not in self._places:
                new[request.key] = request
                self._places[request.key] = _Place()
            self._places[request.key].wanted += 1
            self._line.append(request.key)
        found = self.ledger.find(list(new))
        self.from_ledger += len(found)
        for key, reply in found.items():
            self._places[key].reply = reply
            self._commits.add(key)
        self._missing.extend(request for key, request in new.items() if key not in found)
        return bool(batch)

    def _arrived(self, reply: Reply) -> None:
        request = self._sent.pop(reply.key, None)
        if request is None:
            raise EngineError(
                f"the engine {self.engine.model} answered {reply.key}, which it was not asked, or not twice"
            )
        if self.ledger.budget:
            self.ledger.budget.settle(reply, self.ledger.price(request.model))
        if reply.error is None:
            self.new_tokens += reply.reply_tokens or 0
            self.cost += self.ledger.price(request.model).of(reply.prompt_tokens or 0, reply.reply_tokens or 0)
            self._commits.add((request, reply))
        else:
            self.failed += 1
            self._places[reply.key].reply = reply
        if self.progress:
            self.progress(self.from_ledger + self.asked - len(self._sent))

    def _refuse(self) -> None:
        """Say of those that were looked up and not sent that the budget is used up."""
        refusal = self.ledger.budget.refusal if self.ledger.budget else ""
        for request in self._missing:
            self._places[request.key].reply = Reply(request.key, None, error=refusal)
        self.not_asked += len(self._missing)
        self.failed += len(self._missing)
        self._missing.clear()

    def _ready(self) -> Iterator[Reply]:
        """Give the replies before the first that is still waited for."""
        for key, stored in self._commits.done():
            self._places[key].reply = stored
        while self._line and (reply := self._places[self._line[0]].reply):
            key = self._line.popleft()
            place = self._places[key]
            place.wanted -= 1
            if not place.wanted:
                del self._places[key]
            self.prompt_tokens += reply.prompt_tokens or 0
            self.reply_tokens += reply.reply_tokens or 0
            yield reply

    def _settled(self) -> Iterator[Reply]:
        """Give the replies up to the first that was not sent, once all are committed."""
        self._commits.flush()
        yield from self._ready()


class _Commits:
    """Commits what arrives: at once, or with what came in the 5 ms since the last commit.

    The thread that brings it commits; where nothing more comes for 5 ms, another does.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.waiting: list[tuple[Request, Reply] | str] = []
        self.stored: deque[tuple[str, Reply]] = deque()
        self.lock, self.more, self.ended = Lock(), Event(), False
        self.last = 0.0
        self.fault: BaseException | None = None
        self.thread: Thread | None = None

    def add(self, one: tuple[Request, Reply] | str) -> None:
        """Have an answer committed, or that the one under a key was used. Raises what a commit has met."""
        with self.lock:
            self.waiting.append(one)
            if time.monotonic() - self.last >= PAUSE:
                self._commit()
                return
        if not self.more.is_set():
            self.more.set()
            if self.thread is None:
                self.thread = Thread(target=self._work, daemon=True)
                self.thread.start()

    def flush(self) -> None:
        """Commit what is left; raises what a commit met."""
        with self.lock:
            self._commit()

    def done(self) -> Iterator[tuple[str, Reply]]:
        """Give what has been committed since the last call, by key."""
        while self.stored:
            yield self.stored.popleft()

    def close(self) -> None:
        """Commit what is left and end the thread."""
        self.ended = True
        self.more.set()
        if self.thread is not None:
            self.thread.join()
        self.flush()

    def _commit(self) -> None:
        if self.fault is not None:
            raise self.fault
        batch, self.waiting = self.waiting, []
        if batch:
            answers = [one for one in batch if isinstance(one, tuple)]
            found = [one for one in batch if isinstance(one, str)]
            self.stored.extend(self.ledger.store(answers, found).items())
            self.last = time.monotonic()

    def _work(self) -> None:
        while self.more.wait() and not self.ended:
            self.more.clear()
            time.sleep(PAUSE)
            with self.lock:
                if time.monotonic() - self.last >= PAUSE:
                    try:
                        self._commit()
                    except BaseException as fault:  # noqa: BLE001 - told to the thread that adds the next
                        self.fault = fault


def ask(
    requests: Iterable[Request], engine: Engine, ledger: Ledger, *, progress: Callable[[int], None] | None = None
) -> Asked:
    """Answer `requests` from `ledger`, and by `engine` where it has no answer; nothing else calls an engine.

    Each distinct request is sent once. An answer is committed as it arrives, so that a kill loses only what is in
    flight; an `EngineError` passes through with what came before it stored. `progress` is told after each how many
    distinct requests are done.
    """
    asking = Asking(requests, engine, ledger, progress=progress)
    return Asked(list(asking), **asking.counts())
