"""What a source's path names: local files, members of archives, files behind URLs."""

import glob
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from schemas.errors import InputError

FORMATS = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".yaml", ".yml", ".parquet", ".arrow", ".feather", ".ipc")
COMPRESSED = (".gz", ".zst")
LOCAL = re.compile(r"^(?:file|local)://")
SCHEME = re.compile(r"^(?!file://|local://)[a-z][a-z0-9+]+://")
ASKED = re.compile(r"^(https?://[^?#]*)[?#]")  # what stands behind a file's name in a URL is none of it
KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
NO_READER = "no reader is for it"
ROWS = re.compile(r"(?!cache-).*\.arrow$")  # of a saved dataset, not what was made of them since
DICT = "dataset_dict.json"  # that `datasets` saves beside the folders of a dataset's splits
NOTES = {"state.json", "dataset_info.json"}  # that `datasets` saves beside the Arrow files of a dataset


@dataclass(frozen=True)
class Place:
    """A file of rows: a local path or a URL, and the member when it is an archive."""

    file: str
    member: str | None = None

    def __str__(self) -> str:
        return self.file if self.member is None else f"{self.file}::{self.member}"

    @property
    def path(self) -> PurePosixPath:
        """The name that tells the format: the member's, or the file's."""
        asked = ASKED.match(self.file)
        return PurePosixPath(self.member or (asked[1] if asked else self.file.replace("\\", "/")))

    @property
    def compression(self) -> str | None:
        """`.gz`, `.zst` or null, by the name, in any letter case."""
        ending = self.path.suffix.lower()
        return ending if ending in COMPRESSED else None

    @property
    def format(self) -> str:
        """The ending that tells the format; raises `InputError` for one that has no reader."""
        ending = (self.path.with_suffix("") if self.compression else self.path).suffix.lower()
        if ending not in FORMATS:
            named = ending or "a file without an ending"
            raise InputError(
                f"{self}: no reader for {named}; known: {', '.join(FORMATS)}, each also in .gz, .zst or .zip"
            )
        return ending

    @property
    def name(self) -> str:
        """The name without endings."""
        return self.path.name.partition(".")[0] or self.path.name


@dataclass(frozen=True)
class Found:
    """The places that a path names, and what in its folder or archive is not read: its name, a colon, and why."""

    places: tuple[Place, ...]
    skipped: tuple[str, ...] = ()


def is_url(path: str) -> bool:
    """Tell whether a path is a URL of another machine, or of what is no file: `file://` is a plain path."""
    return SCHEME.match(path) is not None


def plain_path(path: str) -> str:
    """Give a path without the `file://` that it may begin with."""
    return LOCAL.sub("", path)


def places_of(path: str) -> Found:
    """Give the places that `path` names, sorted; none when nothing is there.

    A folder and an archive named without a member stand for all their files that have a reader; what else is there is
    told as skipped, with why. So is a file that is reached twice, by links: it is read once. A folder of `datasets`
    (`save_to_disk`) stands for its Arrow files. A link that a folder or glob holds and that leads out of it is refused
    with an `InputError`: what is read is what was named. A link that is itself named is followed. Refused are an empty
    path, one that is no file (a FIFO, a device), and files whose names are no UTF-8.
    """
    whole, _, member = plain_path(path).partition("::")
    if not whole.strip():
        raise InputError("the path is empty: it names no file. Is it a variable that has no value?")
    left: dict[str, str] = {}
    if is_url(whole):
        files = _remote(whole)
    elif Path(whole).is_dir():
        files, left = _inside(Path(whole), Path(whole).rglob("*"), whole=True)
    elif Path(whole).is_file():
        return _within([whole], {}, member, named=True)
    elif os.path.lexists(whole):
        raise InputError(f"{whole} is {_kind(Path(whole))}; rows are read from files, which are gone through twice")
    else:
        files, left = _inside(_fixed(whole), (Path(found) for found in glob.glob(whole, recursive=True)))  # noqa: PTH207 - Path.glob drops "./"
    saved = _saved(files)
    files = [file for file in files if file not in saved]
    return _within(files, left | saved, member, named=is_url(whole) and files == [whole])


def _within(files: Iterable[str], left: dict[str, str], member: str, *, named: bool) -> Found:
    """Put the members in an archive's place, and what has no reader with what is `left` out, by name with why."""
    places: list[Place] = []
    for file in files:
        packed = Place(file).path.suffix.lower() == ".zip"
        if packed and is_url(file):
            raise InputError(f"{file}: archives behind URLs are not read; download it and name the copy")
        if packed:
            from pipelines.files.archives import members

            inside = members(Path(file), member or None)
            found = [Place(file, name) for name in inside]
            only = bool(member) and not any(letter in member for letter in "*?")
        else:
            found, only = [Place(file)], named
        for place in found:
            if not only and not _readable(place):
                left[str(place)] = NO_READER
            elif _escaped(str(place)) == str(place):
                places.append(place)
            else:
                raise InputError(f"the name of {_escaped(str(place))} is no UTF-8; rename the file")
    return Found(tuple(places), tuple(_escaped(f"{name}: {why}") for name, why in sorted(left.items())))


def _readable(place: Place) -> bool:
    try:
        return bool(place.format)
    except InputError:
        return False


def _inside(folder: Path, found: Iterable[Path], *, whole: bool = False) -> tuple[list[str], dict[str, str]]:
    """Give the files found in `folder`, sorted, and by name what else is there with why it is left out.

    Raises `InputError` for a link out of it. Folders are told only where the `whole` folder was named: of a glob what
    lies in a linked one is found itself.
    """
    home = folder.resolve()
    files: list[Path] = []
    left: dict[str, str] = {}
    for file in found:
        hidden = _hidden(file, folder)
        if hidden:
            if file.is_file() and _readable(Place(str(file))):
                left[str(hidden)] = "it is hidden"
        elif file.is_file():
            if not file.resolve().is_relative_to(home):
                raise InputError(
                    f"{file} is a link to {file.resolve()}, outside {folder}; name the file itself to read it"
                )
            files.append(file)
        elif not file.is_dir() or (whole and file.is_symlink()):
            left[str(file)] = f"it is {_kind(file)}"
    return [str(file) for file in sorted(_once(files, folder, left))], left


def _once(files: list[Path], folder: Path, left: dict[str, str]) -> Iterator[Path]:
    """Give each file once, by the way to it without links where there is one, and put the others to what is `left`."""
    home, known = folder.resolve(), dict[Path, Path]()
    linked = {file: file.resolve() != home / file.relative_to(folder) for file in files}
    for file in sorted(files, key=lambda file: (linked[file], len(file.parts), file)):
        first = known.setdefault(file.resolve(), file)
        if first is file:
            yield file
        else:
            left[str(_link(file, folder))] = f"by this link {first} is reached again, and it is read once"


def _link(file: Path, folder: Path) -> Path:
    """Give the first link on the way from a folder to a file; the file where there is none."""
    ways = [way for way in file.parents if way.is_relative_to(folder) and way != folder]
    return next((way for way in reversed(ways) if way.is_symlink()), file)


def _saved(files: Iterable[str]) -> dict[str, str]:
    """Give those of the files that `datasets` saved beside the rows of datasets, with why they are left out."""
    folders: dict[str, dict[str, str]] = {}
    for file in files:
        folder, _, name = file.rpartition("/")
        folders.setdefault(folder, {})[name] = file
    saved = [folder for folder, names in folders.items() if names.keys() >= NOTES]
    left = [file for folder in saved for name, file in folders[folder].items() if not ROWS.match(name)]
    every = {folder.rpartition("/")[0] for folder in saved}
    left += [folders[folder][DICT] for folder in every if DICT in folders.get(folder, {})]
    return dict.fromkeys(left, "of a dataset that was saved to disk the Arrow files with its rows are read")


def _kind(file: Path) -> str:
    """Say what something is that is no file and no folder, or that is a link to one."""
    if file.is_symlink():
        what = "a folder, and those are not followed" if file.is_dir() else "what is not there"
        return f"a link to {what}: {file.readlink()}"
    return KINDS.get(stat.S_IFMT(file.stat().st_mode), "no file")


def _escaped(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _hidden(file: Path, folder: Path) -> Path | None:
    """Give the hidden file or folder by which a file is hidden; null where it is not."""
    inside = file.relative_to(folder).parts
    at = next((at for at, part in enumerate(inside, 1) if part.startswith(".") and part not in {".", ".."}), None)
    return None if at is None else folder.joinpath(*inside[:at])


def _fixed(pattern: str) -> Path:
    """Give the folder in which a glob begins."""
    parts = Path(pattern).parts
    return Path(*(part for at, part in enumerate(parts) if not any(map(glob.has_magic, parts[: at + 1]))))


def _remote(url: str) -> list[str]:
    if ASKED.match(url):  # of a query no mark is a glob's
        return [url]
    system, path = file_system(url)
    try:
        if glob.has_magic(path):
            found = system.glob(path)
        elif system.isdir(path):
            found = system.find(path)
        else:
            return [url]
    except Exception as error:  # each file system has its own
        raise InputError(f"{url} can't be listed: {type(error).__name__}: {error}") from error
    return [system.unstrip_protocol(name) for name in sorted(found)]


def file_system(url: str) -> tuple[Any, str]:
    """Give fsspec's file system for a URL and the path in it; raises `InputError` when a package for it is missing."""
    import fsspec.core

    try:
        system, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError, OSError) as error:
        said = f"{url}: {error}"
        if isinstance(error, ImportError):
            said += f"; pip install what it names to read {url.partition(':')[0]}:// URLs"
        raise InputError(said) from error
    return system, path


def fetched(place: Place, scope: ExitStack) -> Path:
    """Give the local file, or a copy of one behind a URL that goes with `scope`; `InputError` if it can't be had."""
    if not is_url(place.file):
        return Path(place.file)
    from tempfile import TemporaryDirectory

    system, path = file_system(place.file)
    copy = Path(scope.enter_context(TemporaryDirectory(prefix="gristmill-"))) / "fetched"
    try:
        system.get_file(path, str(copy))
    except Exception as error:  # each file system has its own
        raise InputError(f"{place.file} can't be read: {type(error).__name__}: {error}") from error
    return copy
