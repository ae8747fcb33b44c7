"""Rule-based rewards beside people's labels: each proposition's base rate and accuracy, and the classes they make.

`python -m benchmarks.rbr` reads `$GRISTMILL_DATA/rbr` (../shared/data unless told). The grader measured is ridge
regression on the reply's words and word pairs, fitted on the training rows: what words alone tell. A base rate is the
accuracy on the test rows of always saying what was commoner in training: a grader that is not above it grades nothing.
"""

import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import yaml

from judges.rbr import Rules, classes_of

FOLDER = Path(os.environ.get("GRISTMILL_DATA", "../shared/data")) / "rbr"
Row = dict[str, Any]
LEAST = 3  # replies that a word is in, to count
Floats = npt.NDArray[np.float64]
Grader = Callable[[str], float]


def published_rules(file: Path) -> Rules:
    """Give the rules of the published prompts, whose classes hold their response types rather than the reverse."""
    told = yaml.safe_load(file.read_text())
    classes: dict[str, dict[str, Any]] = {}
    for name, kinds in told["completion_classes"].items():
        for kind, literals in kinds.items():
            classes.setdefault(kind, {})[name] = literals
    asked = {name: one["prompt"] for name, one in told["simple_propositions"].items()}
    derived = told["derived_propositions"]
    return Rules(order=told["completion_class_order"], propositions=asked, derived=derived, classes=classes)


def rows_of(file: Path) -> list[Row]:
    """Give the labelled replies, the response type named as the rules name it."""
    rows = [orjson.loads(line) for line in file.read_bytes().splitlines()]
    return [row | {"response_type": row["response_type"].lower().replace(" ", "_")} for row in rows]


def words_of(text: str) -> set[str]:
    """Give a text's words and pairs of words."""
    words = re.findall(r"[\w']+", text.lower())
    return {*words, *(" ".join(pair) for pair in pairwise(words))}


def grader(rows: Sequence[Row], name: str) -> Grader:
    """Fit a ridge regression to a proposition's labels; gives the probability of yes for a text."""
    counts = Counter(word for row in rows for word in words_of(reply_of(row)))
    place = {word: at for at, word in enumerate(word for word, count in counts.items() if count >= LEAST)}

    def vector(text: str) -> Floats:
        found = np.zeros(len(place))
        found[[place[word] for word in words_of(text) if word in place]] = 1
        return np.asarray(found / max(float(np.linalg.norm(found)), 1.0))

    known = np.stack([vector(reply_of(row)) for row in rows])
    truth = np.array([float(row["propositions"][name]) for row in rows])
    weights = known.T @ np.linalg.solve(known @ known.T + np.eye(len(rows)), truth - truth.mean())
    return lambda text: float(np.clip(truth.mean() + vector(text) @ weights, 0, 1))


def reply_of(row: Row) -> str:
    """Give the labelled reply's text."""
    return str(row["completion"][-1]["content"])


def propositions(train: Sequence[Row], test: Sequence[Row]) -> dict[str, list[float]]:
    """Print a line a proposition; gives the grader's probabilities on the test rows."""
    print(f"{'proposition':40} {'yes':>6} {'base rate':>9} {'accuracy':>8} {'balanced':>8}")
    graded = {}
    for name in train[0]["propositions"]:
        grade = grader(train, name)
        graded[name] = [grade(reply_of(row)) for row in test]
        truth = np.array([bool(row["propositions"][name]) for row in test])
        said = np.array(graded[name]) >= 0.5  # noqa: PLR2004 - a half is even odds
        common = np.mean([row["propositions"][name] for row in train]) >= 0.5  # noqa: PLR2004 - likewise
        sides = [(said == truth)[truth == side].mean() for side in (True, False) if (truth == side).any()]
        base, right = (truth == common).mean(), (said == truth).mean()
        print(f"{name:40} {truth.mean():6.3f} {base:9.3f} {right:8.3f} {np.mean(sides):8.3f}")
    return graded


def classes(rules: Rules, train: Sequence[Row], test: Sequence[Row], graded: dict[str, list[float]]) -> None:
    """Print what classes people's propositions make, and how often the grader's propositions make the same."""
    gold = {id(row): classes_of(rules, row["response_type"], row["propositions"]) for row in [*train, *test]}
    print("\nclasses by people's propositions (train and test), and rows of none or of several")
    for kind in rules.classes:
        held = Counter(" + ".join(found) or "none" for row in [*train, *test] if row["response_type"] == kind
                       for found in [gold[id(row)]])  # fmt: skip
        print(f"  {kind:14} " + ", ".join(f"{name} {count}" for name, count in held.most_common()))
    print(f"\n{'class, by response type':40} {'rows':>6} {'base rate':>9} {'accuracy':>8}")
    for kind in rules.classes:
        rows = [at for at, row in enumerate(test) if row["response_type"] == kind and len(gold[id(row)]) == 1]
        if not rows:
            continue
        truth = [gold[id(test[at])] for at in rows]
        said = [classes_of(rules, kind, {name: values[at] for name, values in graded.items()}) for at in rows]
        learned = Counter(gold[id(row)][0] for row in train if row["response_type"] == kind and gold[id(row)])
        base = np.mean([one == [learned.most_common(1)[0][0]] for one in truth])
        right = np.mean([one == other for one, other in zip(said, truth, strict=True)])
        print(f"{kind:40} {len(rows):6} {base:9.3f} {right:8.3f}")


def main() -> None:
    """Print both tables."""
    if not FOLDER.is_dir():
        sys.exit(f"no folder {FOLDER}: set GRISTMILL_DATA")
    train, test = rows_of(FOLDER / "train.jsonl"), rows_of(FOLDER / "test.jsonl")
    print(f"{len(train)} rows to fit on, {len(test)} to measure on\n")
    rules = published_rules(FOLDER / "proposition_prompts.yaml")
    classes(rules, train, test, propositions(train, test))


if __name__ == "__main__":
    main()
