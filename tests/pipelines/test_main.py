"""The command line as a shell uses it."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.__main__ import app


def test_a_reader_that_has_read_enough_is_no_error() -> None:
    command = [sys.executable, "-m", "pipelines", "check", "recipes/demo.toml", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        told = process.stderr.read()
    assert told == ""
    assert process.returncode == 1


def test_a_fault_that_a_user_can_mend_is_told_in_a_line() -> None:
    command = [sys.executable, "-m", "pipelines", "show", "nothing-like-it"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "mill: no finished run 'nothing-like-it': neither a run's folder, nor in runs; there are: "
    )
    assert done.stdout == ""


def test_one_rule_of_one_source_is_told_in_the_singular(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.jsonl").write_text('{"instruction": "Say it.", "output": "It."}\n')
    recipe = tmp_path / "one.toml"
    source = f'name = "one"\n[[sources]]\npath = "{tmp_path}/rows.jsonl"\n'
    recipe.write_text(f'{source}[[filters]]\nuse = "filters.length:words"\n')
    app(["check", str(recipe)], result_action="return_value")
    assert capsys.readouterr().out.endswith("no fault. It reads 1 source and applies 1 rule.\n")
