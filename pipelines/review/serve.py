"""The page's server: on this machine alone, for whoever has the token."""

import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from pipelines.review.agreed import agreement
from pipelines.review.decks import has_rows
from pipelines.review.order import Wanted
from pipelines.review.reading import Review
from pipelines.review.verdicts import DECKS, LONGEST_NAME, LONGEST_NOTE, key_of
from schemas.errors import GristmillError

PAGE = Path(__file__).with_name("page")
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}
LONGEST_BODY = 64 << 10
HEADER = "x-review-token"
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def application(review: Review, token: str, port: int, *, person: str | None = None) -> Application:
    """Give the application: the page and its questions below `/TOKEN/`; with `person` it is for that one alone."""
    endpoints = Endpoints(review, person)
    inner = Starlette(
        routes=[
            Mount(
                f"/{token}",
                routes=[
                    *(Route(f"/{name}", _static(name)) for name in ("", "review.js", "review.css")),
                    Route("/api/state", endpoints.state),
                    Route("/api/deck", endpoints.deck),
                    Route("/api/next", endpoints.next),
                    Route("/api/verdict", endpoints.verdict, methods=["POST"]),
                    Route("/api/undo", endpoints.undo, methods=["POST"]),
                ],
            )
        ],
        exception_handlers={GristmillError: _refused},
    )
    return guarded(inner, token, port)


def guarded(inner: Application, token: str, port: int) -> Application:
    """Answer 403 without the token, to another host's name (DNS rebinding) and to another site's page.

    What is sent needs the token in a header too, which no form and no other site's page can set.
    """
    hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
    origins = {f"http://{host}" for host in hosts}

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # the server's start and stop
            await inner(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        given = scope["path"].split("/")[1]
        known = _same(given, token) and headers.get("host") in hosts and headers.get("origin", "") in {"", *origins}
        if known and scope["method"] not in {"GET", "HEAD"}:
            known = _same(headers.get(HEADER, ""), token) and headers.get("content-type") == "application/json"

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *more]
            await send(message)

        asked = (
            inner
            if known
            else Response("this address needs the token that ./mill review showed", 403, media_type="text/plain")
        )
        await asked(scope, receive, with_headers)

    return answer


def _same(given: str, token: str) -> bool:
    return secrets.compare_digest(given.encode(), token.encode())  # in constant time


def _static(name: str) -> Callable[[Request], Response]:
    file = PAGE / (name or "index.html")

    def give(_request: Request) -> Response:
        return Response(file.read_bytes(), media_type=KINDS[file.suffix])

    return give


class AskedError(GristmillError):
    """A question that the page never asks."""


class Endpoints:
    """What the page asks."""

    def __init__(self, review: Review, person: str | None) -> None:
        self.review, self.person = review, person

    def state(self, request: Request) -> Response:
        """Give what there is to read, and how far the people agree."""
        self.review.verdicts.refresh()
        told = {
            "run": self.review.folder.parent.name,
            "version": self.review.folder.name,
            "person": self.person,
            "decks": {name: has_rows(self.review.folder, name) for name in DECKS},
        }
        return _json(told | self._progress(str(request.query_params.get("person", ""))))

    def _progress(self, person: str) -> dict[str, Any]:
        verdicts = self.review.verdicts
        said = {name: verdicts.said(name) for name in DECKS}
        return {
            "own": {name: sum(one["person"] == person for one in rows) for name, rows in said.items()},
            "agreement": {name: agreement(rows, name) for name, rows in said.items()},
            "undo": verdicts.last_of(person) is not None,
        }

    def deck(self, request: Request) -> Response:
        """Give by what a deck can be narrowed."""
        return _json(self.review.choices(request.query_params.get("deck", "")))

    def next(self, request: Request) -> Response:
        """Give what is read next."""
        asked = request.query_params
        wanted = Wanted(
            source=asked.get("source") or None,
            rule=asked.get("rule") or None,
            least=_number(asked.get("least")),
            most=_number(asked.get("most")),
            apart=asked.get("apart") == "true",
        )
        item, left = self.review.next(asked.get("deck", ""), self._name(asked.get("person")), wanted)
        return _json({"item": item, "left": left})

    async def verdict(self, request: Request) -> Response:
        """Save a verdict; the answer comes when it is on the disk."""
        body = await _body(request)
        note = _text(body, "note", LONGEST_NOTE)
        person = self._name(body.get("person"))
        given = [_text(body, name, 200) for name in ("deck", "key", "verdict")]
        await run_in_threadpool(self.review.judge, given[0], given[1], person, given[2], note)
        return _json({"saved": True, **await run_in_threadpool(self._progress, person)})

    async def undo(self, request: Request) -> Response:
        """Take back the last verdict, and give what it was on."""
        person = self._name((await _body(request)).get("person"))
        return _json(await run_in_threadpool(self._undone, person))

    def _undone(self, person: str) -> dict[str, Any]:
        last = self.review.undo(person)
        item = last and self.review.item(last["deck"], key_of(last["ids"]), person)
        return {"item": item, **self._progress(person)}

    def _name(self, given: object) -> str:
        """Give the reviewer's name; one that was given at the start holds."""
        return self.person or name_of(given)


def name_of(given: object) -> str:
    """Give a reviewer's name without blanks around it. Raises `AskedError` for none, and for one that can't be read."""
    name = given.strip() if isinstance(given, str) else ""
    if not name[:1].isalnum() or len(name) > LONGEST_NAME or not name.isprintable():
        told = f"a name of up to {LONGEST_NAME} characters is needed, the first a letter or digit"
        raise AskedError(f"{told}: verdicts are stored under it")
    return name


async def _body(request: Request) -> dict[str, Any]:
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > LONGEST_BODY:
            raise AskedError(f"more than {LONGEST_BODY:,} bytes were sent")
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise AskedError(f"what was sent is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise AskedError("what was sent is no JSON object")
    return body


def _text(body: dict[str, Any], name: str, longest: int) -> str:
    given = body.get(name, "")
    if not isinstance(given, str) or len(given) > longest:
        raise AskedError(f"{name} is not a text of up to {longest:,} characters")
    return given


def _number(given: str | None) -> float | None:
    try:
        return float(given) if given else None
    except ValueError as error:
        raise AskedError(f"{given!r} is no number") from error


def _json(told: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(told), status, media_type="application/json")


async def _refused(_request: Request, error: Exception) -> Response:
    return _json({"error": str(error)}, 400)


def serve(review: Review, *, port: int = 0, person: str | None = None, say: Callable[[str], None]) -> None:
    """Serve the page on 127.0.0.1 until it is interrupted; `say` is told its address when it answers."""
    import uvicorn

    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(("127.0.0.1", port))
        except OSError as error:
            raise AskedError(
                f"port {port} of 127.0.0.1 can't be had: {error.strerror}; name another by --port"
            ) from error
        port = bound.getsockname()[1]
        token = secrets.token_urlsafe(24)
        config = uvicorn.Config(
            application(review, token, port, person=person),
            log_level="warning",
            access_log=False,  # its lines would hold the token
            server_header=False,
            lifespan="off",
        )
        bound.listen()

        class Announced(uvicorn.Server):
            """Says its address when an interrupt would end it: one that came before was lost now and then."""

            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets=sockets)
                say(f"http://127.0.0.1:{port}/{token}/")

        Announced(config).run(sockets=[bound])
