"""A finished run that is full of poison, the command that serves it, and a real Chromium without a window.

The browser is driven by its DevTools protocol: keys and mouse go the way a person's go.
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from judges.pairwise import question
from pipelines.progress import shown
from pipelines.recipe import Recipe
from pipelines.run import build
from schemas.verdicts import Pair

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --remote-debugging-port=0 --window-size=1000,1250"
)
PATIENCE = 60  # seconds that the page may take on a busy machine
PAIRS = 24
DISPUTED = 4  # pairs on which the two judges say the opposite
WAVERING = 3  # and on which the second names whichever came first
POISON = [
    "<script>document.title = 'owned'</script>",
    "<img src=x onerror=\"document.title = 'owned'\">",
    "</p></section><svg onload=alert(1)>",
    "<iframe srcdoc='<script>parent.document.title = 1</script>'></iframe>",
    "javascript:alert(1) [x](javascript:alert(1))",
    "{{ 7 * 7 }} ${7 * 7}",
    "\u202eright to left\u2066\u200b end",
    "<style>* { display: none }</style><base href='http://example.org/'>",
]
RECIPE = """
name = "judged"
[[sources]]
path = "{folder}/pairs.jsonl"
layout = "dpo"
[[filters]]
use = "filters.length:words"
part = "prompt"
minimum = 2
[engines.recorded]
use = "generators.replay:recorded"
path = "{folder}/said.jsonl"
[[judges]]
use = "judges.pairwise:preference"
engine = "recorded"
[[judges]]
use = "judges.pairwise:preference"
criterion = "helpfulness"
engine = "recorded"
"""
CODES = {"ArrowLeft": 37, "ArrowRight": 39, "Enter": 13, "Tab": 9, "Escape": 27, " ": 32}


@dataclass
class Page:
    """A tab: what it is asked goes over its socket, and what it tells of itself is in `events`."""

    socket: Connection
    events: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give the answer to one command of the protocol."""
        self.asked += 1
        self.socket.send(json.dumps({"id": self.asked, "method": method, "params": parameters}))
        while True:
            told = json.loads(self.socket.recv(PATIENCE))
            if told.get("id") == self.asked:
                assert "error" not in told, told
                result: dict[str, Any] = told["result"]
                return result
            self.events.append(told)

    def open(self, address: str, width: int = 1000, height: int = 1250, *, scheme: str = "light") -> None:
        """Open an address in a window of that size, in the light or the dark."""
        for domain in ("Page", "Runtime", "Network", "Log", "Accessibility"):
            self.call(f"{domain}.enable")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def ask(self, expression: str) -> Any:
        """Give the value of an expression in the page."""
        told = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until an expression is true in the page."""
        end = time.monotonic() + PATIENCE
        while not self.ask(expression):
            assert time.monotonic() < end, (expression, self.ask("document.body.innerText"))
            time.sleep(0.02)

    def key(self, key: str, *, repeat: bool = False, **modifiers: int) -> None:
        """Press and release a key."""
        code = CODES.get(key) or ord(key.upper())
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        told = {"key": key, "windowsVirtualKeyCode": code, "text": text, "autoRepeat": repeat, **modifiers}
        self.call("Input.dispatchKeyEvent", type="keyDown", **told)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code, **modifiers)

    def type(self, text: str) -> None:
        """Type a text into what has the focus."""
        self.call("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Press the mouse's button in the middle of an element, scrolled into view."""
        middle = f"""(() => {{ const it = document.querySelector({json.dumps(selector)});
            it.scrollIntoView({{block: "center"}}); const box = it.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2]; }})()"""
        x, y = self.ask(middle)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def text(self, selector: str) -> str:
        """Give the text that an element shows."""
        shown: str = self.ask(f"document.querySelector({json.dumps(selector)}).innerText")
        return shown

    def outline(self) -> list[dict[str, Any]]:
        """Give the accessibility tree: what a screen reader is told, role by role."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [
            {"role": node["role"]["value"], "name": node.get("name", {}).get("value", "")}
            | {one["name"]: one["value"].get("value") for one in node.get("properties", [])}
            for node in nodes
            if not node["ignored"]
        ]

    def picture(self, file: Path) -> None:
        """Keep a picture of the window."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def complaints(self) -> list[Any]:
        """Give what the page logged, threw, asked in a dialogue, or asked for from anywhere but its own server."""
        self.ask("1")
        loud = {"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded", "Page.javascriptDialogOpening"}
        return [one for one in self.events if one["method"] in loud]

    def requested(self) -> list[str]:
        """Give the addresses that the page asked for."""
        return [one["params"]["request"]["url"] for one in self.events if one["method"] == "Network.requestWillBeSent"]


def said_of(at: int, criterion: str, good: str, first: str) -> str:
    """Give a judge's answer on a pair: both name the good one, but for the second on the first few pairs."""
    if criterion == "helpfulness" and at < DISPUTED:
        return "B" if first == good else "A"
    if criterion == "helpfulness" and at < DISPUTED + WAVERING:
        return "A"
    return "A" if first == good else "B"


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a recipe and its finished run; nothing may change it."""
    folder = tmp_path_factory.mktemp("judged")
    pairs, said = [], []
    for at in range(PAIRS):
        poison = POISON[at % len(POISON)]
        prompt, good, bad = f"Name a colour {at}. {poison}", f"Blue {at}. {poison}", f"A dog {at}. {poison}"
        pairs.append({"prompt": prompt, "chosen": good, "rejected": bad})
        for criterion in ("correctness", "helpfulness"):
            for first, second in ((good, bad), (bad, good)):
                asked = question(Pair([{"role": "user", "content": prompt}], first, second), criterion)
                told = said_of(at, criterion, good, first)
                said.append({"question": asked[0]["content"], "solution": told})
    pairs += [{"prompt": f"Short{at}", "chosen": f"Yes {at}", "rejected": "No"} for at in range(3)]
    (folder / "pairs.jsonl").write_bytes(b"\n".join(map(orjson.dumps, pairs)))
    (folder / "said.jsonl").write_bytes(b"\n".join(map(orjson.dumps, said)))
    (folder / "recipe.toml").write_text(RECIPE.format(folder=folder))
    with shown() as progress:
        build(Recipe.read(folder / "recipe.toml"), folder / "runs", progress)
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """Give a copy of the folder with the recipe and its finished run."""
    shutil.copytree(finished, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


@pytest.fixture
def run(folder: Path) -> Path:
    """Give the finished run's folder."""
    return (folder / "runs" / "judged" / "latest").resolve()


@dataclass(frozen=True)
class Served:
    """A page being served by the command itself."""

    process: subprocess.Popen[str]
    address: str
    file: Path

    @property
    def token(self) -> str:
        """The token in the address."""
        return self.address.split("/")[3]

    @property
    def origin(self) -> str:
        """Where the address is of."""
        return self.address.removesuffix(f"/{self.token}/")

    def get(self, path: str, **asked: str) -> Any:
        """Give what the server tells."""
        return httpx.get(f"{self.address}api/{path}", params=asked).raise_for_status().json()

    def post(self, path: str, **body: str) -> httpx.Response:
        """Send what the page sends."""
        headers = {"x-review-token": self.token, "content-type": "application/json"}
        return httpx.post(f"{self.address}api/{path}", content=orjson.dumps(body), headers=headers)

    def lines(self) -> list[dict[str, Any]]:
        """Give the file of verdicts."""
        return [orjson.loads(line) for line in self.file.read_bytes().splitlines()] if self.file.exists() else []


@pytest.fixture
def serve(folder: Path) -> Iterator[Callable[..., Served]]:
    """Give what starts `./mill review judged`; all are ended at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(*options: str) -> Served:
        command = [sys.executable, "-m", "pipelines", "review", "judged", "--out", str(folder / "runs"), *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        file = Path(process.stdout.readline().removeprefix("verdicts: ").strip())
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), address
        return Served(process, address, file)

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Start Chromium once for all tests, and give the port that it is driven by."""
    if CHROMIUM is None:
        pytest.skip("no chromium, chromium-browser or google-chrome is on the PATH")
    home = tmp_path_factory.mktemp("chromium")
    command = [CHROMIUM, *FLAGS.split(), f"--user-data-dir={home}", "about:blank"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            told = home / "DevToolsActivePort"
            end = time.monotonic() + PATIENCE
            while not (told.exists() and told.read_text()):
                assert process.poll() is None, "Chromium ended at its start"
                assert time.monotonic() < end, "Chromium did not say its port"
                time.sleep(0.05)
            yield int(told.read_text().split()[0])
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def new_page(chromium: int) -> Iterator[Callable[[], Page]]:
    """Give what opens a tab; all are closed at the end."""
    opened: list[tuple[Page, str]] = []
    with connect(_browser(chromium), max_size=None) as socket:
        browser = Page(socket)

        def open_one() -> Page:
            name = browser.call("Target.createTarget", url="about:blank")["targetId"]
            page = Page(connect(f"ws://127.0.0.1:{chromium}/devtools/page/{name}", max_size=None))
            opened.append((page, name))
            return page

        yield open_one
        for page, name in opened:
            page.socket.close()
            browser.call("Target.closeTarget", targetId=name)


def _browser(port: int) -> str:
    address: str = httpx.get(f"http://127.0.0.1:{port}/json/version").json()["webSocketDebuggerUrl"]
    return address
