"""The command `./mill weigh`: the weights of rule-based rewards, fitted to graded replies."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import orjson

from judges.rbr import read_rules
from judges.rbr_fit import fit_file
from judges.reward import scored
from pipelines.closing import aligned, number, percent
from schemas.errors import GristmillError, InputError
from schemas.parts import PartError
from schemas.tables import Sample
from schemas.verdicts import BatchVerifier

NEEDED = ("prompt", "response_type", "propositions")


def weigh(rules: Path, graded: Path, to: Path, *, seed: int = 0, reward_model: Sequence[str] = ()) -> dict[str, Any]:
    """Fit the weights by the JSON lines in `graded`, write them to `to` and give what was written.

    With a `reward_model`, or several, they are fitted on top of what it says of each line's `reply` to its `prompt`.
    Raises `InputError` naming the line that holds no graded reply, or one that the reward model can't score.
    """
    try:
        known = read_rules(str(rules))
    except PartError as error:
        raise GristmillError(str(error)) from error
    rows = []
    for line, text in enumerate(graded.read_bytes().splitlines(), 1):
        try:
            row = orjson.loads(text)
            lacks = [key for key in NEEDED if key not in row]
            lacks += [name for name in known.propositions if not lacks and name not in row["propositions"]]
        except (orjson.JSONDecodeError, TypeError) as error:
            raise InputError(f"{graded}, line {line}: no graded reply: {error}") from error
        if lacks or row["response_type"] not in known.classes:
            what = f"without {', '.join(lacks)}" if lacks else f"of the response type {row['response_type']!r}"
            raise InputError(f"{graded}, line {line}: a reply {what}, which {rules} does not know or needs")
        rows.append(row)
    if not reward_model:
        return fit_file(known, rows, to, seed=seed)
    model = scored(model=list(reward_model))
    told = _with_reward(graded, rows, model)
    return fit_file(known, told, to, seed=seed, reward_model=model.revision)


def _with_reward(file: Path, rows: Sequence[dict[str, Any]], model: BatchVerifier) -> list[dict[str, Any]]:
    """Add to each row what the reward model says of it."""
    asked = [_asked(file, line, row) for line, row in enumerate(rows, 1)]
    try:
        verdicts = model.verify(asked)
    finally:
        model.close()
    for line, verdict in enumerate(verdicts, 1):
        if verdict.score is None:
            raise InputError(f"{file}, line {line}: the reward model gives the reply no score: {verdict.why}")
    return [row | {"reward_model": verdict.score} for row, verdict in zip(rows, verdicts, strict=True)]


def _asked(file: Path, line: int, row: Mapping[str, Any]) -> tuple[str, Sample]:
    prompt = [{"role": "user", "content": row["prompt"]}] if isinstance(row["prompt"], str) else row["prompt"]
    if not isinstance(row.get("reply"), str) or not isinstance(prompt, list) or "reward_model" in row:
        what = "a `reward_model` of its own" if "reward_model" in row else "no text at `reply`, or no chat at `prompt`"
        raise InputError(f"{file}, line {line}: {what}, where a reward model is to score the reply")
    return row["reply"], cast("Sample", {"prompt": prompt})


def words(told: dict[str, Any]) -> str:
    """Give each response type's weights, the largest first, as a table."""
    blocks = [f"{number(told['unclassed'])} replies of no class or of several"]
    blocks += [f"{kind}: no two replies to one prompt differ in class" for kind in told["without_pairs"]]
    for kind, one in told["types"].items():
        order = f"in order: {percent(one['trained'])} of {number(one['pairs'])} pairs learned from"
        order += f", {percent(one['held_out'])} of {number(one['held_out_pairs'])} held out"
        order += f" ({percent(one['before'])} without the weights)"
        ranked = sorted(one["weights"].items(), key=lambda pair: -abs(pair[1]))
        rows = [(name, f"{weight:+.3f}", number(one["differ"][name])) for name, weight in ranked]
        blocks.append(
            "\n".join([f"{kind}: {order}", *aligned([("", "weight", "pairs it differs in"), *rows], words=1)])
        )
    return "\n\n".join(blocks)
