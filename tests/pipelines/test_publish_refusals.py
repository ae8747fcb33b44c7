"""What may not be published is refused by name, and a person can insist with a reason that the card gives."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import yaml

from pipelines.licences import stated
from pipelines.publish import publish
from schemas.errors import PublishError
from tests.pipelines.hub_stub import Hub
from tests.pipelines.publishing import NAME, made

# httpx's word to huggingface_hub, which it is for to mend
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
SECRET = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


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
