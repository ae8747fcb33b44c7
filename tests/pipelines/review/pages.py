"""A tab of a real Chromium, driven by its DevTools protocol, and a page being served by the command.

Keys and mouse go the way a person's go.
"""

import base64
import json
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
from websockets.sync.connection import Connection

PATIENCE = 60  # seconds that the page may take on a busy machine
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
