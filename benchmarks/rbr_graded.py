"""Rule-based rewards with a model as the grader, from its answers to the classes, the weights and the rewards.

Run from the project's root as `python -m benchmarks.rbr_graded [CHECKPOINT] [--rows N] [--longest CHARACTERS] [--brief]
[--ledger FILE]`, with the labelled replies below `GRISTMILL_DATA` (../shared/data). The checkpoint (models/tiny unless
told) is asked each proposition of the test rows, or of N of them evenly spread, none with more characters than
`--longest`, by `judges.rbr:reward` through the ledger and the score stage's own way; with `--brief` by the first line
of each published question. A checkpoint whose positions don't reach is asked with its configuration stretched, which is
said: its answers there are none that it was trained for. With `--ledger` what was answered is not asked again.

The weights are fitted by `./mill weigh`'s way on people's propositions of the training rows. Each labelled reply has a
prompt of its own, so that replies of one response type stand in the place of one prompt's, twenty groups a type. Told
are each proposition's base rate and accuracy, the classes', and how many pairs of a type whose classes differ the
rewards have in order: by people's propositions, and by the model's.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson

from benchmarks.rbr import FOLDER, Row, classes, published_rules, reply_of, rows_of
from generators.huggingface import local
from generators.ledger import open_ledger
from judges.propositions import probability
from judges.rbr import Rules, classes_of, reward, truths, weighted
from pipelines.judging import Case, Heard, settle
from pipelines.weigh import weigh
from schemas.tables import Sample

GROUPS = 20  # a response type
STRETCHED = 32_768  # positions


def written(rules: Rules, to: Path, *, brief: bool) -> Path:
    """Write the rules as a recipe's user would, in TOML; `brief` keeps the first line of each question."""

    def table(name: str, told: dict[str, Any]) -> list[str]:
        return [f"[{name}]", *(f"{key} = {orjson.dumps(value).decode()}" for key, value in told.items())]

    asked = {name: text.split("\n")[0] if brief else text for name, text in rules.propositions.items()}
    lines = [f"order = {orjson.dumps(rules.order).decode()}", *table("propositions", asked)]
    for name, literals in rules.derived.items():
        lines += table(f"derived.{name}", literals)
    for kind, named in rules.classes.items():
        for name, literals in named.items():
            lines += table(f"classes.{kind}.{name}", literals)
    to.write_text("\n".join(lines), encoding="utf-8")
    return to


def graded_by_people(rows: Sequence[Row], to: Path) -> Path:
    """Write what people said of the rows as `./mill weigh` reads it, some rows of a type in the place of a prompt."""
    seen = dict.fromkeys({row["response_type"] for row in rows}, 0)
    lines = []
    for row in rows:
        kind = row["response_type"]
        lines.append(row | {"prompt": f"{kind}, group {seen[kind] % GROUPS}"})
        seen[kind] += 1
    to.write_bytes(b"\n".join(map(orjson.dumps, lines)))
    return to


def reaching(checkpoint: str, folder: Path) -> str:
    """Give the checkpoint, or a copy of it whose configuration says that its positions reach far."""
    told = orjson.loads((Path(checkpoint) / "config.json").read_bytes())
    reach = told["max_position_embeddings"]
    if reach >= STRETCHED:
        return checkpoint
    print(f"{checkpoint} was made for {reach} positions and is asked with {STRETCHED}")
    copy = shutil.copytree(checkpoint, folder / "model")
    (copy / "config.json").write_bytes(orjson.dumps(told | {"max_position_embeddings": STRETCHED}))
    return str(copy)


def heard(rules: Path, weights: Path, rows: Sequence[Row], checkpoint: str, place: str) -> list[Heard]:
    """Give what the judge that a recipe would name made of each row, and what it was told."""
    cases = []
    for at, row in enumerate(rows):
        sample = {"id": str(at), "prompt": row["prompt"], "reference": row["response_type"], "check": None}
        cases.append(Case(cast("Sample", sample), (str(at),), (reply_of(row),)))
    engine, ledger = local(model=checkpoint), open_ledger(place)
    judge = reward(rules=str(rules), weights=str(weights))
    try:
        (said,), paid = settle([(judge, engine)], cases, ledger=ledger, progress=_tell)
    finally:
        ledger.close()
        engine.close()
    print(f"{paid['asked']} questions asked, {paid['from_ledger']} answered before, {paid['failed']} failed")
    return said


def characters(row: Row) -> int:
    """Count what the conversation and the reply say."""
    return sum(len(turn["content"]) for turn in row["prompt"]) + len(reply_of(row))


def _tell(done: int, whole: int) -> None:
    print(f"\r{done} of {whole}", end="", file=sys.stderr, flush=True)


def propositions(rules: Rules, train: Sequence[Row], test: Sequence[Row], said: Sequence[Heard]) -> dict[str, Any]:
    """Print a line a proposition; gives the model's probabilities."""
    print(f"{'proposition':40} {'yes':>6} {'said yes':>8} {'base rate':>9} {'accuracy':>8} {'balanced':>8}")
    graded: dict[str, Any] = {}
    for at, name in enumerate(rules.propositions):
        told = [probability(one.said[at]) for one in said]
        graded[name] = told
        known = [place for place, value in enumerate(told) if value is not None]
        truth = np.array([bool(test[place]["propositions"][name]) for place in known])
        yes = np.array([told[place] for place in known], dtype=float) >= 0.5  # noqa: PLR2004 - even odds
        common = np.mean([row["propositions"][name] for row in train]) >= 0.5  # noqa: PLR2004 - likewise
        sides = [(yes == truth)[truth == side].mean() for side in (True, False) if (truth == side).any()]
        base, right = (truth == common).mean(), (yes == truth).mean()
        print(f"{name:40} {truth.mean():6.3f} {yes.mean():8.3f} {base:9.3f} {right:8.3f} {np.mean(sides):8.3f}")
    return graded


def ordered(rules: Rules, test: Sequence[Row], rewards: Sequence[float | None]) -> tuple[int, int]:
    """Give how many pairs of a type and two classes have the better one's reward higher, and how many there are.

    A row without a reward is in no pair.
    """
    right = every = 0
    for kind in rules.classes:
        rows = []
        for row, score in zip(test, rewards, strict=True):
            held = classes_of(rules, kind, row["propositions"]) if row["response_type"] == kind else []
            if len(held) == 1 and score is not None:
                rows.append((rules.order.index(held[0]), score))
        for pair in combinations(rows, 2):
            better, worse = sorted(pair, key=lambda one: one[0])
            every += better[0] != worse[0]
            right += better[0] != worse[0] and better[1] > worse[1]
    return right, every


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkpoint", nargs="?", default="models/tiny")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--longest", type=int, default=1_000_000)
    parser.add_argument("--brief", action="store_true")
    parser.add_argument("--ledger")
    told = parser.parse_args()
    if not FOLDER.is_dir():
        sys.exit(f"no folder {FOLDER}: set GRISTMILL_DATA")
    rules = published_rules(FOLDER / "proposition_prompts.yaml")
    train, test = rows_of(FOLDER / "train.jsonl"), rows_of(FOLDER / "test.jsonl")
    test = [test[at * len(test) // told.rows] for at in range(told.rows)] if told.rows else test
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        file, weights = written(rules, folder / "rules.toml", brief=told.brief), folder / "weights.json"
        fitted = weigh(file, graded_by_people(train, folder / "graded.jsonl"), weights)["types"]
        asked = [row for row in test if row["response_type"] in fitted and characters(row) <= told.longest]
        print(f"{len(asked)} of {len(test)} test rows; the others are too long, or of a type without weights")
        test, ledger = asked, told.ledger or str(folder / "ledger.sqlite")
        said = heard(file, weights, test, reaching(told.checkpoint, folder), ledger)
    graded = propositions(rules, train, test, said)
    if all(value is not None for values in graded.values() for value in values):
        classes(rules, train, test, graded)
    print("\nweights, from people's propositions: pairs in order")
    for kind, one in fitted.items():
        apart = f"held out {one['held_out']} of {one['held_out_pairs']}"
        print(f"  {kind:14} {one['trained']:.3f} of {one['pairs']}, {apart}")
    people: list[float | None] = [
        weighted(truths(rules, kind, row["propositions"]), fitted[kind]["weights"])
        for row in test
        for kind in [row["response_type"]]
    ]
    rewards_of: dict[str, list[float | None]] = {
        "people's": people,
        "the model's": [one.verdicts[0].score for one in said],
    }
    for name, rewards in rewards_of.items():
        right, every = ordered(rules, test, rewards)
        print(f"test pairs in order by {name} propositions: {right} of {every}, {right / every:.3f}")


if __name__ == "__main__":
    main()
