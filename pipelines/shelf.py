"""Publishing to a folder: a local one, or one in any storage that fsspec reaches (`s3://bucket/prefix`).

A version is a folder of its own; `versions.json` says which there are and is written last, so that who reads it first
never sees a part of a version.
"""

import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from pipelines.card import withdrawn_card
from pipelines.store import write_bytes
from pipelines.targets import VERSIONS, Entries, State, Versions, pointer_of
from schemas.errors import PublishError

CARD = "README.md"
VERSION_PART = re.compile(r"/\.?v\d+\.\d+/")


class Shelf:
    """A folder of versions."""

    def __init__(self, to: str) -> None:
        from pipelines.files.places import file_system

        named = to if "://" in to else str(Path(to).expanduser().resolve())
        self.name = named.rstrip("/")
        self.files, root = file_system(self.name)
        self.root: str = str(root).rstrip("/")
        protocol = self.files.protocol
        self.title = self.root.rpartition("/")[2]
        self.local = "file" in ([protocol] if isinstance(protocol, str) else protocol)

    def state(self) -> State:
        """Read `versions.json`; raises `PublishError` where a folder without one holds something."""
        content = self._read(VERSIONS)
        if content is None:
            strange = [one for one in self._found("") if not VERSION_PART.search(one.removeprefix(self.root))]
            if strange:
                raise PublishError(
                    f"{self.name} holds {len(strange)} file(s) that no publication wrote, such as {strange[0]}: name a "
                    "folder of its own"
                )
            return State()
        told = orjson.loads(content)
        return State(told["versions"], told["latest"], hashlib.sha256(content).hexdigest())

    def load(self, version: str, config: str, *, here: bool = False) -> str:
        """Give the Python that loads a config of a version; `here` on this machine, else as the card says it."""
        if self.local:
            place = f"{self.name if here else self.title}/{version}"
            return f'from datasets import load_dataset\n\ndata = load_dataset("{place}", "{config}")'
        files = f"{self.name}/{version}/data/{config}/train/*.parquet"
        return f'from datasets import load_dataset\n\ndata = load_dataset("parquet", data_files={{"train": "{files}"}})'

    def url(self, version: str) -> str:
        """Give a version's folder."""
        return f"{self.title if self.local else self.name}/{version}"

    def put(self, version: str, entries: Entries, pointer: bytes, state: State) -> dict[str, Any]:
        """Write the version's folder, the card last, then the pointer. What an earlier try has written is kept."""
        self._fresh(state)
        # A local folder gets its name when it is whole; storage knows no renaming, so there the pointer alone says it.
        work = f".{version}" if self.local else version
        if self.local and (Path(self.root) / version).exists():  # an earlier try ended just before the pointer
            shutil.rmtree(Path(self.root) / work, ignore_errors=True)
            (Path(self.root) / version).rename(Path(self.root) / work)
        wanted = {f"{self.root}/{work}/{path}" for path in entries}
        for left in self._found(work):
            if left not in wanted:
                self._remove(left)
        written = 0
        for path in sorted(entries, key=lambda path: (path == CARD, path)):
            content = entries[path]
            written += self.write(f"{work}/{path}", content if isinstance(content, bytes) else content.read_bytes())
        if self.local:
            (Path(self.root) / work).rename(Path(self.root) / version)
        self._flip(pointer, state)
        return {"uploaded": written, "files": len(entries)}

    def finish(self, version: str, state: State) -> list[str]:  # noqa: ARG002 - as every target is asked
        """Do nothing: the pointer is the last that is written."""
        return []

    def proposed(self, ref: str) -> bool:  # noqa: ARG002 - as every target is asked
        """Say no: a folder knows no pull requests."""
        return False

    def withdraw(self, version: str, versions: Versions, state: State) -> None:
        """Say it in the pointer and on the card first, then remove the version's other files."""
        pointer = pointer_of(versions)
        if pointer != self._read(VERSIONS):
            self._flip(pointer, state)
        self.write(f"{version}/{CARD}", withdrawn_card(self.title, version, versions).encode())
        for file in self._found(version):
            if file != f"{self.root}/{version}/{CARD}":
                self._remove(file)
        if self.local:  # storage has no folders to leave behind
            shutil.rmtree(Path(self.root) / version / "data", ignore_errors=True)

    def _flip(self, pointer: bytes, state: State) -> None:
        """Write the pointer, if nobody else has since `state` was read."""
        self._fresh(state)
        self.write(VERSIONS, pointer)

    def _fresh(self, state: State) -> None:
        """Raise `PublishError` where the pointer is another than when `state` was read."""
        now = self._read(VERSIONS)
        if (None if now is None else hashlib.sha256(now).hexdigest()) != state.parent:
            raise PublishError(
                f"{self.name}: somebody else published there meanwhile; the version of this try is not in "
                f"{VERSIONS}, and so is not visible. Run the command again."
            )

    def write(self, path: str, content: bytes) -> bool:
        """Write a file where its content is not there yet; tells whether it was written."""
        if self._read(path) == content:
            return False
        place = f"{self.root}/{path}"
        if self.local:
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            write_bytes(Path(place), content)
        else:
            self._do(lambda: self.files.pipe_file(place, content))
        return True

    def _read(self, path: str) -> bytes | None:
        place = f"{self.root}/{path}"
        self.files.invalidate_cache()
        found: bytes | None = self._do(lambda: self.files.cat_file(place) if self.files.exists(place) else None)
        return found

    def _found(self, folder: str) -> list[str]:
        place = f"{self.root}/{folder}".rstrip("/")
        return [str(file) for file in self._do(lambda: self.files.find(place) if self.files.exists(place) else [])]

    def _remove(self, file: str) -> None:
        self._do(lambda: self.files.rm_file(file))

    def _do(self, step: Callable[[], Any]) -> Any:
        try:
            return step()
        except Exception as error:  # each file system has its own
            raise PublishError(
                f"{self.name}: {type(error).__name__}: {error}. No version that was not there before is visible; run "
                "the command again, and what is written already is not written again."
            ) from error
