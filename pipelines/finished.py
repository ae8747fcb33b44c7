"""Finding a finished run, or a dataset, by what a person calls it."""

from pathlib import Path

from schemas.errors import GristmillError

KNOWN = ("sft", "preferences", "plain", "unpaired", "grpo")  # datasets


def run_named(named: str, out: Path) -> Path:
    """Give the folder of a finished run: a path, `demo` (its newest), or `demo/9be720`, a version or its beginning.

    Raises `GristmillError` where there is none, or several begin so.
    """
    if (Path(named) / "summary.json").is_file():
        return Path(named).resolve()
    name, _, version = named.partition("/")
    if not version:
        found = [out / name / "latest"]
    else:
        found = sorted(one for one in (out / name).glob(f"{version}*") if one.name != "latest")
    found = [one.resolve() for one in found if (one / "summary.json").is_file()]
    if len(found) > 1:
        raise GristmillError(f"several runs begin with {named!r}: {', '.join(one.name for one in found)}")
    if not found:
        raise GristmillError(
            f"no finished run {named!r}: neither a run's folder, nor in {out}; there are: {_known(out)}"
        )
    return found[0]


def _known(out: Path) -> str:
    versions = (one.parent for one in out.glob("*/*/summary.json") if one.parent.name != "latest")
    return ", ".join(sorted(f"{one.parent.name}/{one.name}" for one in versions)) or "none"


def dataset_named(named: str, out: Path) -> Path:
    """Give the folder of a finished run, or any folder or file with datasets in Parquet."""
    place = Path(named)
    if place.exists() and not (place / "summary.json").is_file() and (place.is_file() or any(place.rglob("*.parquet"))):
        return place.resolve()
    return run_named(named, out)


def stages_of(folder: Path) -> Path:
    """Give the store of a run's stages."""
    return folder.resolve().parent / "stages"


def tables_in(folder: Path) -> dict[str, list[Path]]:
    """Give the Parquet files of each dataset in a folder, by the dataset's name, wherever they lie in it."""
    found: dict[str, list[Path]] = {}
    for file in [folder] if folder.is_file() else sorted(folder.rglob("*.parquet")):
        parts = file.relative_to(folder).parts if folder.is_dir() else (folder.parent.name, folder.stem)
        name = next((part for part in parts if part in KNOWN), None)
        if name is not None:
            found.setdefault(name, []).append(file)
    return found


def split_of(file: Path, folder: Path) -> str:
    """Give the split that a file's path tells: "test", else "train"."""
    parts = file.relative_to(folder).parts if folder.is_dir() else (file.name,)
    return "test" if any(part == "test" or part.startswith(("test-", "test.")) for part in parts) else "train"
