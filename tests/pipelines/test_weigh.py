from pathlib import Path

import orjson
import pytest

from judges.rbr import reward
from judges.reward import scored
from pipelines.weigh import weigh, words
from schemas.errors import GristmillError, InputError
from schemas.parts import PartError

RULES = """
order = ["good", "bad"]
[propositions]
polite = "Is it polite?"
long = "Is it long?"
[classes.comply.good]
polite = true
[classes.comply.bad]
polite = false
[classes.refuse.good]
long = false
[classes.refuse.bad]
long = true
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    (tmp_path / "rules.toml").write_text(RULES)
    return tmp_path / "rules.toml"


def graded(folder: Path, *, kind: str = "comply") -> Path:
    """Write ten prompts with a polite and an impolite reply each, both long."""
    rows = [
        {"prompt": f"p{at}", "response_type": kind, "propositions": {"polite": polite, "long": True}}
        for at in range(10)
        for polite in (True, False)
    ]
    (folder / "graded.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    return folder / "graded.jsonl"


def test_every_weight_is_told_with_the_pairs_it_rests_on(rules: Path, tmp_path: Path) -> None:
    told = weigh(rules, graded(tmp_path), tmp_path / "weights.json")
    assert told == orjson.loads((tmp_path / "weights.json").read_bytes())
    one = told["types"]["comply"]
    assert one["weights"]["polite"] > 0 == one["weights"]["long"]
    assert (one["held_out"], one["before"], one["differ"]["polite"]) == (1, 0, one["pairs"])
    assert told["without_pairs"] == ["refuse"]
    assert "polite" in words(told)


def test_other_data_have_another_hash(rules: Path, tmp_path: Path) -> None:
    one = weigh(rules, graded(tmp_path), tmp_path / "weights.json")
    file = graded(tmp_path)
    file.write_bytes(file.read_bytes().replace(b"p9", b"p10"))
    other = weigh(rules, file, tmp_path / "weights.json")
    assert one["data"] != other["data"]
    assert one["rules"] == other["rules"]


@pytest.mark.parametrize("line", [b"{", b"[1]", b'{"prompt": "p"}', b'"text"'])
def test_a_line_that_is_no_graded_reply_is_named(rules: Path, tmp_path: Path, line: bytes) -> None:
    file = graded(tmp_path)
    file.write_bytes(file.read_bytes() + b"\n" + line)
    with pytest.raises(InputError, match="line 21"):
        weigh(rules, file, tmp_path / "weights.json")


def test_an_unknown_response_type_and_broken_rules_are_refused(rules: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="response type 'other'"):
        weigh(rules, graded(tmp_path, kind="other"), tmp_path / "weights.json")
    rules.write_text("order = [")
    with pytest.raises(GristmillError, match=r"rules\.toml"):
        weigh(rules, graded(tmp_path), tmp_path / "weights.json")


def test_weights_are_fitted_on_top_of_the_reward_model_that_the_recipe_then_needs(
    rules: Path, tmp_path: Path, reward_model: str
) -> None:
    file = graded(tmp_path)
    with pytest.raises(InputError, match="line 1: no text at `reply`"):
        weigh(rules, file, tmp_path / "weights.json", reward_model=[reward_model])
    rows = [orjson.loads(line) | {"reply": f"Well, {at}."} for at, line in enumerate(file.read_bytes().splitlines())]
    file.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    told = weigh(rules, file, tmp_path / "weights.json", reward_model=[reward_model])
    assert told["reward_model"] == scored(model=reward_model).revision
    assert told["types"]["comply"]["weights"] != weigh(rules, file, tmp_path / "w")["types"]["comply"]["weights"]
    known, on_it, without = str(rules), str(tmp_path / "weights.json"), str(tmp_path / "w")
    with pytest.raises(PartError, match="name it as `reward_model`"):
        reward(rules=known, weights=on_it)
    assert reward(rules=known, weights=on_it, reward_model=reward_model).base is not None
    with pytest.raises(PartError, match="--reward-model"):
        reward(rules=known, weights=without, reward_model=reward_model)
    file.write_bytes(b"\n".join(orjson.dumps(row | {"reward_model": 1.0}) for row in rows))
    with pytest.raises(InputError, match="line 1: a `reward_model` of its own"):
        weigh(rules, file, tmp_path / "weights.json", reward_model=[reward_model])
