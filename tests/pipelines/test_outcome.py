"""The report's last sections."""

from typing import Any

from pipelines import outcome


def test_the_report_tells_a_jobs_settings_as_the_recipe_has_them() -> None:
    section = {"method": "dpo", "trainable": ["model.norm"], "epochs": 2.0, "arguments": {"beta": 0.05}}
    told = str(outcome.training([{"method": "dpo", "made_from": {"section": section}}]))
    assert 'trainable = ["model.norm"], epochs = 2.0, arguments = {"beta":0.05}' in told


def test_the_report_says_why_a_job_was_as_it_was_and_what_was_left_out() -> None:
    job: dict[str, Any] = {
        "method": "dpo",
        "rows": 12,
        "steps": 3,
        "final_loss": 0.5,
        "seconds": 1.0,
        "reasons": ["as there are pairs"],
    }
    full = job | {"truncated": {"cut": 2, "left_out": 1}, "stopped": "the budget of 3steps"}
    told = [str(block) for block in outcome.training([full])[1:]]
    assert len(told) == 3
    for words, block in zip(("as there are pairs", "2 rows were cut", "the budget of 3steps was"), told, strict=True):
        assert words in block
    assert len(outcome.training([job | {"truncated": {"cut": 0, "left_out": 0}, "stopped": None}])) == 2
    assert len(outcome.training([{"method": "sft", "rows": 12}])) == 1, "a job of an older version"
