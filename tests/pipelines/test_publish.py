"""What is published to a hub is whole, checked and in one visible step, and each version stays what it was."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
import yaml

from pipelines.publish import publish, unpublish
from schemas.errors import PublishError
from tests.pipelines.hub_stub import Hub
from tests.pipelines.publishing import NAME, ROWS, data, no_commit_is_a_mix, settings, tree

# httpx's word to huggingface_hub, which it is for to mend
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

LOADING = """
import sys, json
from datasets import load_dataset
told = {}
for config in ("sft", "preferences", "unpaired", "plain", "grpo", "candidates"):
    whole = load_dataset("org/sums", config, revision="v1.0")
    flow = load_dataset("org/sums", config, revision="v1.0", streaming=True)
    told[config] = {split: [len(whole[split]), sum(1 for _ in flow[split])] for split in whole}
told["default"] = load_dataset("org/sums", streaming=True)["train"].column_names
json.dump(told, sys.stdout)
"""


@pytest.mark.slow
def test_what_is_published_loads_by_config_and_split_streaming_too(run: Path, hub: Hub, tmp_path: Path) -> None:
    publish(run, NAME)
    env = os.environ | settings(hub, tmp_path)
    done = subprocess.run([sys.executable, "-c", LOADING], check=True, capture_output=True, env=env)
    told: dict[str, Any] = orjson.loads(done.stdout)
    assert "completion" in told.pop("default")
    for config, splits in told.items():
        files = {split: list((run / config / split).glob("*")) for split in ("train", "test")}
        for split in ("train", "test"):
            own = pl.read_parquet(files[split]).height if files[split] else splits[split][0]
            assert splits[split] == [own, own]
            assert own > 0
    assert sum(whole for whole, _ in told["candidates"].values()) == 2 * ROWS


def test_it_is_private_one_commit_with_its_tag_and_the_hub_accepts_its_card(run: Path, hub: Hub) -> None:
    told = publish(run, NAME)
    repo = hub.repositories[NAME]
    assert repo.private
    assert len(repo.commits) == 2  # the repository's own first, and this
    assert repo.tags == {"v1.0": repo.refs["main"]}
    assert told["commit"] == repo.refs["main"]
    assert ("POST", "/api/validate-yaml") in hub.asked
    no_commit_is_a_mix(hub)
    front = yaml.safe_load(tree(hub)["README.md"].decode().split("---")[1])
    assert (front["license"], front["size_categories"], front["language"]) == ("mit", ["n<1K"], ["en"])
    assert {"sft", "preferences", "unpaired", "candidates"} <= {one["config_name"] for one in front["configs"]}


def test_a_second_time_does_nothing_and_says_so(run: Path, hub: Hub) -> None:
    publish(run, NAME)
    asked = len(hub.asked)
    assert publish(run, NAME)["done"] == "there already"
    assert {method for method, _ in hub.asked[asked:]} <= {"GET", "HEAD"}
    [record] = orjson.loads((run / "published.json").read_bytes())
    assert (record["to"], record["version"]) == (NAME, "v1.0")


def test_the_next_version_takes_the_place_of_the_last_and_the_tag_keeps_it(run: Path, later: Path, hub: Hub) -> None:
    publish(run, NAME)
    assert publish(later, NAME)["version"] == "v1.1"
    assert publish(later, NAME, version="v2.0")["version"] == "v2.0"
    assert len(tree(hub, "v1.0")) == len(tree(hub, "v1.1"))
    assert tree(hub, "v1.0") != tree(hub, "v1.1")
    no_commit_is_a_mix(hub)
    with pytest.raises(PublishError, match=r"has v1\.1 already, with other data.*next is v2\.1"):
        publish(run, NAME, version="v1.1")


def test_files_of_a_version_before_are_gone_in_the_same_commit(run: Path, later: Path, hub: Hub) -> None:
    publish(run, NAME)
    repo = hub.repositories[NAME]
    repo.commit("main", {**repo.commits[repo.refs["main"]], "data/rare/train/00000.parquet": hub.keep(b"x")})
    publish(later, NAME)
    assert "data/rare/train/00000.parquet" not in tree(hub)
    assert len(repo.commits) == 4


def test_a_proposal_leaves_the_main_branch_alone_and_is_tagged_once_merged(run: Path, hub: Hub) -> None:
    told = publish(run, NAME, pr=True)
    repo = hub.repositories[NAME]
    assert told["pr"].endswith("/discussions/1")
    assert list(tree(hub)) == [".gitattributes"]
    assert publish(run, NAME, pr=True)["done"] == "proposed already"
    repo.refs["main"] = repo.refs["refs/pr/1"]
    assert publish(run, NAME)["done"] == "there already; tagged v1.0"


def test_withdrawn_data_are_gone_and_the_card_says_why(run: Path, later: Path, hub: Hub) -> None:
    publish(run, NAME)
    publish(later, NAME)
    assert unpublish(NAME, "v1.1", "wrong <answers>")["done"] == "withdrawn"
    assert set(tree(hub)) == {".gitattributes", "README.md", "versions.json"}
    assert "`wrong <answers>`" in tree(hub)["README.md"].decode()
    assert list(hub.repositories[NAME].tags) == ["v1.0"]
    assert unpublish(NAME, "v1.1", "again")["done"] == "was withdrawn before"
    with pytest.raises(PublishError, match=r"withdrawn as v1\.1 \(wrong <answers>\)"):
        publish(later, NAME)
    assert publish(later, NAME, version="v1.2")["version"] == "v1.2"
    assert "wrong <answers>" in tree(hub)["README.md"].decode()


def test_an_older_version_withdrawn_leaves_the_newest_and_its_number_is_never_used_again(
    run: Path, later: Path, hub: Hub
) -> None:
    publish(run, NAME)
    publish(later, NAME)
    newest = tree(hub)
    unpublish(NAME, "v1.0", "too small")
    assert data(tree(hub)) == data(newest)
    assert tree(hub)["README.md"].decode().startswith(newest["README.md"].decode())
    assert "too small" in tree(hub)["README.md"].decode()
    with pytest.raises(PublishError, match=r"v1\.0 already"):
        publish(run, NAME, version="v1.0")
    with pytest.raises(PublishError, match=r"has no version 'v9\.9'; there are: v1\.0, v1\.1"):
        unpublish(NAME, "v9.9", "?")
