"""A published folder loads, is withdrawn, and tells where its data come from and how good their judges are."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from pipelines.publish import publish, unpublish, words
from pipelines.store import sha256


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


def test_the_words_name_the_configs_and_how_to_load_them(run: Path, tmp_path: Path) -> None:
    told = words(publish(run, f"{tmp_path}/out/"))
    assert "v1.0: published" in told
    assert "load_dataset(" in told
    assert words(unpublish(f"{tmp_path}/out/", "v1.0", "a mistake")).endswith("withdrawn (a mistake)")
