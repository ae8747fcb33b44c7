"""What is published is whole, checked and in one visible step, and whoever reads meanwhile never sees a mix."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
import yaml

from pipelines.files.places import file_system
from pipelines.licences import stated
from pipelines.publish import publish, unpublish, words
from pipelines.shelf import Shelf
from pipelines.store import sha256
from schemas.errors import PublishError
from tests.pipelines.hub_stub import Hub, served

# httpx's word to huggingface_hub, which it is for to mend
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
ROWS = 40
SECRET = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
NAME = "org/sums"
RECIPE = """
name = "{name}"
[[sources]]
path = "{folder}/rows.jsonl"
{license}
[[filters]]
use = "filters.length:words"
part = "prompt"
[generate]
engine = "recorded"
samples = 2
keep_reply = false
[engines.recorded]
use = "generators.replay:recorded"
path = "{folder}/recorded.jsonl"
systems = ["s", "t"]
[[judges]]
use = "judges.math:final_answer"
[select]
use = "pipelines.strategies:best_and_random"
held_out = 0.3
"""


def made(folder: Path, *, name: str = "sums", rows: int = ROWS, license: str = "MIT", extra: str = "") -> Path:  # noqa: A002
    """Run a recipe whose systems are right in turn; gives the run's folder. `extra` is in one reply."""
    folder.mkdir(exist_ok=True)
    asked, recorded = [], []
    for at in range(rows):
        question, right = f"Which number is {at} plus {at}, please?", 2 * at
        asked.append({"instruction": question, "output": "", "reference": f"{right}"})
        said = (f"A: {right}", f"A: {right + 1}") if at % 2 else (f"A: {right + 1}", f"A: {right}")
        recorded.append(
            {"question": question, **{one: {"solution": text} for one, text in zip("st", said, strict=True)}}
        )
    recorded[1]["s"] = {"solution": f"{extra} A: 2"}
    for table, told in (("rows", asked), ("recorded", recorded)):
        (folder / f"{table}.jsonl").write_bytes(b"\n".join(map(orjson.dumps, told)))
    terms = f'license = "{license}"' if license else ""
    (folder / "recipe.toml").write_text(RECIPE.format(folder=folder, name=name, license=terms))
    command = [sys.executable, "-m", "pipelines", "run", str(folder / "recipe.toml"), "--out", str(folder / "runs")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "runs" / name / "latest"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("second"), rows=ROWS + 20)


@pytest.fixture
def run(first: Path, tmp_path: Path) -> Path:
    return copied(first, tmp_path / "one")


@pytest.fixture
def later(second: Path, tmp_path: Path) -> Path:
    return copied(second, tmp_path / "two")


def copied(latest: Path, to: Path) -> Path:
    """Copy a recipe's runs, so that what one test publishes no other knows of."""
    shutil.copytree(latest.parent, to / latest.parent.name, symlinks=True)
    return to / latest.parent.name / "latest"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import constants

    with served() as one:
        for key, value in settings(one, tmp_path).items():
            monkeypatch.setenv(key, value)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield one


def settings(hub: Hub, folder: Path) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": "hf_t", "HF_HOME": str(folder / "hf")}


def tree(hub: Hub, rev: str = "main") -> dict[str, bytes]:
    repo = hub.repositories[NAME]
    return {path: hub.contents[content] for path, content in repo.commits[str(repo.oid(rev))].items()}


def data(found: dict[str, bytes]) -> set[str]:
    return {path for path in found if path.startswith("data/")}


def no_commit_is_a_mix(hub: Hub) -> None:
    """Every commit that was ever visible holds the data files that its own lock names, with their hashes, or none."""
    for files in hub.repositories[NAME].commits.values():
        locked = orjson.loads(hub.contents[files["lock.json"]])["sha256"] if "lock.json" in files else {}
        assert {path: content for path, content in files.items() if path.startswith("data/")} == locked


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


def test_nothing_goes_to_a_public_dataset_or_over_files_of_others_unasked(run: Path, later: Path, hub: Hub) -> None:
    publish(run, NAME)
    assert publish(run, NAME, public=True)["done"] == "there already; made public"
    assert not hub.repositories[NAME].private
    with pytest.raises(PublishError, match=r"is public.*Say --public"):
        publish(later, NAME)
    hub.repositories[NAME].commit("main", {"data/theirs.csv": hub.keep(b"x")})
    with pytest.raises(PublishError, match=r"no publication wrote, such as data/theirs\.csv"):
        publish(later, NAME, public=True)


def test_a_hub_that_refuses_the_account_is_told_in_a_sentence(
    run: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(run, NAME)
    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    hub.fail = {"/api/repos/create": ["401"]}
    with pytest.raises(PublishError, match=r"the hub wants a login; nothing was changed there. Set HF_TOKEN"):
        publish(run, NAME)


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


def versions_of(place: str) -> dict[str, Any]:
    """Give the versions that a reader knows of; each holds what its lock says."""
    files, root = file_system(place.rstrip("/"))
    told: dict[str, Any] = orjson.loads(files.cat_file(f"{root}/versions.json"))["versions"]
    for version in told:
        locked = orjson.loads(files.cat_file(f"{root}/{version}/lock.json"))["sha256"]
        found = {one.removeprefix(f"{root}/{version}/") for one in files.find(f"{root}/{version}/data")}
        assert found == set(locked)
    return told


def test_a_folder_loads_is_not_written_again_and_says_what_was_withdrawn(
    run: Path, later: Path, tmp_path: Path
) -> None:
    place = f"{tmp_path}/out/"
    told = publish(run, place)
    assert told["load"].splitlines()[-1] == f'data = load_dataset("{tmp_path}/out/v1.0", "sft")'
    env = os.environ | {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    script = told["load"] + "\nprint(data['train'].num_rows)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, env=env, text=True)
    assert int(done.stdout) == told["rows"]["sft"]["train"]
    assert publish(run, place)["done"] == "there already"
    publish(later, place)
    unpublish(place, "v1.1", "wrong")
    assert [one.name for one in (tmp_path / "out" / "v1.1").iterdir()] == ["README.md"]
    assert orjson.loads((tmp_path / "out" / "versions.json").read_bytes())["latest"] == "v1.0"
    assert unpublish(place, "v1.1", "x")["reason"] == "wrong"


def test_no_path_of_this_machine_is_in_what_is_written_about_the_data(run: Path, tmp_path: Path) -> None:
    publish(run, f"{tmp_path}/out/")
    for name in ("README.md", "lock.json", "croissant.json", "versions.json"):
        [file] = [*(tmp_path / "out").glob(f"v1.0/{name}"), *(tmp_path / "out").glob(name)]
        assert str(tmp_path) not in file.read_text()


def test_a_version_that_another_has_published_meanwhile_stays_as_it_is(run: Path, tmp_path: Path) -> None:
    shelf = Shelf(f"{tmp_path}/out/")
    nothing = shelf.state()
    publish(run, f"{tmp_path}/out/")
    with pytest.raises(PublishError, match="somebody else published there meanwhile"):
        shelf.put("v1.0", {"README.md": b"mine"}, b"{}", nothing)
    assert list(versions_of(f"{tmp_path}/out/")) == ["v1.0"]


def test_a_folder_that_holds_something_else_is_left_alone(run: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(PublishError, match=r"no publication wrote, such as .*thesis\.txt"):
        publish(run, f"{tmp_path}/out/")


SPOILT: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "two sides alike": lambda rows: rows.with_columns(rejected=pl.col("chosen")),
    "another's scores": lambda rows: rows.with_columns(chosen_score=pl.lit(0.5)),
    "an id twice": lambda rows: rows.with_columns(id=pl.lit("x")),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_dataset_that_fails_its_check_is_refused_or_the_card_says_why_not(
    run: Path, tmp_path: Path, spoil: Callable[[pl.DataFrame], pl.DataFrame]
) -> None:
    [file] = (run / "preferences" / "train").glob("*.parquet")
    rows = pl.read_parquet(file)
    file.unlink()
    spoil(rows).write_parquet(file)
    with pytest.raises(PublishError, match=r"error\(s\) of integrity, nothing was published"):
        publish(run, f"{tmp_path}/out/")
    assert not (tmp_path / "out").exists()
    publish(run, f"{tmp_path}/out/", despite="a demonstration of | faults")
    card = (tmp_path / "out" / "v1.0" / "README.md").read_text()
    assert "Published in spite of that" in card
    assert "a demonstration of" in card


def test_a_secret_is_refused_by_row_without_being_shown_and_the_rest_can_be_published(tmp_path: Path) -> None:
    run = made(tmp_path / "run", extra=f"My key is {SECRET}.")
    with pytest.raises(PublishError) as refused:
        publish(run, f"{tmp_path}/out/", despite="I insist")
    said = str(refused.value)
    sft = pl.read_parquet(run / "sft" / "**" / "*.parquet")
    [row] = sft.filter(has_key(sft))["id"]
    assert f"sft {row}, completion: secret ghp..." in said
    assert SECRET not in said
    told = publish(run, f"{tmp_path}/out/", leave_out=True)
    assert sum(told["rows"]["sft"].values()) == sft.height - 1
    published = [file.read_bytes() for file in (tmp_path / "out" / "v1.0").rglob("*") if file.is_file()]
    texts = [str(pl.read_parquet(file).to_dicts()) for file in (tmp_path / "out").rglob("*.parquet")]
    assert not any(SECRET in text for text in texts)
    assert not any(SECRET.encode() in content for content in published)
    assert "left out before publication" in (tmp_path / "out" / "v1.0" / "README.md").read_text()


def has_key(rows: pl.DataFrame) -> pl.Series:
    return pl.Series(["My key" in str(one) for one in rows["completion"].to_list()])


def test_personal_data_need_a_reason_that_the_card_gives(tmp_path: Path) -> None:
    run = made(tmp_path / "run", extra="Write to alan.turing@bletchley.org.uk.")
    with pytest.raises(PublishError, match=r"email ala\.\.\. \(28 characters\)"):
        publish(run, f"{tmp_path}/out/")
    publish(run, f"{tmp_path}/out/", despite="nobody's address")
    card = (tmp_path / "out" / "v1.0" / "README.md").read_text()
    assert "personal data (email)" in card
    assert "nobody's address" in card


def test_a_source_without_a_licence_is_named_and_a_person_can_state_one_with_a_reason(tmp_path: Path) -> None:
    run = made(tmp_path / "run", license="")
    with pytest.raises(PublishError, match=r"these sources state no licence: rows.*--license ID --license-reason"):
        publish(run, f"{tmp_path}/out/")
    publish(run, f"{tmp_path}/out/", licence=stated("CC BY 4.0", "our own rows"))
    card = (tmp_path / "out" / "v1.0" / "README.md").read_text()
    assert yaml.safe_load(card.split("---")[1])["license"] == "cc-by-4.0"
    assert "our own rows" in card


def test_judges_calibration_is_in_the_card_and_beside_it(run: Path, tmp_path: Path) -> None:
    part: dict[str, Any] = {"mean": 0.81, "interval": [0.77, 0.85], "rows": 90}
    card: dict[str, Any] = {"labelled": 90, "kappa": 0.6, "alpha": None}
    card |= dict.fromkeys(("agreement", "parse_failures", "length_bias", "self_preference"), part)
    (run / "cards").mkdir()
    (run / "cards" / "judges.math.final_answer.json").write_bytes(orjson.dumps(card))
    publish(run, f"{tmp_path}/out/")
    assert "81.0 % [77.0, 85.0]" in (tmp_path / "out" / "v1.0" / "README.md").read_text()
    told = orjson.loads((tmp_path / "out" / "v1.0" / "judge-cards.json").read_bytes())
    assert told["judges.math:final_answer"]["people"] == card


def test_the_lock_names_hashes_models_and_packages(run: Path, tmp_path: Path) -> None:
    publish(run, f"{tmp_path}/out/")
    lock = orjson.loads((tmp_path / "out" / "v1.0" / "lock.json").read_bytes())
    source = run.parents[1] / "rows.jsonl"
    assert [one["file"] for one in lock["sources"]] == [source.name]
    assert {one["model"] for one in lock["models"]} == {"s", "t"}
    assert lock["packages"]["polars"]
    for path, known in lock["sha256"].items():
        assert sha256(tmp_path / "out" / "v1.0" / path) == known


@pytest.mark.skipif(
    not os.environ.get("GRISTMILL_CROISSANT_PYTHON"),
    reason="GRISTMILL_CROISSANT_PYTHON names no Python with mlcroissant",
)
def test_mlcroissant_accepts_the_description_and_reads_every_row(run: Path, tmp_path: Path) -> None:
    told = publish(run, f"{tmp_path}/out/")
    script = (
        "import sys, json, mlcroissant as m; d = m.Dataset(jsonld=sys.argv[1]); assert not d.metadata.issues.errors;"
        "json.dump({r.id: sum(1 for _ in d.records(r.id)) for r in d.metadata.record_sets}, sys.stdout)"
    )
    command = [
        os.environ["GRISTMILL_CROISSANT_PYTHON"],
        "-c",
        script,
        str(tmp_path / "out" / "v1.0" / "croissant.json"),
    ]
    counts = orjson.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert counts == {f"{name}-{split}": n for name, splits in told["rows"].items() for split, n in splits.items()}


def test_every_field_of_the_description_is_a_column_of_its_files(run: Path, tmp_path: Path) -> None:
    publish(run, f"{tmp_path}/out/")
    told = orjson.loads((tmp_path / "out" / "v1.0" / "croissant.json").read_bytes())
    for records in told["recordSet"]:
        config, split = records["@id"].rsplit("-", 1)
        schema = pl.read_parquet_schema(tmp_path / "out" / "v1.0" / "data" / config / split / "00000.parquet")
        assert [one["@id"].removeprefix(f"{records['@id']}/") for one in records["field"]] == list(schema)
    hashes = {one["@id"]: one["sha256"] for one in told["distribution"] if "sha256" in one}
    assert hashes == orjson.loads((tmp_path / "out" / "v1.0" / "lock.json").read_bytes())["sha256"]


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("nowhere", "is no place to publish to: expected org/name"),
        ("a/b/c", "is no place to publish to"),
        ("nosuch://bucket/x", "nosuch"),
    ],
)
def test_a_target_that_is_none_is_told_without_a_traceback(run: Path, to: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "publish", str(run), "--to", to],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_words_name_the_configs_and_how_to_load_them(run: Path, tmp_path: Path) -> None:
    told = words(publish(run, f"{tmp_path}/out/"))
    assert "v1.0: published" in told
    assert "load_dataset(" in told
    assert words(unpublish(f"{tmp_path}/out/", "v1.0", "a mistake")).endswith("withdrawn (a mistake)")
