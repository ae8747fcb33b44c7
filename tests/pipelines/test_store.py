import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from pipelines.store import MANIFEST, once, read_table, sha256, write_table
from pipelines.versions import code_version
from schemas.errors import StoreError

SCHEMA = pl.Schema({"id": pl.String()})
FRAME = pl.DataFrame({"id": ["a", "b"]})


def build(folder: Path) -> dict[str, Any]:
    return {"rows": write_table(folder, "rows", FRAME, SCHEMA)}


def test_the_same_question_finds_its_answer_and_a_changed_one_does_not(tmp_path: Path) -> None:
    first = once(tmp_path, "stage", {"bound": 1}, build)
    again = once(tmp_path, "stage", {"bound": 1}, lambda _folder: pytest.fail("was built again"))
    other = once(tmp_path, "stage", {"bound": 2}, build)
    assert (first.reused, again.reused, other.reused) == (False, True, False)
    assert first.folder == again.folder != other.folder
    assert read_table(again, "rows", SCHEMA).equals(FRAME)


def test_an_output_with_failed_requests_is_built_again(tmp_path: Path) -> None:
    once(tmp_path, "stage", {}, lambda _folder: {"failed": 1})
    assert once(tmp_path, "stage", {}, lambda _folder: {"failed": 0}).facts == {"failed": 0}


def test_of_several_that_ask_at_once_one_builds_and_the_others_find_it(tmp_path: Path) -> None:
    begun = []

    def slow(folder: Path) -> dict[str, Any]:
        begun.append(folder)
        time.sleep(0.3)
        return build(folder)

    with ThreadPoolExecutor(4) as threads:
        made = [one.result() for one in [threads.submit(once, tmp_path, "stage", {}, slow) for _ in range(4)]]
    assert len(begun) == 1
    assert sorted(one.reused for one in made) == [False, True, True, True]
    assert all(read_table(one, "rows", SCHEMA).equals(FRAME) for one in made)


def test_a_build_that_fails_leaves_nothing_that_is_seen(tmp_path: Path) -> None:
    def broken(folder: Path) -> dict[str, Any]:
        build(folder)
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        once(tmp_path, "stage", {}, broken)
    assert not list(tmp_path.glob("stage-*"))
    assert once(tmp_path, "stage", {}, build).facts == {"rows": 2}
    assert [path.name[0] for path in tmp_path.iterdir() if path.name != ".locks"] == ["s"]


@pytest.mark.parametrize("checked", ["xxh3_128", "sha256"])
def test_a_flipped_bit_in_a_shard_is_found(tmp_path: Path, checked: str) -> None:
    stored = once(tmp_path, "stage", {}, build)
    shard = next(stored.folder.glob("rows/*.parquet"))
    manifest = orjson.loads((stored.folder / MANIFEST).read_bytes())
    if checked == "sha256":  # as earlier stores have it
        manifest["files"] = {name: sha256(stored.folder / name) for name in manifest["files"]}
        (stored.folder / MANIFEST).write_bytes(orjson.dumps(manifest))
    assert all(known.startswith("xxh3_128:") == (checked == "xxh3_128") for known in manifest["files"].values())
    assert read_table(stored, "rows", SCHEMA).equals(FRAME)
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(StoreError, match="has changed since it was written"):
        read_table(stored, "rows", SCHEMA)


def test_an_empty_table_is_written_and_read(tmp_path: Path) -> None:
    empty = FRAME.clear()
    stored = once(tmp_path, "stage", {}, lambda folder: {"rows": write_table(folder, "rows", empty, SCHEMA)})
    assert read_table(stored, "rows", SCHEMA).equals(empty)


def test_an_edited_module_has_another_version() -> None:
    assert code_version("pipelines.store") != code_version("pipelines.select")
    assert code_version("pipelines.store") == code_version("pipelines.store")


@pytest.mark.parametrize("when", range(1, 7))
def test_a_kill_at_any_rename_or_sync_leaves_the_whole_output_or_none(tmp_path: Path, when: int) -> None:
    """Kill the writer at the `when`-th fsync or rename, then build again: the bytes are an undisturbed run's."""
    script = (
        "import os, signal, sys; from pathlib import Path; import polars as pl; from pipelines import store\n"
        "count = 0\n"
        "def dying(real):\n"
        "    def call(*arguments):\n"
        "        global count; count += 1\n"
        f"        if count == {when}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return real(*arguments)\n"
        "    return call\n"
        "os.fsync = dying(os.fsync); Path.rename = dying(Path.rename)\n"
        "schema = pl.Schema({'id': pl.String()}); frame = pl.DataFrame({'id': ['a', 'b']})\n"
        "store.once(Path(sys.argv[1]), 'stage', {}, "
        "lambda folder: {'rows': store.write_table(folder, 'rows', frame, schema)})\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "killed")], check=False, env=os.environ | {"PYTHONPATH": "."}
    )
    assert killed.returncode == -signal.SIGKILL
    again = once(tmp_path / "killed", "stage", {}, build)
    clean = once(tmp_path / "clean", "stage", {}, build)
    assert again.folder.name == clean.folder.name
    shards = [sorted(stored.folder.glob("rows/*.parquet")) for stored in (again, clean)]
    assert [file.read_bytes() for file in shards[0]] == [file.read_bytes() for file in shards[1]]
