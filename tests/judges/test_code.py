"""Code under test: right and wrong, and every way round the tests."""

import gzip
import os
from pathlib import Path

import orjson
import pytest

from judges.code import passes
from pipelines.tasks import humaneval, mbpp
from schemas.parts import load
from schemas.tables import Sample
from schemas.verdicts import Verifier
from tests.judges.coding import RIGHT, sample, sandboxed, verdict

DATA = Path(os.environ.get("GRISTMILL_DATA", "../shared/data"))
has_data = pytest.mark.skipif(not (DATA / "code").is_dir(), reason=f"needs HumanEval and MBPP in {DATA}")
ALWAYS_EQUAL = "    def __eq__(self, other): return True\n    def __hash__(self): return 0\n"


@sandboxed
@pytest.mark.parametrize(
    "reply",
    [
        RIGHT,
        f"Sure:\n```python\n{RIGHT}```\nIt adds.",
        f"```python\n{RIGHT}```\nand so\n```\nprint(add(1, 2))\n```",
        "add = lambda a, b: a + b",
        "import operator\nadd = operator.add",
        f"{RIGHT}\nif __name__ == '__main__':\n    raise SystemExit",
    ],
)
def test_code_that_does_what_it_should_passes(reply: str) -> None:
    found = verdict(reply)
    assert (found.score, found.status, found.why) == (1.0, "scored", "")
    assert found.extracted is not None
    assert "add" in found.extracted


@sandboxed
@pytest.mark.parametrize(
    "reply",
    [
        "",
        "def add(a, b):\n    return a - b",
        "def plus(a, b):\n    return a + b",
        "def add(a, b):\n    return a + c",
        "def add(a, b) return a + b",
        "I can't.",
        "add = '\ud800'",
        "def add(a, b):\n    print(a + b)",
    ],
)
def test_code_that_does_not_fails(reply: str) -> None:
    assert verdict(reply).score == 0.0


@sandboxed
@pytest.mark.parametrize(
    "reply",
    [
        "import sys\nsys.exit(0)",
        "import os\nos._exit(0)",
        f"{RIGHT}\nraise SystemExit(0)",
        "def add(a, b):\n    import sys; sys.exit(0)",
        "def add(a, b):\n    import os; os._exit(0)",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
        "import atexit, os\natexit.register(os._exit, 0)\ndef add(a, b): return 7",
        "class E:\n" + ALWAYS_EQUAL + "def add(a, b): return E()",
        "class E(int):\n" + ALWAYS_EQUAL + "def add(a, b): return E(7)",
        "class E(float):\n" + ALWAYS_EQUAL + "def add(a, b): return E(7)",
        "class M(type):\n" + ALWAYS_EQUAL + "class E(metaclass=M): pass\ndef add(a, b): return E",
        "import builtins\nbuiltins.AssertionError = type('Never', (Exception,), {})\ndef add(a, b): return 7",
        "def check(f): pass\ndef add(a, b): return 7",
        "import sys\nsys.modules['judges.jail.wire'] = None\nsys.settrace(lambda *a: None)\ndef add(a, b): return 7",
        "import gc\n[o.clear() for o in gc.get_objects() if type(o) is dict]\ndef add(a, b): return 7",
        "import sys\nsys._getframe(5).f_locals.clear()\ndef add(a, b): return 7",
        "import ctypes\nctypes.string_at(0)\ndef add(a, b): return 3",
        'import os\n[os.write(n, b\'{"status": "pass", "why": "", "program": ""}\') for n in range(1, 9)]',
        (
            'import os, json\nd = json.dumps({"value": 3}).encode()\n'
            "for n in range(3, 9):\n    try: os.write(n, len(d).to_bytes(4, 'big') + d)\n    except OSError: pass\n"
            "def add(a, b): return 7"
        ),
    ],
)
def test_no_end_no_patch_and_no_forgery_is_a_pass(reply: str) -> None:
    assert verdict(reply).score == 0.0


@sandboxed
def test_a_program_can_not_bring_its_own_builtins_into_the_tests() -> None:
    cheat = "def near(a): return 99\ndef abs(a): return 0\ndef all(a): return True\ndef len(a): return 1"
    assert verdict(cheat, "assert abs(near(1) - 1) < 1e-6").score == 0.0
    assert verdict(cheat, "assert all(near(i) == i for i in range(3))").score == 0.0
    assert verdict("def sum(a, b): return a + b", "assert sum(1, 2) == 3").score == 1.0
    assert verdict("def sum(a): return [9]\ndef set(a): return 1", "assert set(sum([1])) == set([1])").score == 0.0


@sandboxed
@pytest.mark.parametrize("test", ["assert (", "def check(", "\0", "(" * 1000])
def test_tests_that_are_no_python_are_an_error(test: str) -> None:
    found = verdict(RIGHT, test)
    assert (found.score, found.status) == (None, "error")


@sandboxed
def test_a_prompt_that_is_code_is_gone_on_with() -> None:
    prompt = 'from typing import List\n\n\ndef first(xs: List[int]) -> int:\n    """The first of them."""\n'
    verifier = passes(test="def check(candidate):\n    assert candidate([1, 2]) == 1\n", entry_point="first")
    full = "```python\ndef first(xs: List[int]) -> int:\n    return xs[0]\n```"
    assert verifier.verify("    return xs[0]\n", sample(prompt)).score == 1.0
    assert verifier.verify(full, sample(prompt)).score == 1.0
    assert verifier.verify("    return xs[1]\n", sample(prompt)).score == 0.0


@sandboxed
def test_a_verdict_is_the_same_three_times() -> None:
    code = "def order(): return list({'a', 'b', 'c', 'd'})"
    found = {verdict(code, "assert order()[0] == 'a'").score for _ in range(3)}
    assert len(found) == 1


@sandboxed
def test_exceptions_objects_and_iterators_pass_between_the_sides() -> None:
    code = (
        "class Node:\n    def __init__(self, v): self.v, self.next = v, None\n"
        "def count(n): return 0 if n is None else 1 + count(n.next)\n"
        "def fail(): raise ValueError('no')\ndef odd(): return (i for i in (1, 3))\n"
    )
    test = (
        "n = Node(1)\nn.next = Node(2)\nassert count(n) == 2 and n.next.v == 2\nassert list(odd()) == [1, 3]\n"
        "try:\n    fail()\nexcept ValueError as error:\n    assert str(error) == 'no'\nelse:\n    assert False"
    )
    assert verdict(code, test).why == ""


def own_check(check: str) -> Verifier:
    arguments = orjson.loads(check)
    verifier = load(arguments.pop("use"), arguments)()
    assert isinstance(verifier, Verifier)
    return verifier


@sandboxed
@has_data
def test_canonical_solutions_pass_and_broken_ones_fail() -> None:
    problems = [
        orjson.loads(line)
        for line in gzip.decompress((DATA / "code/HumanEval.jsonl.gz").read_bytes()).splitlines()[::24]
    ]
    tasks = [orjson.loads(line) for line in (DATA / "code/mbpp.jsonl").read_bytes().splitlines()][::140]
    for row, reading in [(row, humaneval(row)) for row in problems] + [(row, mbpp(row)) for row in tasks]:
        solution = row.get("canonical_solution") or row["code"]
        assert reading.check is not None
        verifier = own_check(reading.check)
        task: Sample = {**sample(), "prompt": reading.prompt}
        assert verifier.verify(solution, task).why == ""
        assert verifier.verify(solution.replace("return ", "return None if 1 else "), task).score == 0.0
