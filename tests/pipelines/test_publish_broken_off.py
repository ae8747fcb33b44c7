"""A publication that breaks off, or is overtaken, shows no mix to whoever reads, and the next try goes on there."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.files.places import file_system
from pipelines.publish import publish, unpublish
from pipelines.shelf import Shelf
from schemas.errors import PublishError
from tests.pipelines.hub_stub import Hub
from tests.pipelines.publishing import NAME, data, no_commit_is_a_mix, settings, tree, versions_of

# httpx's word to huggingface_hub, which it is for to mend
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def test_who_comes_second_is_told_and_nothing_of_it_is_visible(run: Path, later: Path, hub: Hub) -> None:
    publish(run, NAME)
    before = tree(hub)
    hub.fail = {"/commit/": ["race"]}
    with pytest.raises(PublishError, match=r"somebody else changed it meanwhile; v1\.1: it is not visible"):
        publish(later, NAME)
    assert tree(hub) == {**before, "note.txt": b"first"}
    assert list(hub.repositories[NAME].tags) == ["v1.0"]
    publish(later, NAME)
    assert tree(hub)["note.txt"] == b"first"  # not ours
    no_commit_is_a_mix(hub)


def test_after_a_500_at_the_commit_nothing_is_visible_and_nothing_is_uploaded_again(run: Path, hub: Hub) -> None:
    hub.fail = {"/commit/": ["500"]}
    with pytest.raises(PublishError, match=r"the hub answered 500.*it is not visible.*not uploaded again"):
        publish(run, NAME)
    assert list(tree(hub)) == [".gitattributes"]
    uploaded = hub.puts()
    publish(run, NAME)
    assert hub.puts() == uploaded == len(data(tree(hub)))
    no_commit_is_a_mix(hub)


def test_what_broke_off_between_commit_and_tag_is_finished(run: Path, hub: Hub) -> None:
    hub.fail = {"/tag/": ["500"]}
    with pytest.raises(PublishError, match="without its tag"):
        publish(run, NAME)
    assert publish(run, NAME)["done"] == "there already; tagged v1.0"
    assert hub.repositories[NAME].tags == {"v1.0": hub.repositories[NAME].refs["main"]}


def test_a_cut_upload_is_sent_again_and_never_committed_in_part(run: Path, hub: Hub) -> None:
    hub.fail = {"/lfs/": ["", "cut"]}
    publish(run, NAME)
    no_commit_is_a_mix(hub)
    assert len(data(tree(hub))) >= 5


def test_killed_in_the_middle_of_the_upload_it_goes_on_where_it_was(run: Path, hub: Hub, tmp_path: Path) -> None:
    hub.fail = {"/lfs/": ["", "", "hang", "hang", "hang", "hang", "hang"]}
    command = [sys.executable, "-m", "pipelines", "publish", str(run), "--to", NAME]
    with subprocess.Popen(command, env=os.environ | settings(hub, tmp_path), stdout=subprocess.DEVNULL) as child:
        while hub.puts() < 3:
            assert child.poll() is None
            time.sleep(0.02)
        time.sleep(0.2)
        child.send_signal(signal.SIGKILL)
    assert list(tree(hub)) == [".gitattributes"]
    there = set(hub.contents)
    hub.fail, asked = {}, len(hub.asked)
    publish(run, NAME)
    again = {path.removeprefix("/lfs/") for method, path in hub.asked[asked:] if path.startswith("/lfs/")}
    assert again
    assert again.isdisjoint(there)
    no_commit_is_a_mix(hub)


@pytest.mark.parametrize("to", ["folder", "memory"])
def test_wherever_a_folder_s_writing_ends_a_reader_sees_whole_versions_and_it_goes_on(
    run: Path, later: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    place = f"{tmp_path}/out/" if to == "folder" else f"memory://{tmp_path}/out"
    publish(run, place)
    write, left = Shelf.write, [0]

    def breaking(self: Shelf, path: str, content: bytes) -> bool:
        left[0] -= 1
        if left[0] == 0:
            raise PublishError("the power is gone")
        return write(self, path, content)

    monkeypatch.setattr(Shelf, "write", breaking)
    for writes in range(1, 100, 3):
        left[0] = writes
        try:
            told = publish(later, place)
        except PublishError:
            assert list(versions_of(place)) == ["v1.0"]
            continue
        break
    assert writes > 10
    assert told["uploaded"] <= 3 < told["files"]  # what the tries before have written is not written again
    assert list(versions_of(place)) == ["v1.0", "v1.1"]
    left[0] = 0
    unpublish(place, "v1.0", "too small")
    files, root = file_system(place.rstrip("/"))
    assert files.find(f"{root}/v1.0") == [f"{root}/v1.0/README.md"]
    assert b"too small" in files.cat_file(f"{root}/v1.0/README.md")


def test_a_version_that_another_has_published_meanwhile_stays_as_it_is(run: Path, tmp_path: Path) -> None:
    shelf = Shelf(f"{tmp_path}/out/")
    nothing = shelf.state()
    publish(run, f"{tmp_path}/out/")
    with pytest.raises(PublishError, match="somebody else published there meanwhile"):
        shelf.put("v1.0", {"README.md": b"mine"}, b"{}", nothing)
    assert list(versions_of(f"{tmp_path}/out/")) == ["v1.0"]
