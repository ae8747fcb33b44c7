"""vLLM, offline or as a server, in an environment of its own: it pins other packages than the rest of the project."""

import importlib.util
import os
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any, NoReturn

import orjson

from generators import openai
from generators.child import Child, obituary, start, stop
from generators.choices import choice_logprobs
from generators.loopback import free_port, wait_until_ready
from generators.messages import by_prefix, messages, tools
from generators.vllm_worker import ADAPTED
from generators.weights import is_folder, model_name, version
from schemas.engines import Engine, Reply, Request, Sampling
from schemas.errors import EngineError

ROOT = Path(__file__).parent.parent
LONGEST_FOLDER = 70  # bytes of its path, with which a socket in it still has a name
WORKER = """
import json, sys
sys.path.append(sys.argv[1])
from generators.vllm_worker import main
main(sys.argv[2], json.loads(sys.argv[3]))
"""
IN_FLIGHT = 512  # requests sent and not yet answered: what a death loses
AT_ONCE = 64  # requests sent together


def local(
    *,
    model: str,
    revision: str = "main",
    max_model_len: int | None = None,
    dtype: str | None = None,
    gpu_memory_utilization: float | None = None,
    adapter: str | None = None,
    devices: str | None = None,
    python: str | None = None,
) -> Engine:
    """Answer with the model in the folder `model`, or with the hub's `model` at `revision`, by vLLM's offline engine.

    It runs in one child process, started with the first request (12 to 30 s) and kept until `close`. `python` is the
    Python that has vLLM, found by `environment`. `adapter` is a folder with a LoRA adapter of the model. `devices` are
    the accelerators it may see ("0,1", as CUDA_VISIBLE_DEVICES has them; all unless given). The other arguments are
    vLLM's own; those that can change an answer are part of the engine's `revision`. Where there is no accelerator,
    `dtype` is float32 unless given. Requests that begin alike are sent one after the other: vLLM keeps what it read.
    """
    return _Local(Weights(model, revision, max_model_len, dtype, gpu_memory_utilization, adapter), devices, python)


def server(
    *,
    model: str,
    revision: str = "main",
    port: int | None = None,
    max_model_len: int | None = None,
    dtype: str | None = None,
    gpu_memory_utilization: float | None = None,
    adapter: str | None = None,
    devices: str | None = None,
    python: str | None = None,
    concurrency: int = 32,
    timeout: float = 600.0,
    start_timeout: float = 180.0,
) -> Engine:
    """Answer as `local` does, by vLLM's OpenAI-compatible server on this machine's loopback, at `port` or a free one.

    It is started with the first request and must be ready within `start_timeout` seconds (30 to 70 s are usual without
    an accelerator). `concurrency` is how many requests it has at once, `timeout` the seconds one of them may take.
    """
    weights = Weights(model, revision, max_model_len, dtype, gpu_memory_utilization, adapter)
    return _Server(weights, devices, python, port, concurrency, timeout, start_timeout)


def _sockets() -> dict[str, str]:
    """Give vLLM's sockets a folder of a short name where the temporary one is long, as batch systems make it.

    A socket's path may have 107 bytes, and vLLM's have 37 beside the folder's.
    """
    short = "/tmp"  # noqa: S108 - the names in it are random, and vLLM's own default is there too
    long = len(os.fsencode(tempfile.gettempdir())) > LONGEST_FOLDER
    return {"VLLM_RPC_BASE_PATH": short} if long and "VLLM_RPC_BASE_PATH" not in os.environ else {}


def environment(python: str | None = None) -> str:
    """Find the Python that has vLLM: `python`, `$GRISTMILL_VLLM_PYTHON`, `.venv-vllm` in the project, or this one.

    The first that is named or exists counts; raises `EngineError` when it has no vLLM, or there is none.
    """
    own = ROOT / ".venv-vllm" / "bin" / "python"
    named = python or os.environ.get("GRISTMILL_VLLM_PYTHON") or (str(own) if own.exists() else None)
    if named is None:
        if importlib.util.find_spec("vllm") is None:
            raise EngineError(f"vLLM is not installed: there is no {own} and none in {sys.prefix}. `make vllm` gets it")
        return sys.executable
    look = "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)"
    if not Path(named).is_file() or subprocess.run([named, "-P", "-c", look], check=False).returncode:
        raise EngineError(f"{named} is no Python that has vLLM. `make vllm` makes one in .venv-vllm")
    return named


@dataclass(frozen=True)
class Weights:
    """What vLLM is started with; null is vLLM's default."""

    model: str
    revision: str
    max_model_len: int | None
    dtype: str | None
    gpu_memory_utilization: float | None
    adapter: str | None

    def version(self) -> str:
        """Name the weights, by content where they are a folder, and what else changes answers: "0123…-float16-512"."""
        return version(self.model, self.revision, self.dtype, self.max_model_len, adapter=self.adapter)

    def settings(self) -> dict[str, Any]:
        """Give vLLM's own arguments."""
        given = {
            "model": self.model,
            "revision": None if is_folder(self.model) else self.revision,
            "max_model_len": self.max_model_len,
            "dtype": self.dtype,
            "gpu_memory_utilization": self.gpu_memory_utilization,
            "adapter": self.adapter,
        }
        return {name: value for name, value in given.items() if value is not None}


@dataclass(eq=False)
class _Vllm:
    """What the offline engine and the server share: the weights, and the child process that holds them."""

    weights: Weights
    devices: str | None
    python: str | None
    _child: Child | None = field(default=None, init=False)
    _stop: Callable[[], object] | None = field(default=None, init=False)  # runs at exit too

    @property
    def model(self) -> str:
        return model_name(self.weights.model)

    @property
    def revision(self) -> str:
        return self.weights.version()

    def close(self) -> None:
        if self._stop is not None:
            self._stop()
        self._child = self._stop = None

    def _start(self, mode: str, **more: Any) -> Child:
        self.close()  # what is left of a start that was broken off
        self.weights.version()  # a folder that is no model is told before anything starts
        settings = orjson.dumps({**self.weights.settings(), **more}).decode()
        seen = {} if self.devices is None else {"CUDA_VISIBLE_DEVICES": self.devices}
        command = [environment(self.python), "-P", "-c", WORKER, str(ROOT), mode, settings]
        child = start(command, "vllm", seen | _sockets())
        self._stop = weakref.finalize(self, stop, child)
        return child


@dataclass(eq=False)
class _Local(_Vllm):
    def __call__(self, requests: Iterable[Request], /) -> Iterator[Reply]:
        in_flight: dict[str, Request] = {}
        waiting = by_prefix(requests)
        try:
            while self._filled(waiting, in_flight):
                for line in self._lines(len(in_flight)):
                    told = orjson.loads(line)
                    yield _reply(in_flight.pop(told["key"]), told)
        finally:
            if in_flight:  # left in the middle: nobody will read these answers, so the next call starts anew
                self.close()

    def _filled(self, waiting: Iterator[Request], in_flight: dict[str, Request]) -> bool:
        """Send as much as may be in flight; false where nothing is."""
        while asked := list(islice(waiting, min(AT_ONCE, IN_FLIGHT - len(in_flight)))):
            child = self._started()
            try:
                child.stdin.write(b"".join(map(_line, asked)))
                child.stdin.flush()
            except BrokenPipeError:
                self._give_up(_death(child, len(in_flight)))
            in_flight |= {request.key: request for request in asked}
        return bool(in_flight)

    def _lines(self, in_flight: int) -> list[bytes]:
        """Give the answers that are there, at least one."""
        child = self._started()
        data = b""
        while not data.endswith(b"\n"):
            more = child.stdout.read1()
            data += more
            if not more:
                data = data[: data.rfind(b"\n") + 1]
                break
        if not data:
            self._give_up(_death(child, in_flight))
        return data.splitlines()

    def _started(self) -> Child:
        if self._child is None:
            child = self._start("offline")
            if not child.stdout.readline():  # its first line says that it is ready
                self._give_up(f"vLLM did not start with {self.weights.model!r} {obituary(child)}")
            self._child = child
        return self._child

    def _give_up(self, why: str) -> NoReturn:
        self.close()  # the next call starts anew
        raise EngineError(why)


def _line(request: Request) -> bytes:
    fields = {
        "sampling": _sampling(request.sampling),
        "key": request.key,
        "messages": messages(request),
        "tools": tools(request),
        "seed": request.seed,
        "continuation": request.continuation,
        "writes": request.writes,
    }
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)


@lru_cache(1024)
def _sampling(sampling: Sampling) -> str:
    return orjson.dumps(sampling).decode()


def _reply(request: Request, told: dict[str, Any]) -> Reply:
    first = told.pop("first", ())
    if request.sampling.choice_logprobs and told.get("error") is None:
        told["choice_logprobs"] = choice_logprobs(request.sampling.choices, first)
    return Reply(**told)


def _death(child: Child, in_flight: int) -> str:
    return (
        f"vLLM died with {in_flight} requests in flight; what was answered before is kept, run again to ask the rest "
        f"{obituary(child)}"
    )


@dataclass(eq=False)
class _Server(_Vllm):
    port: int | None
    concurrency: int
    timeout: float
    start_timeout: float
    _url: str = field(default="", init=False)

    def __call__(self, requests: Iterable[Request], /) -> Iterator[Reply]:
        first = list(islice(requests := iter(requests), 1))
        if not first:
            return
        child = self._started()
        name = self.model if self.weights.adapter is None else f"{self.model}{ADAPTED}"
        client = openai.server(
            url=self._url, model=name, concurrency=self.concurrency, timeout=self.timeout, patience=0.0
        )
        try:
            yield from client(chain(first, requests))
        except EngineError:
            if child.process.poll() is None:
                raise
            message = _death(child, self.concurrency)
            self.close()
            raise EngineError(message) from None

    def _started(self) -> Child:
        if self._child is None:
            port = free_port(self.port)
            child = self._start("serve", served_model_name=self.model, host="127.0.0.1", port=port)
            self._url = f"http://127.0.0.1:{port}/v1"
            try:
                wait_until_ready(child, f"http://127.0.0.1:{port}/health", self.start_timeout)
            except EngineError:
                self.close()
                raise
            self._child = child
        return self._child
