"""Where datasets are published: what every target is asked, and which one a name means."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import orjson

from schemas.errors import PublishError

VERSIONS = "versions.json"  # which versions there are, which is the newest, and which were withdrawn and why
VERSION = re.compile(r"v(\d+)\.(\d+)\Z")
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*\Z")
Versions = dict[str, dict[str, Any]]
Entries = Mapping[str, Path | bytes]  # by path in the dataset


@dataclass(frozen=True)
class State:
    """What is at a target: the versions, the newest that was not withdrawn, and what tells this state from another."""

    versions: Versions = field(default_factory=dict)
    latest: str | None = None
    parent: str | None = None  # the hub's commit, or the hash of the pointer file; null where nothing is there
    files: Sequence[str] = ()
    tags: Sequence[str] = ()
    private: bool | None = None


class Target(Protocol):
    """A place that versions are published to, each whole or not at all."""

    name: str
    title: str  # what the card calls it: no path of this machine

    def state(self) -> State:
        """Say what is there."""
        ...

    def load(self, version: str, config: str, *, here: bool = False) -> str:
        """Give the Python that loads a config of a version; `here` on this machine, else as the card says it."""
        ...

    def url(self, version: str) -> str:
        """Give the address of a version."""
        ...

    def put(self, version: str, entries: Entries, pointer: bytes, state: State) -> dict[str, Any]:
        """Make a version visible in one step, where the target is still in `state`; else raise `PublishError`."""
        ...

    def finish(self, version: str, state: State) -> list[str]:
        """Do what a publication that broke off had left to do for a version that is visible; say what was done."""
        ...

    def proposed(self, ref: str) -> bool:
        """Tell whether a pull request is there."""
        ...

    def withdraw(self, version: str, versions: Versions, state: State) -> None:
        """Take a version's data away in one step, and leave a card that says why."""
        ...


def target_of(to: str, *, public: bool = False, pr: bool = False) -> Target:
    """Give the target that `to` names: `org/name` on the hub, a folder (`path/`, `file:///`), `s3://bucket/prefix`.

    Raises `PublishError` for what is none of these.
    """
    from pipelines.hub import Hub
    from pipelines.shelf import Shelf

    if to.startswith("hf://datasets/"):
        to = to.removeprefix("hf://datasets/")
    if "://" in to or to.startswith(("/", "./", "../", "~/")) or to.endswith("/"):
        if public or pr:
            raise PublishError(f"{to}: --public and --pr are the hub's; a folder is as public as where it lies")
        return Shelf(to)
    if REPOSITORY.match(to) and to.count("/") == 1:
        return Hub(to, public=public, pr=pr)
    raise PublishError(
        f"{to!r} is no place to publish to: expected org/name (a dataset on the hub), a folder (path/ or ./path or "
        "file:///path) or s3://bucket/prefix"
    )


def next_version(state: State) -> str:
    """Give the version after the highest there was, withdrawn ones too, tags as well: v1.0, v1.1, ..."""
    found = [VERSION.match(name) for name in (*state.versions, *state.tags)]
    known = sorted((int(one[1]), int(one[2])) for one in found if one)
    return f"v{known[-1][0]}.{known[-1][1] + 1}" if known else "v1.0"


def pointer_of(versions: Versions) -> bytes:
    """Give the file `versions.json`; the newest is the highest version that was not withdrawn."""
    left = [name for name, told in versions.items() if not told.get("yanked")]
    newest = max(left, key=_order, default=None)
    return orjson.dumps({"latest": newest, "versions": versions}, option=orjson.OPT_INDENT_2)


def _order(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.removeprefix("v").split(".")))
