"""The folder that a person opens: datasets, what was dropped, report, summary."""

import os
import shutil
from pathlib import Path
from typing import Any

import orjson

from pipelines import changes, report
from pipelines.recipe import Recipe
from pipelines.run_tables import tables_of
from pipelines.store import Stored, opened, sha256, write_bytes
from pipelines.summary import requests, summarise
from pipelines.versions import code_version
from schemas.chats import content_id
from schemas.errors import StoreError

LINKED = {
    "ingest": ["quarantined"],
    "grow": ["lineage", "unread"],
    "curate": ["kept", "dropped", "unchecked"],
    "generate": ["candidates"],
    "select": ["sft", "preferences", "plain", "unpaired", "grpo", "leaked", "overridden"],
}
LOOKS = (
    "report",
    "report_rules",
    "report_data",
    "report_candidates",
    "report_judges",
    "report_pairs",
    "outcome",
    "trust",
)
FIGURES = (
    "summary",
    "run_tables",
    "figures",
    "counted",
    "scored",
    "sample_figures",
    "candidate_figures",
    "judge_figures",
    "pair_figures",
    "changes",
    "lineage",
)
CODE = tuple(f"pipelines.{module}" for module in ("folder", "page", "charts", "closing", *LOOKS, *FIGURES))
TEMPLATES = Path(__file__).with_name("templates")


def lay_out(
    recipe: Recipe, root: Path, made: dict[str, Stored], cards: dict[str, dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Put a finished run's outputs into `root/<version>`, point `root/latest` at it, and give the summary.

    The version is the hash of the stages' names and of the judges' `cards`: the same outputs lie in the same folder.
    The datasets in it are hard links to the stages' files where the file system has them.
    """
    looks = [sha256(file) for file in sorted(TEMPLATES.iterdir())]
    version = content_id(
        {name: stored.key for name, stored in made.items()}, code_version(*CODE), looks, *([cards] if cards else [])
    )
    folder = root / version
    if (folder / "summary.json").is_file():  # the same outputs have the same figures, but for who was asked
        told: dict[str, Any] = orjson.loads((folder / "summary.json").read_bytes())
        summary = {**told, "folder": str(folder), "requests": requests(made)}
    else:
        summary = _laid_out(recipe, folder, made, cards or {})
    write_bytes(folder / "summary.json", orjson.dumps(summary, option=orjson.OPT_INDENT_2))
    _point(root / "latest", version)
    return summary


def _laid_out(
    recipe: Recipe, folder: Path, made: dict[str, Stored], cards: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Fill a run's folder, and give its summary."""
    root = folder.parent
    tables = tables_of(made)
    summary = summarise(recipe, folder, made, tables)
    summary["changes"] = changes.since(root / "latest", recipe, summary, tables)
    for name, told in cards.items():
        if name in summary["judges"]:  # one that judged nothing has no figures to stand beside
            summary["judges"][name]["cards"] = told
    if not folder.exists():
        work = root / f".{folder.name}.{os.getpid()}"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        _link_all(made, work)
        shutil.copyfile(recipe.file, work / "recipe.toml")
        html, markdown = report.render(summary, tables)
        write_bytes(work / "report.html", html.encode())
        write_bytes(work / "report.md", markdown.encode())
        work.rename(folder)
    return summary


def shown_again(folder: Path, forgotten: int) -> str:
    """Write a finished run's report anew from its stages, the figures as they were; says what was done.

    Where its stages are gone, or the summary is of an older form, the report gives way to a line.
    """
    summary = orjson.loads((folder / "summary.json").read_bytes())
    stages = {name: folder.resolve().parent / "stages" / key for name, key in summary["stages"].items()}
    summary["forgotten"] = forgotten
    try:
        made = {name: opened(stage, reused=True) for name, stage in stages.items()}
        html, markdown = report.render(summary, tables_of(made))
        done = "its report was written anew"
    except (StoreError, KeyError) as error:
        html = markdown = "Rows that this report showed were forgotten. Run the recipe again for another.\n"
        done = f"its report was removed: it can't be written anew ({error})"
    write_bytes(folder / "report.html", html.encode())
    write_bytes(folder / "report.md", markdown.encode())
    write_bytes(folder / "summary.json", orjson.dumps(summary, option=orjson.OPT_INDENT_2))
    return done


def _link_all(made: dict[str, Stored], work: Path) -> None:
    for stage, names in LINKED.items():
        for name in names if stage in made else ():
            _link(made[stage].folder / name, work / name)
    for name, stored in made.items():
        if name.startswith("score "):
            for table in ("scores", "comparisons", "judgments"):
                if stored.facts[table]:
                    _link(stored.folder / table, work / table / name.removeprefix("score ").replace(":", "."))
    trained = [stored for name, stored in made.items() if name.startswith("train ")]
    models = [stored for stored in trained if stored.facts["method"] != "reward"]
    if models:
        _link(models[-1].folder / "checkpoint", work / "checkpoint")
        if (models[-1].folder / "adapter").is_dir():
            _link(models[-1].folder / "adapter", work / "adapter")
    for at, stored in enumerate(trained):
        for file in [*stored.folder.glob("metrics*.jsonl"), *stored.folder.glob("truncated*.json")]:
            (place := work / "training" / f"{at + 1}-{stored.facts['method']}").mkdir(parents=True, exist_ok=True)
            link_file(str(file), str(place / file.name))
        if stored.facts["method"] == "reward":
            for member in sorted(stored.folder.glob("checkpoint*")):
                _link(member, work / member.name.replace("checkpoint", "reward-model"))


def _link(source: Path, target: Path) -> None:
    shutil.copytree(source, target, copy_function=link_file)


def link_file(source: str, target: str) -> None:
    """Put a hard link to a file at `target`, or a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


def _point(link: Path, version: str) -> None:
    work = link.with_name(f".{link.name}.{os.getpid()}")
    work.unlink(missing_ok=True)
    work.symlink_to(version)
    work.rename(link)
