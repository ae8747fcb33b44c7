"""A finished run that is full of poison, the command that serves it, and a real Chromium without a window."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import orjson
import pytest
from websockets.sync.client import connect

from judges.pairwise import question
from pipelines.progress import shown
from pipelines.recipe import Recipe
from pipelines.run import build
from schemas.verdicts import Pair
from tests.pipelines.review.pages import PATIENCE, Page, Served

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --remote-debugging-port=0 --window-size=1000,1250"
)
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
