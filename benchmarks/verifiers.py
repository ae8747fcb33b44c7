"""Verifiers: how fast, and how often wrong, beside lm-evaluation-harness's and math-verify's own loops.

Run from the project's root as `python -m benchmarks.verifiers [PART ...]`; the parts are `speed`, `labels` and `code`.
`LMEVAL_PYTHON` names a Python that has lm-evaluation-harness (with what its IFEval task needs) and math-verify; without
it their rows are left out, which is said. Data is read below `GRISTMILL_DATA` (../shared/data).

`speed`: rows in a second of CPU, of the loop alone, medians of three runs: IFEval's 1,623 recorded replies, and GSM8K's
5,276 recorded solutions. `labels`: false positives and negatives against GSM8K's recorded labels, with 95 % Wilson
intervals. `code`: HumanEval's and MBPP's canonical solutions
and three mutants of each, in the sandbox.
"""

import argparse
import ast
import gzip
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any, cast

import orjson

from benchmarks.ifeval import replies
from benchmarks.quality import share
from judges import checks, sandbox
from judges.code import passes
from judges.ifeval import followed, follows
from judges.math import equivalent, final_answer
from pipelines.tasks import humaneval, mbpp
from schemas.tables import Sample

DATA = Path(os.environ.get("GRISTMILL_DATA", "../shared/data"))
PEER = os.environ.get("LMEVAL_PYTHON")
RUNS = 3
MUTANTS = 3
# fmt: off
SWAPS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Mod: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
}
# fmt: on
THEIRS = """
import json, sys, time
from statistics import median
job = json.load(sys.stdin)

def timed(work):
    runs = []
    for _ in range(job["runs"]):
        start = time.process_time()
        found = [work(row) for row in job["rows"]]
        runs.append(time.process_time() - start)
    return {"seconds": median(runs), "found": found}

if job["what"] == "ifeval":
    from lm_eval.tasks.ifeval.utils import InputExample, process_results
    told = timed(lambda row: process_results(row, [row["response"]])["inst_level_strict_acc"])
elif job["what"] == "gsm8k":
    import re
    from lm_eval.filters.extraction import RegexFilter
    from lm_eval.api.metrics import exact_match_hf_evaluate
    find = RegexFilter(regex_pattern=r"(-?[$0-9.,]{2,})|(-?[0-9]+)", group_select=-1)
    drop = [",", r"\\$", "(?s).*#### ", r"\\.$"]
    def score(row):
        said = find.apply([[row["reply"]]], [None])[0][0]
        found = exact_match_hf_evaluate([said], [row["reference"]], regexes_to_ignore=drop, ignore_case=True)
        return bool(found["exact_match"] == 1.0)
    told = timed(score)
else:
    from math_verify import parse, verify
    told = timed(lambda row: verify(parse(row["reference"]), parse(row["reply"])))
print(json.dumps(told))
"""


def theirs(what: str, rows: list[dict[str, Any]], runs: int = RUNS) -> dict[str, Any] | None:
    """Give a peer's seconds and what it found; null where it is not installed."""
    if PEER is None:
        return None
    job = orjson.dumps({"what": what, "rows": rows, "runs": runs})
    done = subprocess.run([PEER, "-c", THEIRS], input=job, capture_output=True, check=False)  # noqa: S603 - our own
    if done.returncode:
        raise SystemExit(f"{what} in {PEER}: {done.stderr.decode()[-2000:]}")
    found: dict[str, Any] = orjson.loads(done.stdout.splitlines()[-1])
    return found


def timed(work: Callable[[], object]) -> float:
    """Give the CPU seconds of this process, the median of three runs."""
    seconds = []
    for _ in range(RUNS):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return median(seconds)


def solutions() -> list[dict[str, Any]]:
    """Give GSM8K's recorded solutions: reply, reference, label."""
    lines = (DATA / "gsm8k/example_model_solutions.jsonl").read_bytes().splitlines()
    return [
        {
            "reply": said["solution"],
            "reference": row["ground_truth"].rpartition("A:")[2].strip(),
            "label": said["is_correct"],
        }
        for row in map(orjson.loads, lines)
        for said in row.values()
        if isinstance(said, dict)
    ]


def sample(reference: str | None = None, **columns: Any) -> Sample:
    """Give a sample with what a verifier reads."""
    told: dict[str, Any] = {
        "id": "1",
        "prompt": [],
        "reply": None,
        "reference": reference,
        "check": None,
        "replies": None,
    }
    return cast("Sample", told | columns)


def speed() -> Iterator[str]:
    """Give rows a second of CPU, ours and theirs."""
    rows = [
        {
            "key": at,
            "prompt": row["prompt"],
            "response": row["response"],
            "instruction_id_list": [one.id for one in asked],
            "kwargs": [one.kwargs for one in asked],
        }
        for at, (_, row, asked) in enumerate(replies())
    ]
    asked = [[follows(one) for one in instructions] for *_, instructions in replies()]
    pairs = list(zip(rows, asked, strict=True))
    seconds = timed(lambda: [followed(row["response"], kinds) for row, kinds in pairs])
    yield _line("IFEval, ours", len(rows), seconds)
    yield _line("IFEval, lm-evaluation-harness (strict and loose)", len(rows), _seconds(theirs("ifeval", rows)))
    seconds = timed(
        lambda: [
            (followed(row["response"], kinds), followed(row["response"], kinds, loose=True)) for row, kinds in pairs
        ]
    )
    yield _line("IFEval, ours (strict and loose)", len(rows), seconds)
    golds = solutions()
    verifier = final_answer()
    given = [(row["reply"], sample(row["reference"])) for row in golds]
    yield _line("GSM8K, ours", len(golds), timed(lambda: [verifier.verify(*one) for one in given]))
    yield _line("GSM8K, lm-evaluation-harness (flexible-extract)", len(golds), _seconds(theirs("gsm8k", golds)))
    yield _line("GSM8K, math-verify", len(golds), _seconds(theirs("math-verify", golds)))


def _seconds(found: dict[str, Any] | None) -> float | None:
    return None if found is None else float(found["seconds"])


def _line(what: str, rows: int, seconds: float | None) -> str:
    told = "skipped: LMEVAL_PYTHON is not set" if seconds is None else f"{rows / seconds:9.0f} rows a CPU second"
    return f"{what:52} {told}"


def labels() -> Iterator[str]:
    """Give false positives and false negatives against GSM8K's recorded labels."""
    rows = solutions()
    given = [(row["reply"], sample(row["reference"])) for row in rows]
    found: dict[str, list[float | None] | None] = {
        "judges.math:final_answer": [final_answer().verify(*one).score for one in given],
        "judges.math:equivalent": [equivalent().verify(*one).score for one in given],
    }
    for name, what in (("lm-evaluation-harness, flexible-extract", "gsm8k"), ("math-verify", "math-verify")):
        told = theirs(what, rows, runs=1)
        found[name] = None if told is None else [float(one) for one in told["found"]]
    for name, scores in found.items():
        if scores is None:
            yield f"{name:42} skipped: LMEVAL_PYTHON is not set"
            continue
        count = Counter((bool(row["label"]), score) for row, score in zip(rows, scores, strict=True))
        wrong = sum(bool(row["label"]) is False for row in rows)
        yield f"{name:42} false positives {share(count[False, 1.0], wrong)}"
        yield f"{'':42} false negatives {share(count[True, 0.0], len(rows) - wrong)}"
        yield f"{'':42} without a verdict {sum(score is None for score in scores)}"


def code() -> Iterator[str]:
    """Give what becomes of canonical solutions and of their mutants."""
    if sandbox.missing() is not None:
        yield f"skipped: {sandbox.missing()}"
        return
    human = gzip.decompress((DATA / "code/HumanEval.jsonl.gz").read_bytes()).splitlines()
    basic = (DATA / "code/mbpp.jsonl").read_bytes().splitlines()
    for name, rows, layout in (("HumanEval", human, humaneval), ("MBPP", basic, mbpp)):
        given = []
        for row in map(orjson.loads, rows):
            reading = layout(row)
            solution = row["prompt"] + row["canonical_solution"] if name == "HumanEval" else row["code"]
            task = sample(prompt=reading.prompt, check=reading.check)
            given += [(kind, text, task) for kind, text in [("canonical", solution), *mutants(solution)]]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            start = time.monotonic()
            verdicts = list(pool.map(lambda one: checks.own().verify(one[1], one[2]), given))
            seconds = time.monotonic() - start
        count = Counter((one[0], verdict.score, verdict.status) for one, verdict in zip(given, verdicts, strict=True))
        for (kind, score, status), times in sorted(count.items(), key=str):
            yield f"{name:10} {kind:16} {'pass' if score else 'fail' if score == 0.0 else status:8} {times:5}"
        survivors = [
            (one[1], one[2]) for one, found in zip(given, verdicts, strict=True) if mutated(one[0], found.score)
        ]
        same = sum(in_one_interpreter(*one) for one in survivors)
        yield f"{name:10} of {len(survivors)} mutants that pass, {same} pass with code and tests in one interpreter too"
        yield f"{name:10} {len(given) / seconds:.1f} programs a second, {os.cpu_count()} at a time"


def mutated(kind: str, score: float | None) -> bool:
    """Say whether a verdict is a mutant's pass: the tests don't tell it from the solution, or the sandbox hides it."""
    return kind != "canonical" and score == 1.0


def in_one_interpreter(code: str, task: Sample) -> bool:
    """Say whether the code passes its tests where they are part of the same program, as they usually are."""
    check = orjson.loads(task["check"] or "{}")
    call = f"check({check['entry_point']})" if "entry_point" in check else ""
    whole = f"{code}\n{check['test']}\n{call}\ndef done():\n    return True\n"
    return passes(test="assert done()").verify(whole, task).score == 1.0


def mutants(solution: str) -> Iterator[tuple[str, str]]:
    """Give a mutant that returns nothing, and up to three with one operator turned into another."""
    tree = ast.parse(solution)
    yield "returns nothing", ast.unparse(_Silent().visit(ast.parse(solution)))
    places = [at for at, node in enumerate(ast.walk(tree)) if _operator(node) in SWAPS]
    for place in places[:MUTANTS]:
        other = ast.parse(solution)
        node: Any = list(ast.walk(other))[place]
        swapped = SWAPS[cast("type", _operator(node))]()
        if isinstance(node, ast.Compare):
            node.ops[0] = swapped
        else:
            node.op = swapped
        yield "operator swapped", ast.unparse(other)


def _operator(node: ast.AST) -> type | None:
    if isinstance(node, (ast.BinOp, ast.AugAssign)):
        return type(node.op)
    return type(node.ops[0]) if isinstance(node, ast.Compare) else None


class _Silent(ast.NodeTransformer):
    def visit_Return(self, _node: ast.Return) -> ast.AST:
        return ast.Return(value=ast.Constant(value=...))


def main() -> None:
    """Print the parts that are asked for."""
    parts = {"speed": speed, "labels": labels, "code": code}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", choices=[*parts, []], default=list(parts))
    for part in parser.parse_args().part:
        for line in parts[part]():
            print(line, flush=True)


if __name__ == "__main__":
    main()
