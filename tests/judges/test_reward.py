import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.reward import Scorer, disagreement, loss, scored
from schemas.errors import EngineError
from schemas.tables import Sample

MARGINS = st.lists(st.floats(-30, 30), min_size=1, max_size=20)


def rows(count: int) -> list[tuple[str, Sample]]:
    """Give replies of very different lengths, each with a sample."""
    sample: Sample = {
        "id": "x",
        "prompt": [{"role": "user", "content": "What is 2 + 3?"}],
        "reply": None,
        "reference": None,
        "check": None,
        "replies": None,
    }
    return [("5 is what it is. " * (at % 7) + str(at), sample) for at in range(count)]


def test_a_score_does_not_depend_on_the_batch_the_order_or_the_padding(reward_model: str) -> None:
    asked = rows(20)
    alone = [scored(model=reward_model).verify([one])[0].score for one in asked]
    assert all(score is not None for score in alone)
    assert np.std(np.array(alone, dtype=float)) > 0.01  # they differ at all
    for batch in (3, 20):
        together = scored(model=reward_model, batch=batch).verify(asked)
        assert [one.score for one in together] == pytest.approx(alone, abs=1e-4)
    backwards = scored(model=reward_model, batch=7).verify(asked[::-1])[::-1]
    assert [one.score for one in backwards] == pytest.approx(alone, abs=1e-4)


def test_a_score_is_the_logit_that_transformers_gives_the_chat_alone(reward_model: str) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(reward_model)
    model = AutoModelForSequenceClassification.from_pretrained(reward_model).eval()
    for text, one in rows(6):
        chat: Any = [*one["prompt"], {"role": "assistant", "content": text}]
        tokens: Any = tokenizer.apply_chat_template(chat, return_tensors="pt", return_dict=True)
        with torch.inference_mode():
            plain = float(model(**tokens).logits[0, 0])
        assert scored(model=reward_model).verify(rows(6))[int(text[-1])].score == pytest.approx(plain, abs=1e-4)


def test_a_chat_that_is_too_long_has_no_score_and_costs_no_other(reward_model: str) -> None:
    [short, long] = scored(model=reward_model, max_length=40).verify([rows(1)[0], rows(7)[6]])
    assert short.score is not None
    assert (long.score, long.status) == (None, "error")
    assert "40 tokens" in long.why


def test_an_ensemble_gives_its_mean_and_says_how_far_it_is_apart(reward_model: str) -> None:
    [one] = scored(model=reward_model).verify(rows(1))
    [same] = scored(model=[reward_model, reward_model]).verify(rows(1))
    assert same.score == pytest.approx(one.score)
    assert same.extracted == "deviation 0 of 2"


def test_a_model_alone_stays_loaded_until_it_is_closed_and_several_take_turns(
    reward_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForSequenceClassification

    loads = []
    real = AutoModelForSequenceClassification.from_pretrained

    def counted(*given: Any, **named: Any) -> Any:
        loads.append(given)
        return real(*given, **named)

    monkeypatch.setattr(AutoModelForSequenceClassification, "from_pretrained", counted)
    for models, after in ((reward_model, 1), ([reward_model, reward_model], 1 + 2 * 2)):
        judge = scored(model=models)
        first, again = judge.verify(rows(3)), judge.verify(rows(3))
        assert first == again
        assert len(loads) == after
        judge.close()


def test_other_weights_are_another_judge_and_a_language_model_is_none(
    reward_model: str, tiny: str, tmp_path: Path
) -> None:
    assert scored(model=reward_model).revision != scored(model=[reward_model, reward_model]).revision
    with pytest.raises(EngineError, match="expected a sequence classifier with one"):
        Scorer(tiny)([[{"role": "user", "content": "x"}]])
    with pytest.raises(EngineError, match="can't be read"):
        Scorer(str(tmp_path))([[{"role": "user", "content": "x"}]])


@given(MARGINS)
def test_the_loss_of_a_pair_and_of_the_pair_swapped_tell_the_same(margins: list[float]) -> None:
    assert loss(margins) == pytest.approx(loss([-one for one in margins], 0.0))
    assert loss(margins, 0.5) >= math.log(2) - 1e-12  # a tie is met best by no preference
    assert loss([0.0] * len(margins)) == pytest.approx(math.log(2))


@given(st.floats(-5, 5), st.floats(-5, 5))
def test_no_scores_have_less_loss_than_the_true_probabilities(gap: float, other: float) -> None:
    truth = 1 / (1 + math.exp(-gap))
    floor = -(truth * math.log(truth) + (1 - truth) * math.log(1 - truth))
    assert loss([gap], truth) == pytest.approx(floor, abs=1e-9)
    assert loss([other], truth) >= floor - 1e-9


def test_an_ensemble_that_agrees_has_no_disagreement_and_the_widest_is_found() -> None:
    told = disagreement([[1.0, 5.0, -2.0], [1.0, -5.0, -1.0]])
    assert told[0] == 0
    assert told.argmax() == 1
