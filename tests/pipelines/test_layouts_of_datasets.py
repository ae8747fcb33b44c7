"""Rows as well-known datasets have them: read whole, or told which columns are not."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.ingest import ingest
from pipelines.layouts import LAYOUTS, read_as, recognise
from pipelines.sources import Source
from pipelines.store import read_table
from pipelines.turns import LayoutError, Reading
from pipelines.unread import ASKING, WHOLE, half_read, unread, unrecognised
from schemas.errors import InputError
from schemas.tables import SAMPLES


def one(layout: str | None, row: dict[str, Any]) -> Reading:
    [reading] = read_as(layout, row)
    return reading


@pytest.mark.parametrize(
    ("row", "asked", "right"),
    [
        ({"choices": ["w", "x"], "answer": 1}, "Which?\nA. w\nB. x", "B"),
        ({"options": ["w", "x"], "answer": "A", "answer_index": 0}, "Which?\nA. w\nB. x", "A"),
        ({"choices": ["w", "x"], "answer": "x"}, "Which?\nA. w\nB. x", "B"),
        ({"choices": {"text": ["w", "x"], "label": ["1", "2"]}, "answerKey": "2"}, "Which?\n1. w\n2. x", "2"),
        ({"choices": [{"text": "w", "label": "C"}], "answerKey": "C"}, "Which?\nC. w", "C"),
    ],
)
def test_choices_are_a_part_of_the_question(row: dict[str, Any], asked: str, right: str) -> None:
    row = {"question": "Which?", **row}
    assert recognise([row]) == "choices"
    reading = one("choices", row)
    assert (reading.prompt[0]["content"], reading.reply, reading.reference) == (asked, None, right)


@pytest.mark.parametrize(
    ("row", "asked", "reply"),
    [
        ({"instruction": "Who?", "context": "Ann did it.", "response": "Ann"}, "Who?\n\nAnn did it.", "Ann"),
        ({"question": "Who?", "context": "Ann did it.", "answer": "Ann"}, "Ann did it.\n\nWho?", "Ann"),
        ({"query": "q", "response": "a"}, "q", "a"),
        ({"inputs": "q", "targets": "a"}, "q", "a"),
        ({"prompt": None, "query": "q", "response": "a"}, "q", "a"),
        ({"problem": "q", "solution": "a", "answer": 2}, "q", "a"),
        ({"conversations": ["q", "a"]}, "q", "a"),
        ({"messages": ["q", "a"]}, "q", "a"),
        ({"conversation": [{"input": "q", "output": "a"}]}, "q", "a"),
    ],
)
def test_the_rows_of_well_known_datasets_are_read_whole(row: dict[str, Any], asked: str, reply: str) -> None:
    layout = recognise([row])
    assert (one(layout, row).prompt[0]["content"], one(layout, row).reply) == (asked, reply)
    assert unread(layout, [row], {}) == []
    assert one(layout, row).reference == ("2" if "problem" in row else None)


def test_each_instance_of_an_instruction_is_a_sample() -> None:
    row = {"instruction": "Add.", "instances": [{"input": "1 1", "output": "2"}, {"input": "", "output": "0"}]}
    assert recognise([row]) == "self_instruct"
    readings = read_as("self_instruct", row)
    assert [(one.prompt[0]["content"], one.reply) for one in readings] == [("Add.\n\n1 1", "2"), ("Add.", "0")]


def test_completions_are_scored_by_the_mean_of_their_aspects_before_the_overall_score() -> None:
    good, bad = (
        {"response": text, "overall_score": 10.0, "fine-grained_score": score}
        for text, score in (("good", 4.5), ("bad", 1.0))
    )
    row = {"instruction": "q", "completions": [bad, good]}
    assert recognise([row]) == "ultrafeedback"
    assert (one("ultrafeedback", row).reply, one("ultrafeedback", row).replies) == (
        "good",
        (("bad", 1.0), ("good", 4.5)),
    )
    del good["fine-grained_score"], bad["overall_score"]
    assert (one("ultrafeedback", row).reply, one("ultrafeedback", row).replies) == (
        None,
        (("bad", None), ("good", None)),
    )


def test_columns_that_no_reading_depends_on_are_told() -> None:
    rows = [
        {"prompt": "q", "completion": "a", "id": 1, "note": "", "document": "d"},
        {"prompt": "r", "completion": 3, "x": 1},
    ]
    assert unread("prompt_completion", rows, {}) == ["document", "id"]  # the second row is no sample
    assert unread(None, rows[:1], {"prompt": ["document", "prompt"], "reply": "completion", "source": "id"}) == []
    assert half_read("prompt_completion", ["document", "id"]) == "document"
    assert half_read("prompt_completion", ["id"]) is None
    assert half_read("messages", ["document"]) is None  # the turns are all that was said


def test_a_column_that_may_be_asked_is_left_out_only_where_the_recipe_says_so(tmp_path: Path) -> None:
    row = {"prompt": "Sum it up.", "document": "d", "completion": "s"}
    path = str(tmp_path / "x.jsonl")
    Path(path).write_bytes(orjson.dumps(row))
    chosen: list[dict[str, str | list[str]]] = [{}, {"reply": "completion"}]
    for columns in chosen:
        with pytest.raises(InputError, match="does not read the column 'document'"):
            ingest(tmp_path, [Source(path=path, columns=columns)])
    left = ingest(tmp_path, [Source(path=path, layout="prompt_completion")])
    both = ingest(tmp_path, [Source(path=path, columns={"prompt": ["document", "prompt"], "reply": "completion"})])
    told = [(one.facts["files"][0]["unread"], read_table(one, "samples", SAMPLES)["prompt"][0]) for one in (left, both)]
    assert [(unread, turn["content"]) for unread, [turn] in told] == [
        (["document"], "Sum it up."),
        ([], "d\n\nSum it up."),
    ]


def test_a_run_and_its_report_tell_the_columns_that_were_not_read(tmp_path: Path) -> None:
    columns = dict.fromkeys(("id", "<b>bold</b>", "\x1b[31mred", *map(str, range(20))), "x")
    (tmp_path / "rows.jsonl").write_bytes(orjson.dumps({"instruction": "q", "output": "a", **columns}))
    (tmp_path / "x.toml").write_text(f'name = "x"\n[[sources]]\npath = "{tmp_path}/rows.jsonl"\nlicense = "MIT"\n')
    command = [sys.executable, "-m", "pipelines", "run", str(tmp_path / "x.toml"), "--out", str(tmp_path / "runs")]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    assert "rows.jsonl: alpaca, 1 rows: 1 samples, 0 quarantined; not read: '\\x1b[31mred', 0, 1, 10, " in said
    assert f"and {len(columns) - 12} more" in said
    latest = tmp_path / "runs" / "x" / "latest"
    [file] = orjson.loads((latest / "summary.json").read_bytes())["files"]
    assert file["unread"] == sorted(columns)
    page = (latest / "report.html").read_text()
    assert "&lt;b&gt;bold&lt;/b&gt;, id" in page
    assert "<b>bold" not in page


def test_a_row_of_no_layout_is_told_the_remedy_first_and_the_nearest_layouts_with_what_they_lack() -> None:
    said = unrecognised({"instruction_id_list": [], "kwargs": [], "question": "q", "": "x"})
    assert said.startswith('Say in the recipe which columns hold what: columns = { prompt = "...", reply = "..." }.')
    assert "Found the columns '', instruction_id_list, kwargs, question. Nearest: ifeval (lacks 'prompt'); " in said
    assert "gsm8k (lacks 'answer')" in said
    assert len(said) < 600
    assert all(name in said for name in LAYOUTS)
    assert "prompt (not beside 'label' or 'output')" in unrecognised({"prompt": "a", "output": "b", "label": 1})


def test_rows_of_several_samples_are_counted_as_rows_and_the_further_samples_apart(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Add.", "instances": [{"input": text, "output": text} for text in "abc"]},
        {"instruction": "Add.", "instances": [{"input": "d", "output": "d"}]},
        {"instruction": "Add.", "instances": []},
    ]
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    (tmp_path / "x.toml").write_text(f'name = "x"\n[[sources]]\npath = "{tmp_path}/rows.jsonl"\nlicense = "MIT"\n')
    command = [sys.executable, "-m", "pipelines", "run", str(tmp_path / "x.toml"), "--out", str(tmp_path / "runs")]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    assert "rows.jsonl: self_instruct, 3 rows: 4 samples, 1 quarantined\n" in said
    latest = tmp_path / "runs" / "x" / "latest"
    told = orjson.loads((latest / "summary.json").read_bytes())["rows"]
    assert (told["read"], told["several"], told["quarantined"], told["samples"]) == (3, 2, 1, 4)
    page = (latest / "report.html").read_text()
    assert "plus further samples" in page
    assert "rows read and further samples less quarantined" in page


@pytest.mark.parametrize("name", sorted(ASKING))
def test_no_layout_leaves_a_part_of_the_question_out_in_silence(name: str) -> None:
    for layout, (needed, _read) in LAYOUTS.items():
        for some in needed:
            row = dict.fromkeys(some, "####") | {name: "text"}
            if recognise([row]) == layout and name not in some:
                left = unread(layout, [row], {})
                assert name not in left or half_read(layout, left) == name or layout in WHOLE, layout


TEXTS = st.sampled_from(["", "q", "A", "####", "user", "\n\nHuman: q\n\nAssistant: a"])
NAMES = st.sampled_from(["role", "content", "from", "value", "text", "label", "response", "input", "output", "rank"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
) | st.lists(TEXTS, min_size=1, max_size=3)
MORE = {"history", "system", "tools", "reference", "check", "license", "reply"}
COLUMNS = sorted({name for needed, _read in LAYOUTS.values() for some in needed for name in some} | ASKING | MORE)


def test_pairs_beside_half_of_others_are_read() -> None:
    row = {"prompt": "q", "chosen": "good", "rejected": "bad", "chosen_messages": [{"role": "user", "content": "q"}]}
    (reading,) = read_as("dpo", row)
    assert reading.replies == (("good", 1.0), ("bad", 0.0))


@pytest.mark.parametrize("layout", LAYOUTS)
@given(st.data())
def test_whatever_a_row_holds_it_is_read_or_said_to_be_no_row(layout: str, data: st.DataObject) -> None:
    needed, _read = LAYOUTS[layout]
    names = data.draw(st.sampled_from(needed))
    others = dict.fromkeys([name for name in COLUMNS if name not in names], VALUES)
    row = data.draw(st.fixed_dictionaries(dict.fromkeys(sorted(names), VALUES), optional=others))
    try:
        readings = read_as(layout, row)
    except LayoutError:
        readings = [Reading([])]  # which the run quarantines
    assert readings
    unread(layout, [row], {})


@pytest.mark.parametrize(
    ("layout", "row", "told"),
    [
        ("alpaca", {"instruction": "a", "input": "b", "context": "c"}, "both 'input' and 'context'"),
        ("self_instruct", {"instruction": "a", "instances": []}, "instead of a list of inputs and outputs"),
        ("ultrafeedback", {"instruction": "a", "completions": ["b"]}, "instead of a list of responses"),
        ("choices", {"question": "a", "choices": ["b"], "answer": 1}, "the answer is '1' instead of one of A"),
        (
            "choices",
            {"question": "a", "choices": ["b", "b"], "answer": "b"},
            "the answer is 'b' instead of one of A, B",
        ),
        ("choices", {"question": "a", "choices": None, "answer": "b"}, "the choices are 'None' instead of texts"),
        ("choices", {"question": "a", "choices": "b", "answer": "b"}, "the choices are 'b' instead of texts"),
    ],
)
def test_a_row_that_is_not_read_says_what_was_found(layout: str, row: dict[str, Any], told: str) -> None:
    with pytest.raises(LayoutError, match=told):
        read_as(layout, row)
