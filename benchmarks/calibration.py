"""Calibration by the command line on real judgments: LLMBar's recorded answers, and its experts' labels.

Run from the project's root as `python -m benchmarks.calibration [FOLDER]`, with LLMBar below `GRISTMILL_DATA`
(../shared/data). For each model `./mill run` replays what it was recorded to say of all five sets in both orders, a
CSV file of the experts' verdicts is written from the run's own comparisons, and `./mill calibrate` makes the card, of
which the figures are printed. Last, whether `./mill run` heeds the card: a recipe that demands a little more than the
card's agreement is refused, one that demands a little less is not.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from benchmarks.llmbar import DATA, LETTERS, MODELS, SETS, rows
from judges.pairwise import preference
from schemas.verdicts import Pair

RECIPE = """name = "{name}"
[[sources]]
path = "{folder}/pairs.jsonl"
layout = "dpo"
[engines.recorded]
use = "generators.replay:recorded"
path = "{folder}/said.jsonl"
[[judges]]
use = "judges.pairwise:preference"
engine = "recorded"
"""


def record(folder: Path, name: str, records: Sequence[dict[str, Any]]) -> Path:
    """Write the pairs, what was said of them in both orders, and the recipe that replays it; gives the recipe."""
    folder.mkdir(parents=True, exist_ok=True)
    ask, pairs, said = preference().ask, [], []
    for one in records:
        texts = [one[f"output_{place}"] for place in (one["label"], 3 - one["label"])]
        pairs.append({"prompt": one["input"], "chosen": texts[0], "rejected": texts[1]})
        pair = Pair([{"role": "user", "content": one["input"]}], one["output_1"], one["output_2"])
        for chat, swap in zip(ask(pair), ("swap = False", "swap = True"), strict=True):
            letter = one["results"][0][swap]["completion"][0]
            said.append({"question": chat[0]["content"], "solution": LETTERS.get(letter, letter)})
    (folder / "pairs.jsonl").write_bytes(b"\n".join(map(orjson.dumps, pairs)))
    (folder / "said.jsonl").write_bytes(b"\n".join(map(orjson.dumps, said)))
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE.format(name=name, folder=folder))
    return recipe


def label(latest: Path, records: Sequence[dict[str, Any]], to: Path) -> int:
    """Write the experts' verdict of each comparison of a run, the way a person would; gives the labels written."""
    better = {(one["input"], one[f"output_{one['label']}"], one[f"output_{3 - one['label']}"]): True for one in records}
    prompts = {
        key: turns[-1]["content"] for key, turns in pl.read_parquet(latest / "kept").select("id", "prompt").iter_rows()
    }
    texts = dict(pl.read_parquet(latest / "candidates").select("id", "text").iter_rows())
    lines = ["a_id,b_id,verdict"]
    compared = pl.read_parquet(latest / "comparisons" / "*" / "*.parquet").select("sample_id", "a_id", "b_id")
    for sample, a, b in compared.iter_rows():
        lines.append(f"{a},{b},{'a' if better.get((prompts[sample], texts[a], texts[b])) else 'b'}")
    to.write_text("\n".join(lines))
    return len(lines) - 1


def mill(*arguments: str | Path) -> str:
    """Give what the project's command prints; raises where it ends with a fault."""
    told = subprocess.run(  # noqa: S603 - the project's own command line, with this interpreter
        [sys.executable, "-m", "pipelines", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if told.returncode:
        raise RuntimeError(told.stderr.strip().splitlines()[-1])
    return told.stdout


def carded(folder: Path, name: str, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Give the card that the command line makes of a model's recorded judgments."""
    recipe, out = record(folder / name, name, records), folder / "runs"
    mill("run", recipe, "--out", out)
    label(out / name / "latest", records, folder / name / "labels.csv")
    told = mill("calibrate", name, "--human", folder / name / "labels.csv", "--out", out, "--json")
    (card,) = orjson.loads(told)
    return dict(card)


def heeded(folder: Path, name: str, agreement: float) -> tuple[bool, bool]:
    """Tell whether a recipe that demands a hundredth more than the card says is refused, and one of less runs."""
    recipe = folder / name / "recipe.toml"
    told = []
    for demand in (agreement + 0.01, agreement - 0.01):
        recipe.with_name("demanding.toml").write_text(recipe.read_text() + f"calibrated = {demand}\n")
        try:
            mill("run", recipe.with_name("demanding.toml"), "--out", folder / "runs")
            told.append(True)
        except RuntimeError as error:
            if "its card says" not in str(error):
                raise
            told.append(False)
    return not told[0], told[1]


def words(value: dict[str, Any]) -> str:
    """Give a mean with its interval."""
    return f"{value['mean']:+.3f} [{value['interval'][0]:+.3f}, {value['interval'][1]:+.3f}] of {value['rows']}"


def main() -> None:
    """Print each model's card."""
    if not DATA.is_dir():
        raise SystemExit(f"LLMBar is not in {DATA}: name the folder above llmbar by GRISTMILL_DATA")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else made).resolve()
        for model in MODELS:
            name = model.lower()
            card = carded(folder, name, [one for part in SETS for one in rows(part, model)])
            print(f"{model}: {card['judged']} judged, {card['labelled']} labelled")
            for key in ("agreement", "decided_agreement", "parse_failures", "position_bias", "length_bias"):
                print(f"  {key:18} {words(card[key])}")
            print(f"  kappa {card['kappa']:+.3f}, alpha {card['alpha']:+.3f}, trusted from {card['trusted']['score']}")
            refused, run = heeded(folder, name, card["agreement"]["mean"])
            print(f"  demanding .01 more: {'refused' if refused else 'run'}; .01 less: {'run' if run else 'refused'}")


if __name__ == "__main__":
    main()
