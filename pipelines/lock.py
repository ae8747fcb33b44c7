"""The lock of a published dataset: what it was made from and with, so that the same can be made again."""

import platform
import shutil
import subprocess
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from pipelines.store import MANIFEST
from pipelines.versions import part_version

ROOT = Path(__file__).parent.parent
ROOMS = ("schemas", "filters", "generators", "judges", "pipelines")


def lock(folder: Path, summary: dict[str, Any], data: dict[str, str]) -> dict[str, Any]:
    """Give the lock of the run in `folder`, whose data files have the SHA-256 of `data`.

    Sources and stages are as their manifests tell them, and empty where the stages were deleted; packages and code are
    those that publish, which are the run's own unless they were changed since.
    """
    manifests = _manifests(folder, summary)
    return {
        "run": {"name": summary["name"], "version": summary["version"], "seed": summary["seed"]},
        "sources": _sources(manifests),
        "models": _models(folder, manifests),
        "stages": summary.get("stages", {}),
        "gristmill": {**_commit(), "code": part_version(*ROOMS)},
        "python": platform.python_version(),
        "packages": _packages(None),
        "packages of vLLM": _packages(next((ROOT / ".venv-vllm").glob("lib/*/site-packages"), None)),
        "sha256": data,
    }


def _manifests(folder: Path, summary: dict[str, Any]) -> dict[str, Any]:
    store = folder.resolve().parent / "stages"
    files = {name: store / key / MANIFEST for name, key in summary.get("stages", {}).items()}
    return {name: orjson.loads(file.read_bytes()) for name, file in files.items() if file.is_file()}


def _sources(manifests: dict[str, Any]) -> list[dict[str, Any]]:
    """Give each file read with its hash, by its own name: where it lay is the machine's business."""
    told = [("source", one) for one in manifests.get("ingest", {}).get("question", {}).get("sources", [])]
    for name, manifest in manifests.items():
        if name.startswith("benchmark "):
            told += [("benchmark", one) for one in manifest["question"].get("sources", [])]
    return [
        {"as": kind, "file": str(one["file"]).rpartition("/")[2], "sha256": one["sha256"], "license": one["license"]}
        for kind, one in told
    ]


def _models(folder: Path, manifests: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the models that answered, with the revision that names their weights."""
    found = {("generator", *row) for row in pl.read_parquet(folder / "candidates").select("model", "revision").rows()}
    for name, manifest in manifests.items():
        model = manifest["question"].get("model")
        several = model if model and isinstance(model[0], list) else [model]
        found |= {(name, *one) for one in several if name.startswith("score ") and one}
    return [{"as": role, "model": model, "revision": revision} for role, model, revision in sorted(found, key=str)]


def _commit() -> dict[str, Any]:
    """Give the commit that is checked out, and whether files were changed since; both null outside of git."""
    git = shutil.which("git")

    def said(*words: str) -> str | None:
        command = [str(git), "-C", str(ROOT), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False) if git else None
        return done.stdout.strip() if done and done.returncode == 0 else None

    changed = said("status", "--porcelain", "--untracked-files=no")
    return {"commit": said("rev-parse", "HEAD"), "changed": None if changed is None else bool(changed)}


def _packages(folder: Path | None) -> dict[str, str]:
    found = distributions(path=[str(folder)]) if folder else distributions()
    return dict(sorted({one.metadata["Name"]: one.version for one in found if one.metadata["Name"]}.items()))
