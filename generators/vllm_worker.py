"""What the vLLM environment's Python runs for us, offline engine or server; `generators/vllm.py` starts it.

Of the project it imports what renders a chat, which needs no package; the project's folder comes last on its path.
Either way it ends as soon as its standard input is closed: no orphan is left when the project is killed.

Offline: a JSON request a line comes in (key, messages, tools, seed, continuation, writes, and `sampling`, the JSON text
of `Sampling`'s fields, which many requests share), a JSON answer a line goes out the moment it is ready; the first line
out says that the engine has started. What is done a request costs the engine: both want Python. So lines are read,
rendered and written by as many as are there at once.
"""

import copy
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import lru_cache
from math import isfinite
from typing import Any

from generators.rendering import prompt_tokens, together

Queue = queue.SimpleQueue[Any]

IN_FLIGHT = 512  # requests handed to the engine at once; more gains nothing and costs memory
NO_DEFAULTS = {  # the server takes what a request doesn't name from the model's generation_config.json, `LLM` does not
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "max_new_tokens": None,
}
TOP = 20  # likeliest tokens told for `choice_logprobs`: the most that vLLM gives unless told otherwise
COMPACT = {"backend": "xgrammar", "disable_any_whitespace": True}  # else a weak model fills its JSON with blanks
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # of LoRA adapters, that vLLM knows
ADAPTED = "+adapter"  # what the server's name for the model with its adapter ends with
AT_ONCE = 1 << 16  # bytes of standard input: what a pipe holds
SAMPLINGS = 1024  # kept read and built; a schema a row would be many
GRACE = 5.0  # seconds a server may take to end by itself before its whole process group is killed


def main(mode: str, settings: dict[str, Any]) -> None:
    """Run the engine (`mode` "offline") or the server ("serve") with vLLM's own `settings`, names as `LLM` has them."""
    os.environ.update(VLLM_NO_USAGE_STATS="1", DO_NOT_TRACK="1")
    if os.path.isdir(settings["model"]):  # noqa: PTH112 - a hub name is no path
        os.environ["HF_HUB_OFFLINE"] = "1"  # a folder has everything: look nothing up
    answers = os.dup(1)
    os.dup2(2, 1)  # vLLM prints: everything but the answers goes to the log
    if mode == "offline":
        offline(settings, answers)
    else:
        serve(settings)


def offline(settings: dict[str, Any], answers: int) -> None:
    """Answer requests from standard input, on the file descriptor `answers`, until the input is closed.

    Reading and writing have a thread each, so that the engine waits for neither while there is work.
    """
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    sys.setswitchinterval(0.0005)  # seconds: the engine wants Python back after each of its many small operations
    lines: Queue = queue.SimpleQueue()  # unbounded: who asks bounds what is in flight
    started: Queue = queue.SimpleQueue()
    beside(read_lines, lines, started)
    import vllm

    adapter = settings.pop("adapter", None)
    llm = vllm.LLM(
        **{**cpu_settings(), **lora_settings(adapter), **settings},
        enable_prefix_caching=True,
        structured_outputs_config=COMPACT,
    )
    lora = lora_request(adapter)
    done: Queue = queue.SimpleQueue()
    beside(write_lines, done, answers)
    done.put([{"ready": vllm.__version__}])
    started.put(copy.deepcopy(llm.get_tokenizer()))  # a copy: it is no two threads' at once
    running: dict[str, dict[str, Any]] = {}
    while True:
        while len(running) < IN_FLIGHT and (not running or not lines.empty()):
            request, prompt, way, error = lines.get()
            error = error or add(llm, request["key"], prompt, way, lora)
            if error is None:
                running[request["key"]] = request
            else:
                done.put([{"key": request["key"], "text": None, "error": error}])
        finished = [(output, running.pop(output.request_id)) for output in llm.llm_engine.step() if output.finished]
        if finished:
            done.put(finished)


def beside(work: Callable[..., None], *arguments: Any) -> None:
    """Do `work` in a thread of its own; if it fails, so does the process: nobody waits for what will not come."""

    def run() -> None:
        try:
            work(*arguments)
        except BaseException:  # noqa: BLE001 - whatever it was, it ends the process
            traceback.print_exc()
            os._exit(1)

    threading.Thread(target=run, daemon=True).start()


def read_lines(lines: "Queue", started: "Queue") -> None:
    """Queue each line of standard input as a request, its tokens, its sampling and why it can't be answered, or null.

    At its end leave at once, whatever is still being answered, and whether or not the engine has `started`.
    """
    tokenizer, rest = None, b""
    while data := os.read(0, AT_ONCE):
        *whole, rest = (rest + data).split(b"\n")
        tokenizer = tokenizer or started.get()
        requests = [{**fields(request["sampling"]), **request} for request in map(json.loads, whole)]
        for request, tokens in zip(requests, together(tokenizer, requests), strict=True):
            try:
                lines.put((request, tokens or prompt_tokens(tokenizer, request), sampling(request), None))
            except Exception as error:  # noqa: BLE001 - what a bad request raises differs between versions and templates
                lines.put((request, None, None, f"{type(error).__name__}: {error}"))
    os._exit(0)


@lru_cache(SAMPLINGS)
def fields(text: str) -> dict[str, Any]:
    """Give the fields of a sampling's JSON text; its seed is the recipe's, and not the request's."""
    told: dict[str, Any] = json.loads(text)
    return told


def add(llm: Any, key: str, tokens: list[int], way: Any, lora: Any) -> str | None:
    """Hand a request to the engine; give back why it can't be answered, or null."""
    try:
        llm.llm_engine.add_request(key, {"prompt_token_ids": tokens}, way, lora_request=lora)
    except Exception as error:  # noqa: BLE001 - what a bad request raises differs between vLLM's versions
        return f"{type(error).__name__}: {error}"
    return None


def sampling(request: dict[str, Any]) -> Any:
    """Give `request`'s sampling as vLLM wants it, which many share but for the seed."""
    if request["continuation"] is not None or request["writes"] == "user":
        return built(request)
    way = copy.copy(shared(request["sampling"]))
    way.seed = request["seed"]
    return way


@lru_cache(SAMPLINGS)
def shared(text: str) -> Any:
    """Give the sampling of a text, without a seed."""
    return built({**fields(text), "seed": None, "continuation": None})


def built(request: dict[str, Any]) -> Any:
    """Give a request's sampling, made and checked by vLLM."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    if request["continuation"] is not None:
        return SamplingParams(
            temperature=0.0, max_tokens=1, prompt_logprobs=0, output_kind=RequestOutputKind.FINAL_ONLY
        )
    return SamplingParams(
        temperature=request["temperature"],
        top_p=request["top_p"],
        top_k=request["top_k"],
        min_p=request["min_p"],
        max_tokens=request["max_tokens"],
        stop=request["stop"] or None,
        stop_token_ids=request.get("stop_token_ids"),
        seed=request["seed"],
        logprobs=TOP if request["choice_logprobs"] else 0 if request["logprob"] else None,  # 0: the sampled token's
        structured_outputs=StructuredOutputsParams(**held) if (held := restriction(request)) else None,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def restriction(request: dict[str, Any]) -> dict[str, Any]:
    """Give what the answer is held to as vLLM names it: the choices, a JSON schema or nothing."""
    if request["choices"]:
        return {"choice": request["choices"]}
    return {"json": request["schema"]} if request["schema"] is not None else {}


def answer(output: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Give a finished request's answer as it goes out."""
    if request["continuation"] is not None:
        return score(output, request)
    (completion,) = output.outputs
    if completion.finish_reason not in ("stop", "length"):
        return {"key": output.request_id, "text": None, "error": f"vLLM ended it with {completion.finish_reason!r}"}
    return {
        "key": output.request_id,
        "text": completion.text,
        "finish_reason": completion.finish_reason,
        "prompt_tokens": len(output.prompt_token_ids),
        "reply_tokens": len(completion.token_ids),
        "logprob": completion.cumulative_logprob if request["logprob"] else None,
        "first": [[one.decoded_token, one.logprob] for one in completion.logprobs[0].values() if isfinite(one.logprob)]
        if request["choice_logprobs"] and completion.logprobs
        else [],
    }


def score(output: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Give how likely the engine finds a request's continuation: the summed log-probability of its tokens, in nats."""
    count = request["scored"]
    tokens = output.prompt_token_ids
    ends = zip(tokens[len(tokens) - count :], output.prompt_logprobs[len(tokens) - count :], strict=True)
    return {
        "key": output.request_id,
        "text": request["continuation"],
        "finish_reason": "stop",
        "prompt_tokens": len(tokens) - count,
        "reply_tokens": count,
        "logprob": sum(found[token].logprob for token, found in ends),
    }


def write_lines(done: "Queue", answers: int) -> None:
    """Write what is `done` on the descriptor `answers`, a line each, whole and at once."""
    while True:
        found = done.get()
        told = (one if isinstance(one, dict) else answer(*one) for one in found)
        data = b"".join(json.dumps(one).encode() + b"\n" for one in told)
        while data:
            data = data[os.write(answers, data) :]


def cpu_settings() -> dict[str, Any]:
    """Give what vLLM needs where there is no accelerator, nothing where there is one."""
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return {}
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB; the default takes half the memory
    return {
        "dtype": "float32",
        "enforce_eager": True,  # compiling takes minutes there and gains nothing
        "enable_chunked_prefill": False,  # half a prompt with a seed of its own ends vLLM 0.32 there: see docs/log.md
    }


def lora_settings(adapter: str | None) -> dict[str, Any]:
    """Give what vLLM needs to be told to take the LoRA adapter in the folder `adapter`, nothing without one."""
    if adapter is None:
        return {}
    with open(os.path.join(adapter, "adapter_config.json"), encoding="utf-8") as file:  # noqa: PTH118, PTH123
        rank = json.load(file)["r"]
    return {"enable_lora": True, "max_loras": 1, "max_lora_rank": next(size for size in RANKS if size >= rank)}


def lora_request(adapter: str | None) -> Any:
    """Give what a request names its LoRA adapter by, null without one."""
    if adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest("adapter", 1, adapter)


def serve(settings: dict[str, Any]) -> None:
    """Run vLLM's OpenAI-compatible server, its command line filled from `settings`."""
    beside(end_with_input)
    from vllm.entrypoints.launchers.api_server.entry import main as command  # `vllm serve` looks for a package "vllm"

    adapter = settings.pop("adapter", None)
    settings["override_generation_config"] = json.dumps(NO_DEFAULTS)
    settings["structured_outputs_config"] = json.dumps(COMPACT)
    if adapter is not None:
        settings["lora_modules"] = f"{settings['served_model_name']}{ADAPTED}={adapter}"
    sys.argv = ["vllm"]
    for name, value in {**cpu_settings(), **lora_settings(adapter), **settings}.items():
        option = name.replace("_", "-")
        sys.argv += (
            [f"--{option}" if value else f"--no-{option}"] if isinstance(value, bool) else [f"--{option}", str(value)]
        )
    command()


def end_with_input() -> None:
    """Wait for the end of standard input, then end the whole process group: the server has children."""
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE)
    os.killpg(0, signal.SIGKILL)
