"""The request ledger: every answer that was ever paid for, found again by the request's content."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sql

from schemas.engines import Engine, Reply, Request
from schemas.errors import EngineError, StoreError

CHUNK = 500  # keys looked up by one query; SQLite allows 999 parameters at its smallest

ANSWERS = sql.Table(
    "answers",
    sql.MetaData(),
    sql.Column("key", sql.String(16), primary_key=True),
    sql.Column("model", sql.Text, nullable=False),
    sql.Column("revision", sql.Text, nullable=False),
    sql.Column("request", sql.Text, nullable=False),  # JSON, the whole of it
    sql.Column("reply", sql.Text, nullable=False),  # JSON, likewise
    sql.Column("created", sql.Float, nullable=False),  # seconds since 1970
)


@dataclass(frozen=True)
class Ledger:
    """An open ledger. An answer that `store` has returned from survives a kill, and is never replaced."""

    engine: sql.Engine

    def find(self, keys: Sequence[str]) -> dict[str, Reply]:
        """Give the replies stored under `keys`, by key; those that were never answered are left out."""
        found: dict[str, Reply] = {}
        with self.engine.connect() as connection:
            for start in range(0, len(keys), CHUNK):
                rows = sql.select(ANSWERS.c.key, ANSWERS.c.reply).where(ANSWERS.c.key.in_(keys[start : start + CHUNK]))
                found |= {key: Reply(**orjson.loads(reply)) for key, reply in connection.execute(rows)}
        return found

    def store(self, request: Request, reply: Reply) -> Reply:
        """Commit `reply` and give it back; where another process was quicker, give back what that one stored."""
        row = {
            "key": request.key,
            "model": request.model,
            "revision": request.revision,
            "request": orjson.dumps(asdict(request)).decode(),
            "reply": orjson.dumps(asdict(reply)).decode(),
            "created": time.time(),
        }
        try:
            with self.engine.begin() as connection:
                connection.execute(ANSWERS.insert(), row)
        except sql.exc.IntegrityError:
            return self.find([request.key])[request.key]
        return reply

    def close(self) -> None:
        """Close the database."""
        self.engine.dispose()


@dataclass(frozen=True)
class Asked:
    """The replies in the order of the requests, and how the distinct ones among them were come by.

    `asked` were sent to the engine, `from_ledger` were not; `failed` of those asked met an error, which is not stored.
    """

    replies: list[Reply]
    asked: int
    from_ledger: int
    failed: int


def open_ledger(where: str | Path) -> Ledger:
    """Open the ledger at `where`, a file (SQLite, made when it isn't there) or a database URL; `StoreError` if not."""
    try:
        url = sql.make_url(where) if isinstance(where, str) and "://" in where else _file(Path(where))
        engine = sql.create_engine(url)
        if engine.dialect.name == "sqlite":
            sql.event.listen(engine, "connect", _set_up)
        with engine.begin() as connection:
            connection.execute(sql.schema.CreateTable(ANSWERS, if_not_exists=True))
    except (sql.exc.SQLAlchemyError, ImportError, OSError) as error:
        raise StoreError(f"the ledger can't be opened: {error}. Expected is a file's path or a database URL") from None
    return Ledger(engine)


def _file(path: Path) -> sql.URL:
    path.parent.mkdir(parents=True, exist_ok=True)
    return sql.URL.create("sqlite", database=str(path))


def _set_up(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA busy_timeout=60000")  # milliseconds: other processes write too
    connection.execute("PRAGMA journal_mode=WAL")  # readers don't wait for writers
    connection.execute("PRAGMA synchronous=NORMAL")  # a commit survives a kill, if not a power cut


def ask(
    requests: Iterable[Request], engine: Engine, ledger: Ledger, *, progress: Callable[[int], None] | None = None
) -> Asked:
    """Answer `requests` from `ledger`, and by `engine` where it has no answer; nothing else calls an engine.

    Each distinct request is sent once. An answer is committed before the next is waited for, so that a kill loses only
    what is in flight; an `EngineError` passes through with what came before it stored. `progress` is told after each
    how many distinct requests are done.
    """
    wanted = list(requests)
    waiting = {request.key: request for request in wanted}
    done = ledger.find(list(waiting))
    from_ledger = len(done)
    for key in done:
        del waiting[key]
    asked, failed = len(waiting), 0
    for reply in engine(list(waiting.values())):
        request = waiting.pop(reply.key, None)
        if request is None:
            raise EngineError(f"the engine {engine.model} answered {reply.key}, which it was not asked, or not twice")
        done[reply.key] = reply if reply.error else ledger.store(request, reply)
        failed += reply.error is not None
        if progress:
            progress(len(done))
    for key in waiting:
        done[key] = Reply(key, None, error="the engine gave no answer")
    replies = [done[request.key] for request in wanted]
    return Asked(replies, asked, from_ledger, failed + len(waiting))
