import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generators.replay import recorded
from schemas.engines import Engine, Reply, Request, Sampling
from schemas.errors import EngineError

ROWS: list[dict[str, object]] = [
    {"question": "1+1?", "small": {"solution": "3"}, "v2.5": {"solution": "2", "is_correct": True}},
    {"question": "2+2?", "small": {"solution": None}, "v2.5": {"solution": "4"}},
]


def file(folder: Path, rows: list[dict[str, object]]) -> str:
    path = folder / "answers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def reply(engine: Engine, prompt: str, sample: int = 0) -> Reply:
    request = Request(
        [{"role": "system", "content": "Think."}, {"role": "user", "content": prompt}],
        Sampling(),
        engine.model,
        engine.revision,
        sample,
    )
    (answer,) = engine([request])
    assert answer.key == request.key
    return answer


def test_sample_k_is_what_the_kth_system_said_and_names_it(tmp_path: Path) -> None:
    engine = recorded(path=file(tmp_path, ROWS), systems=["small", "v2.5"])
    answers = [reply(engine, "1+1?", sample) for sample in (0, 1)]
    assert [(one.text, one.model, one.finish_reason) for one in answers] == [
        ("3", "small", "stop"),
        ("2", "v2.5", "stop"),
    ]


def test_a_system_that_said_nothing_keeps_its_place(tmp_path: Path) -> None:
    engine = recorded(path=file(tmp_path, ROWS), systems=["small", "missing", "v2.5"])
    assert [reply(engine, "2+2?", sample).text for sample in (0, 1, 2)] == [None, None, "4"]


@pytest.mark.parametrize(
    ("prompt", "sample", "error"),
    [("1+1? ", 0, "this prompt was not recorded"), ("1+1?", 2, "sample 2 of this prompt was not recorded")],
)
def test_what_was_not_recorded_is_an_error(tmp_path: Path, prompt: str, sample: int, error: str) -> None:
    one = reply(recorded(path=file(tmp_path, ROWS), systems=["small", "v2.5"]), prompt, sample)
    assert (one.text, one.error) == (None, error)


@given(texts=st.lists(st.text(), min_size=1, max_size=5))
def test_without_systems_sample_k_is_the_kth_row_of_the_prompt(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    rows: list[dict[str, object]] = [{"in": {"text": "q"}, "out": text} for text in texts]
    path = file(tmp_path_factory.mktemp("replay"), rows)
    engine = recorded(path=path, prompt="in.text", text="out")
    assert [reply(engine, "q", sample).text for sample in range(len(texts))] == texts


def test_the_revision_changes_with_the_file_and_with_the_systems(tmp_path: Path) -> None:
    path = file(tmp_path, ROWS)
    both = recorded(path=path, systems=["small", "v2.5"]).revision
    assert both == recorded(path=path, systems=["small", "v2.5"]).revision
    assert both != recorded(path=path, systems=["v2.5", "small"]).revision
    assert both != recorded(path=file(tmp_path, ROWS[:1]), systems=["small", "v2.5"]).revision


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"none.jsonl: No such file"):
        reply(recorded(path=str(tmp_path / "none.jsonl")), "q")
    (tmp_path / "half.jsonl").write_text('{"question": "q", "solution": "a"}\n{"question')
    with pytest.raises(EngineError, match=r"half.jsonl, line 2"):
        reply(recorded(path=str(tmp_path / "half.jsonl")), "q")
    with pytest.raises(EngineError, match=r"line 1: no text at `prompt`"):
        reply(recorded(path=file(tmp_path, ROWS), prompt="prompt"), "q")
