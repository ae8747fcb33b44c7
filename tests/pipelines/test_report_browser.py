"""The report in a real browser: a hundred texts that would run as scripts, in every field, and nothing runs."""

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipelines import report
from tests.pipelines.reported import all_of, made

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CALL = "fetch('HOST/hit')"
TAGS = [
    "<script>{}</script>",
    "<img src=x onerror={}>",
    "<svg onload={}>",
    "<svg><script>{}</script></svg>",
    "<body onload={}>",
    "<iframe srcdoc='<script>{}</script>'></iframe>",
    '<iframe src="javascript:{}"></iframe>',
    "<input autofocus onfocus={}>",
    "<details open ontoggle={}>",
    "<video><source onerror={}></video>",
    "<audio src=x onerror={}>",
    '<object data="javascript:{}"></object>',
    '<embed src="javascript:{}">',
    "<math><mtext><table><mglyph><style><img src=x onerror={}>",
    '<a href="javascript:{}" autofocus>x</a>',
    "<link rel=stylesheet href=HOST/hit>",
    "<meta http-equiv=refresh content='0;url=HOST/hit'>",
    "<base href=HOST/hit/>",
    "<form action=HOST/hit><input type=submit autofocus></form>",
    "<img src=HOST/hit>",
]
BEFORE = ["", '">', "'>", "</style></title></textarea></pre></code></script>", "--></svg>]]>\u202e"]
PAYLOADS = [before + tag.replace("{}", CALL) for before in BEFORE for tag in TAGS]


@contextmanager
def serving(pages: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Serve pages whose HOST is this server; gives its address and, as they come, the paths asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = pages.get(self.path, "").replace("HOST", host).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    host = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield host, asked
    finally:
        server.shutdown()
        server.server_close()


def visit(pages: dict[str, str], profile: Path) -> set[str]:
    """Open the pages in frames of one page, and give what was asked for beside them."""
    frames = "".join(f"<iframe src={path}></iframe>" for path in pages)
    assert CHROMIUM is not None
    with serving({**pages, "/": frames}) as (host, asked):
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        flags += ["--disable-component-update", "--disable-sync", f"--user-data-dir={profile}", "--timeout=20000"]
        subprocess.run([CHROMIUM, *flags, "--dump-dom", f"{host}/"], check=True, capture_output=True, timeout=120)
        return set(asked)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, the browser")
def test_none_of_a_hundred_payloads_runs_or_asks_for_anything_with_or_without_the_policy(tmp_path: Path) -> None:
    assert len(set(PAYLOADS)) == 100
    pages = {}
    for at, payload in enumerate(PAYLOADS):
        html = report.render(*made(all_of(payload)))[0]
        pages[f"/{at}"] = html
        pages[f"/bare/{at}"] = re.sub("<meta http-equiv=.Content-Security-Policy[^>]*>", "", html)
        assert "Content-Security-Policy" not in pages[f"/bare/{at}"]
    assert visit(pages, tmp_path) - {"/favicon.ico"} == {"/", *pages}


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, the browser")
def test_the_payloads_do_run_where_nothing_stops_them(tmp_path: Path) -> None:
    assert "/hit" in visit({"/raw": f"<!doctype html>{PAYLOADS[1]}"}, tmp_path)
