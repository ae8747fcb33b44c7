"""A server that answers chats as a script says, and its replies by prompt."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from schemas.engines import Engine, Reply, Request, Sampling

Answer = tuple[int, dict[str, str], Any]  # status, headers, JSON body
Script = Callable[[int, dict[str, Any]], Answer]  # from the number of the request, from 0, and its body


def completion(*texts: str | None, finish_reason: str = "stop") -> dict[str, Any]:
    choices = [
        {"index": index, "finish_reason": finish_reason, "message": {"role": "assistant", "content": text}}
        for index, text in enumerate(texts)
    ]
    return {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": choices}


@contextmanager
def serving(script: Script, port: int = 0) -> Iterator[str]:
    """A server on this machine, at `port` or a free one, that answers chats as `script` says; gives its address."""
    asked: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply(404, {}, {})  # it doesn't list its models

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(time.monotonic())
            self.reply(*script(len(asked) - 1, {**body, "authorization": self.headers["Authorization"]}))

        def reply(self, status: int, headers: dict[str, str], body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """Say nothing: a client that went away is part of the test."""

    with Server(("127.0.0.1", port), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}/v1"
        httpd.shutdown()
        thread.join()


def replies(engine: Engine, *prompts: str, sampling: Sampling = Sampling()) -> dict[str, Reply]:  # noqa: B008 - frozen
    requests = {
        Request([{"role": "user", "content": prompt}], sampling, engine.model, engine.revision).key: prompt
        for prompt in prompts
    }
    asked = [Request([{"role": "user", "content": p}], sampling, engine.model, engine.revision) for p in prompts]
    return {requests[reply.key]: reply for reply in engine(asked)}
