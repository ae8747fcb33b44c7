"""What the ledger and the pipe to vLLM's own process cost: wall time over that of a bare vLLM `LLM.generate`.

Run as `python -m benchmarks.throughput [requests] [rounds]` from the project's root (2,000 and 5 unless told), on an
idle machine. Both sides have vLLM with the project's tiny model loaded and warm, with the same settings, and answer in
turn the same requests (rendered beforehand for the bare side), other ones in each round; each of our rounds has a
ledger of its own. The answers are compared, so that both did the same work. It fails above 1.10, by the median.
On a busy machine the ratio of CPU time is the figure to trust.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from generators.asking import ask
from generators.ledger import open_ledger
from generators.vllm import environment, local
from schemas.engines import Engine, Request, Sampling

BOUND = 1.10
MODEL = Path(__file__).parent.parent / "models" / "tiny"
SAMPLING = Sampling(temperature=1.0, max_tokens=64)
BARE = """
import json, os, sys, time
os.environ.update(VLLM_ENABLE_V1_MULTIPROCESSING="0", HF_HUB_OFFLINE="1", VLLM_NO_USAGE_STATS="1", DO_NOT_TRACK="1")
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
import vllm
sys.path.append(sys.argv[1])
from generators.vllm_worker import cpu_settings
llm = vllm.LLM(sys.argv[2], **cpu_settings(), enable_prefix_caching=True)
for line in sys.stdin:
    asked = json.loads(line)
    render = llm.get_tokenizer().apply_chat_template
    prompts = [render(chat, add_generation_prompt=True, tokenize=False) for chat in asked["chats"]]
    ways = [vllm.SamplingParams(seed=seed, **asked["sampling"]) for seed in asked["seeds"]]
    start, spent = time.monotonic(), time.process_time()
    made = llm.generate(prompts, ways, use_tqdm=False)
    took = [time.monotonic() - start, time.process_time() - spent]
    print(json.dumps({"took": took, "texts": [one.outputs[0].text for one in made]}), file=answers, flush=True)
"""


def requests(count: int, which: int, model: str, revision: str) -> list[Request]:
    """Give `count` requests of round `which`: sums, no two alike."""
    asked = (f"What is {which * 1000 + at // 40} plus {at % 40 * 7}?" for at in range(count))
    return [Request([{"role": "user", "content": text}], SAMPLING, model, revision) for text in asked]


def bare(process: "subprocess.Popen[str]", asked: list[Request]) -> tuple[tuple[float, float], list[str]]:
    """Give the seconds that the bare vLLM takes, of wall and of CPU, and its answers."""
    sampling = {"temperature": SAMPLING.temperature, "max_tokens": SAMPLING.max_tokens}
    line = {"chats": [one.chat for one in asked], "seeds": [one.seed for one in asked], "sampling": sampling}
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a child without pipes")
    process.stdin.write(json.dumps(line) + "\n")
    process.stdin.flush()
    told: dict[str, Any] = json.loads(process.stdout.readline())
    return tuple(told["took"]), told["texts"]


def through_the_ledger(
    engine: Engine, path: Path, asked: list[Request]
) -> tuple[tuple[float, float], list[str | None]]:
    """Give the seconds that our engine takes with a new ledger at `path`, of wall and of both processes' CPU."""
    for one in asked:
        one.__dict__.pop("key", None)  # hashing is ours to pay for
    ledger = open_ledger(path)
    start, spent = time.monotonic(), cpu_seconds(engine)
    found = ask(asked, engine, ledger)
    took = time.monotonic() - start, cpu_seconds(engine) - spent
    ledger.close()
    return took, [reply.text for reply in found.replies]


def cpu_seconds(engine: Engine) -> float:
    """Give the CPU seconds that this process and the engine's child have used."""
    child = getattr(engine, "_child")  # noqa: B009 - no part of the protocol
    told = Path(f"/proc/{child.process.pid}/stat").read_text().rpartition(")")[2].split() if child else ["0"] * 13
    return time.process_time() + (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


def main(count: int, rounds: int) -> int:
    """Print a line a round and the median; gives 1 where it is above the bound or the answers differ."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    command = [environment(), "-P", "-c", BARE, str(MODEL.parent.parent), str(MODEL)]
    ratios: list[tuple[float, ...]] = []
    same = []
    engine = local(model=str(MODEL))
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(  # noqa: S603 - a list of our own arguments
            command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process,
    ):
        for which in range(rounds + 1):  # the first, of few, warms up
            asked = requests(count if which else 64, which, engine.model, engine.revision)
            path = Path(folder) / f"{which}.sqlite"
            if which % 2:  # each side goes first in every other round
                theirs, texts = bare(process, asked)
            ours, replies = through_the_ledger(engine, path, asked)
            if not which % 2:
                theirs, texts = bare(process, asked)
            if which:
                ratios.append(tuple(mine / other for mine, other in zip(ours, theirs, strict=True)))
                same.append(replies == texts)
                told = (
                    f"{name} {took[0]:.2f} s, CPU {took[1]:.2f} s" for name, took in (("bare", theirs), ("ours", ours))
                )
                print(f"round {which}:", *told, "ratios {:.3f}, {:.3f}".format(*ratios[-1]), flush=True)
        if process.stdin is not None:
            process.stdin.close()
    engine.close()
    wall, cpu = (statistics.median(both) for both in zip(*ratios, strict=True))
    print(
        f"{count:,} requests, answers alike: {all(same)}, median ratio of wall time {wall:.3f} (at most {BOUND} wanted)"
    )
    print(f"median ratio of CPU time, our process and vLLM's over the bare one: {cpu:.3f}")
    return 0 if wall <= BOUND and all(same) else 1


if __name__ == "__main__":
    sys.exit(main(*(int(given) for given in (*sys.argv[1:], *("2000", "5")[len(sys.argv) - 1 :]))))
