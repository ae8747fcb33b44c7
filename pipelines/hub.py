"""Publishing to the Hugging Face hub (or what `HF_ENDPOINT` names): a version is one commit and its tag."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from pipelines.card import rewritten, withdrawn_card
from pipelines.targets import VERSIONS, Entries, State, Versions, pointer_of
from schemas.errors import PublishError

DATASET = "dataset"
CARD = "README.md"
FIRST = {".gitattributes", CARD, "LICENSE", "LICENSE.md"}  # what a repository may hold before it is published to
REFUSED = {401: "the hub wants a login", 403: "the hub refuses this account"}
STALE = (409, 412)


class Hub:
    """A dataset repository. It is made private, and made public last where that is asked."""

    def __init__(self, name: str, *, public: bool = False, pr: bool = False) -> None:
        from huggingface_hub import HfApi
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()
        self.name = self.title = name
        self.public, self.pr = public, pr
        self.api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))  # as it is now, not when the client was imported

    def state(self) -> State:
        """Say what the main branch holds; raises `PublishError` where files are in it that no publication wrote."""
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            info = self._do(lambda: self.api.repo_info(self.name, repo_type=DATASET))
        except PublishError as error:
            if isinstance(error.__cause__, RepositoryNotFoundError):
                return State()
            raise
        files = [one.rfilename for one in info.siblings or ()]
        tags = [one.name for one in self._do(lambda: self.api.list_repo_refs(self.name, repo_type=DATASET)).tags]
        if VERSIONS not in files:
            strange = sorted(set(files) - FIRST)
            if strange:
                raise PublishError(
                    f"{self.name} holds {len(strange)} file(s) that no publication wrote, such as {strange[0]}: "
                    "publish under another name, or remove them there first"
                )
            return State({}, None, info.sha, files, tags, info.private)
        told = orjson.loads(self._read(VERSIONS, info.sha))
        return State(told["versions"], told["latest"], info.sha, files, tags, info.private)

    def load(self, version: str, config: str, *, here: bool = False) -> str:  # noqa: ARG002 - as every target is asked
        """Give the Python that loads a config of a version."""
        call = f'load_dataset("{self.name}", "{config}", revision="{version}")'
        return f"from datasets import load_dataset\n\ndata = {call}"

    def url(self, version: str) -> str:
        """Give the address of a version."""
        return f"{self.api.endpoint}/datasets/{self.name}/tree/{version}"

    def put(self, version: str, entries: Entries, pointer: bytes, state: State) -> dict[str, Any]:
        """Upload what the hub does not have, make one commit on `state`'s, tag it, and then make it public if asked.

        Files of the version before that are not in this one go in the same commit.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        if state.private is False and not self.public:
            raise PublishError(f"{self.name} is public: what is published there is public at once. Say --public.")
        parent = state.parent or self._created()
        all_of_it: dict[str, Path | bytes] = {**entries, VERSIONS: pointer}
        adds = [CommitOperationAdd(path, content) for path, content in all_of_it.items()]
        gone = [path for path in state.files if path not in all_of_it and _ours(path, state)]
        deletes = [CommitOperationDelete(path) for path in gone]
        made = self._commit(version, [*adds, *deletes], parent, f"{version}: {len(entries)} files", "it is not visible")
        told: dict[str, Any] = {"commit": made.oid, "files": len(all_of_it), "removed": len(gone)}
        if self.pr:
            return told | {"pr": made.pr_url, "pr_ref": made.pr_revision}
        self._tag(version, made.oid)
        return told | {"public": self._open()}

    def finish(self, version: str, state: State) -> list[str]:
        """Tag a version that is on the main branch without a tag; make it public if asked."""
        done = []
        if version not in state.tags:
            self._tag(version, str(state.parent))
            done.append(f"tagged {version}")
        if self.public and state.private:
            self._open()
            done.append("made public")
        return done

    def proposed(self, ref: str) -> bool:
        """Tell whether a pull request is there."""
        refs = self._do(lambda: self.api.list_repo_refs(self.name, repo_type=DATASET, include_pull_requests=True))
        return any(one.ref == ref for one in refs.pull_requests or ())

    def withdraw(self, version: str, versions: Versions, state: State) -> None:
        """Remove the version's data from the main branch where it is the newest, all in one commit; remove its tag."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        if not state.versions[version].get("yanked"):
            newest = state.latest == version
            if newest:
                content = withdrawn_card(self.name, version, versions)
            else:
                content = rewritten(self._read(CARD, str(state.parent)).decode(), versions)
            gone = [path for path in state.files if newest and path not in {CARD, VERSIONS} and _ours(path, state)]
            adds = [CommitOperationAdd(CARD, content.encode()), CommitOperationAdd(VERSIONS, pointer_of(versions))]
            operations = [*adds, *(CommitOperationDelete(path) for path in gone)]
            self._commit(version, operations, str(state.parent), f"{version} is withdrawn", "it stays visible")
        if version in state.tags:
            self._do(lambda: self.api.delete_tag(self.name, tag=version, repo_type=DATASET))

    def _created(self) -> str:
        self._do(lambda: self.api.create_repo(self.name, repo_type=DATASET, private=True, exist_ok=True))
        info = self._do(lambda: self.api.repo_info(self.name, repo_type=DATASET))
        if not info.private:
            raise PublishError(f"{self.name} was asked for as private and is public: nothing was published to it")
        return str(info.sha)

    def _commit(self, version: str, operations: list[Any], parent: str, message: str, visible: str) -> Any:
        return self._do(
            lambda: self.api.create_commit(
                self.name,
                operations,
                commit_message=message,
                repo_type=DATASET,
                parent_commit=parent,
                create_pr=self.pr,
            ),
            f"{version}: {visible}",
        )

    def _tag(self, version: str, commit: str) -> None:
        told = f"{version} is on the main branch, without its tag"
        self._do(
            lambda: self.api.create_tag(self.name, tag=version, revision=commit, repo_type=DATASET, exist_ok=True), told
        )

    def _open(self) -> bool:
        if self.public:
            self._do(lambda: self.api.update_repo_settings(self.name, private=False, repo_type=DATASET))
        return self.public

    def _read(self, path: str, commit: str) -> bytes:
        found = self._do(lambda: self.api.hf_hub_download(self.name, path, repo_type=DATASET, revision=commit))
        return Path(found).read_bytes()

    def _do(self, step: Callable[[], Any], visible: str = "nothing was changed there") -> Any:
        try:
            return step()
        except Exception as error:  # the client's own, its HTTP library's and the system's
            raise PublishError(f"{self.name}: {_words(error)}; {visible}. {_what_to_do(error)}") from error


def _ours(path: str, state: State) -> bool:
    """Tell whether a publication wrote a file: it is under `data/`, or among those that the pointer names."""
    return path.startswith("data/") or any(path in told.get("documents", ()) for told in state.versions.values())


def _status(error: BaseException) -> int | None:
    """Give the status that the hub answered with, to this request or to one that failed beneath it."""
    response = getattr(error, "response", None)
    if response is not None:
        return int(response.status_code)
    return _status(error.__cause__) if error.__cause__ else None


def _words(error: BaseException) -> str:
    status = _status(error)
    if status in STALE:
        return "somebody else changed it meanwhile"
    if status in REFUSED:
        return REFUSED[status]
    lowest = error
    while lowest.__cause__ is not None:
        lowest = lowest.__cause__
    said = str(lowest).strip().splitlines()
    told = f"{type(lowest).__name__}: {said[0]}" if said else type(lowest).__name__
    return f"the hub answered {status} ({told})" if status else f"no answer from the hub ({told})"


def _what_to_do(error: BaseException) -> str:
    status = _status(error)
    if status in REFUSED:
        return "Set HF_TOKEN to a token that may write there, or run `.venv/bin/hf auth login`."
    again = "Run the command again: what was uploaded is not uploaded again."
    return again if status != 400 else "Mend what it says."  # noqa: PLR2004 - a request that is wrong stays wrong
