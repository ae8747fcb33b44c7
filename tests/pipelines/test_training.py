"""The training section: what it may hold, and what it does not let through."""

from typing import Any

import pytest
from pydantic import ValidationError

from pipelines.finetune import section_of
from pipelines.training import LOSSES, Training, limits_of
from schemas.errors import GristmillError, RecipeError


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        ({"method": "dpo", "loss": "sigmod"}, "loss 'sigmod': dpo has sigmoid, hinge, ipo"),
        ({"method": "reward", "loss": "hinge"}, "reward has one loss, which has no name"),
        ({"method": "kto", "loss": ["kto", "apo_zero_unpaired"]}, "kto takes one loss"),
        ({"method": "sft", "label_smoothing": 0.1}, "label_smoothing is of dpo and preference, not of sft"),
        ({"method": "dpo", "label_smoothing": 0.5}, "less than 0.5"),
        ({"method": "dpo", "packing": True}, "packing is of sft, not of dpo"),
        ({"method": "sft", "only": {"checks": "reference"}}, "only.checks is of rloo and grpo"),
        ({"method": "grpo", "batch_size": 12}, "a batch of 12 replies is no multiple of generations, 8 a prompt"),
        ({"method": "kto", "batch_size": 1}, "batch_size is at least 2"),
        ({"method": "sft", "only": {"matching": "("}}, "only.matching '('"),
        ({"method": "sft", "trainable": "norm("}, "trainable 'norm('"),
        ({"method": "sft", "trainable": "norm", "lora": {}}, "take one of the two"),
        ({"method": "sft", "budget": "5USD"}, "training has no money"),
        ({"method": "sft", "checkpoint_every": "often"}, "a budget of 'often'"),
    ],
)
def test_what_a_method_can_not_do_is_a_fault_of_the_recipe(section: dict[str, Any], fault: str) -> None:
    with pytest.raises(RecipeError) as told:
        section_of(section, "here")
    assert fault in str(told.value)


def test_all_that_is_wrong_with_a_section_is_told_at_once() -> None:
    with pytest.raises(ValidationError) as told:
        Training.model_validate({"method": "sft", "label_smoothing": 0.1, "generations": 4})
    assert "label_smoothing is of" in str(told.value)
    assert "generations is of" in str(told.value)


def test_limits_are_read_in_their_units_and_the_lowest_of_a_kind_holds() -> None:
    told = limits_of(("200steps", "50 steps", "1,000tokens", "30min"))
    assert told == {"steps": 50, "tokens": 1000, "seconds": 1800}
    assert limits_of(()) == {}
    with pytest.raises(GristmillError):
        limits_of(("3 epochs",))


def test_a_batch_is_what_is_accumulated_too() -> None:
    told = Training(method="grpo", batch_size=4, generations=8, arguments={"gradient_accumulation_steps": 2})
    assert told.batch_size == 4


@pytest.mark.slow
def test_trl_takes_each_loss_that_a_recipe_may_name() -> None:
    """Hold the names to TRL's own: each of its losses is ours, and each of ours one that it computes."""
    import inspect

    from trl.trainer.dpo_trainer import DPOTrainer
    from trl.trainer.kto_config import KTOConfig
    from trl.trainer.sft_config import SFTConfig

    source = inspect.getsource(DPOTrainer)
    computed = [line.partition('loss_type == "')[2].partition('"')[0] for line in source.splitlines()]
    assert sorted(set(computed) - {""}) == sorted(LOSSES["dpo"])
    assert KTOConfig.__dataclass_fields__["loss_type"].metadata["choices"] == list(LOSSES["kto"])
    assert set(LOSSES["sft"]) < set(SFTConfig.__dataclass_fields__["loss_type"].metadata["choices"])
