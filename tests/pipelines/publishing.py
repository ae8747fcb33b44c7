"""Runs to publish, and what those who read meanwhile or later find in the hub or a folder."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson

from pipelines.files.places import file_system
from tests.pipelines.hub_stub import Hub

ROWS = 40
NAME = "org/sums"
RECIPE = """
name = "{name}"
[[sources]]
path = "{folder}/rows.jsonl"
{license}
[[filters]]
use = "filters.length:words"
part = "prompt"
[generate]
engine = "recorded"
samples = 2
keep_reply = false
[engines.recorded]
use = "generators.replay:recorded"
path = "{folder}/recorded.jsonl"
systems = ["s", "t"]
[[judges]]
use = "judges.math:final_answer"
[select]
use = "pipelines.strategies:best_and_random"
held_out = 0.3
"""


def made(folder: Path, *, name: str = "sums", rows: int = ROWS, license: str = "MIT", extra: str = "") -> Path:  # noqa: A002
    """Run a recipe whose systems are right in turn; gives the run's folder. `extra` is in one reply."""
    folder.mkdir(exist_ok=True)
    asked, recorded = [], []
    for at in range(rows):
        question, right = f"Which number is {at} plus {at}, please?", 2 * at
        asked.append({"instruction": question, "output": "", "reference": f"{right}"})
        said = (f"A: {right}", f"A: {right + 1}") if at % 2 else (f"A: {right + 1}", f"A: {right}")
        recorded.append(
            {"question": question, **{one: {"solution": text} for one, text in zip("st", said, strict=True)}}
        )
    recorded[1]["s"] = {"solution": f"{extra} A: 2"}
    for table, told in (("rows", asked), ("recorded", recorded)):
        (folder / f"{table}.jsonl").write_bytes(b"\n".join(map(orjson.dumps, told)))
    terms = f'license = "{license}"' if license else ""
    (folder / "recipe.toml").write_text(RECIPE.format(folder=folder, name=name, license=terms))
    command = [sys.executable, "-m", "pipelines", "run", str(folder / "recipe.toml"), "--out", str(folder / "runs")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "runs" / name / "latest"


def copied(latest: Path, to: Path) -> Path:
    """Copy a recipe's runs, so that what one test publishes no other knows of."""
    shutil.copytree(latest.parent, to / latest.parent.name, symlinks=True)
    return to / latest.parent.name / "latest"


def settings(hub: Hub, folder: Path) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": "hf_t", "HF_HOME": str(folder / "hf")}


def tree(hub: Hub, rev: str = "main") -> dict[str, bytes]:
    repo = hub.repositories[NAME]
    return {path: hub.contents[content] for path, content in repo.commits[str(repo.oid(rev))].items()}


def data(found: dict[str, bytes]) -> set[str]:
    return {path for path in found if path.startswith("data/")}


def no_commit_is_a_mix(hub: Hub) -> None:
    """Every commit that was ever visible holds the data files that its own lock names, with their hashes, or none."""
    for files in hub.repositories[NAME].commits.values():
        locked = orjson.loads(hub.contents[files["lock.json"]])["sha256"] if "lock.json" in files else {}
        assert {path: content for path, content in files.items() if path.startswith("data/")} == locked


def versions_of(place: str) -> dict[str, Any]:
    """Give the versions that a reader knows of; each holds what its lock says."""
    files, root = file_system(place.rstrip("/"))
    told: dict[str, Any] = orjson.loads(files.cat_file(f"{root}/versions.json"))["versions"]
    for version in told:
        locked = orjson.loads(files.cat_file(f"{root}/{version}/lock.json"))["sha256"]
        found = {one.removeprefix(f"{root}/{version}/") for one in files.find(f"{root}/{version}/data")}
        assert found == set(locked)
    return told
