import os
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.review.agreed import agreement, words
from pipelines.review.verdicts import Said, VerdictFile, read_verdicts
from schemas.errors import InputError

WRITER = """
import sys
from pathlib import Path
from tests_said import said
from pipelines.review.verdicts import VerdictFile
file = VerdictFile(Path(sys.argv[1]))
for at in range(100_000):
    file.add(said(str(at), person=sys.argv[2], note="x" * 300))
    print(at, flush=True)
"""


def said(name: str, verdict: str | None = "a", *, person: str = "anna", note: str = "") -> Said:
    return {
        "deck": "pairs",
        "ids": [f"{name}a", f"{name}b"],
        "sample_id": name,
        "person": person,
        "verdict": verdict,
        "note": note,
        "first": f"{name}a",
        "at": "2026-01-01T00:00:00+00:00",
        "run": "r",
        "order": "telling",
    }


def test_a_writer_killed_at_any_time_loses_nothing_that_it_called_saved(tmp_path: Path) -> None:
    file = tmp_path / "review" / "verdicts.jsonl"
    (tmp_path / "tests_said.py").write_bytes(Path(__file__).read_bytes())
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[3])])
    for person in ("anna", "ben", "carla"):
        command = [sys.executable, "-c", WRITER, str(file), person]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
        ) as one:
            assert one.stdout is not None
            saved = [int(one.stdout.readline()) for _ in range(20)]
            one.send_signal(signal.SIGKILL)
            saved += [int(line) for line in one.stdout]
        known = read_verdicts(file)
        assert sum(verdict["person"] == person for verdict in known.said("pairs")) >= len(saved)
        with file.open("ab") as torn:
            torn.write(orjson.dumps(said("torn"))[:40])  # what a kill in the middle of a write would leave
    assert {verdict["sample_id"] for verdict in read_verdicts(file).said("pairs")} & {"torn"} == set()


STEPS = st.lists(
    st.tuples(st.sampled_from("pq"), st.sampled_from(["anna", "ben"]), st.sampled_from(["a", "tie", "undo"]))
)


@given(STEPS)
def test_the_last_word_holds_and_undo_gives_back_what_was_before_nothing(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, str]]
) -> None:
    file = VerdictFile(tmp_path_factory.mktemp("said") / "review" / "verdicts.jsonl")
    held: dict[tuple[str, str], str] = {}
    order: list[tuple[str, str]] = []
    for thing, person, step in steps:
        if step == "undo":
            last = file.last_of(person)
            own = [place for place in order if place[1] == person]
            assert (last is None) == (not own)
            if last is not None:
                assert (last["sample_id"], person) == own[-1]
                file.add(last | {"verdict": None})
                del held[own[-1]]
                order.remove(own[-1])
        else:
            file.add(said(thing, step, person=person))
            held[thing, person] = step
            order = [place for place in order if place != (thing, person)] + [(thing, person)]
    assert {(one["sample_id"], one["person"]): one["verdict"] for one in file.said("pairs")} == held
    again = VerdictFile(file.file)
    again.refresh()
    assert again.said("pairs") == file.said("pairs")
    assert again.last_of("anna") == file.last_of("anna")


@pytest.mark.parametrize("line", [b"nonsense", b"{}", b"[]", b'"x"', orjson.dumps(said("p", "pass")), b"\xff"])
def test_a_line_that_is_no_verdict_is_told_with_its_number(tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "verdicts.jsonl"
    file.write_bytes(orjson.dumps(said("p")) + b"\n" + line + b"\n")
    with pytest.raises(InputError, match="line 2"):
        read_verdicts(file)


def test_people_who_say_the_same_agree_wholly_and_skipping_is_saying_nothing() -> None:
    same = [said(name, verdict, person=who) for who in ("anna", "ben") for name, verdict in (("p", "a"), ("q", "tie"))]
    told = agreement([*same, said("z", "skip"), said("z", "a", person="ben")], "pairs")
    assert (told["alpha"], told["pairs"][0]["kappa"], told["pairs"][0]["same"]) == (1.0, 1.0, 1.0)
    assert told["people"] == {"anna": 2, "ben": 3}
    assert told["by_several"] == 2
    assert "kappa 1.000" in words({"pairs": told})


def test_both_bad_is_not_a_tie_among_people() -> None:
    rows = [said("p", "tie"), said("p", "both_bad", person="ben"), said("q", "a"), said("q", "a", person="ben")]
    assert agreement(rows, "pairs")["pairs"][0]["same"] == 0.5


def test_without_a_second_reader_nothing_is_known_of_agreement() -> None:
    told = agreement([said("p"), said("q", "b")], "pairs")
    assert (told["alpha"], told["pairs"], told["by_several"]) == (None, [], 0)
