"""The databases that the ledger's tests run on, an empty ledger in each, and a long path for temporary files."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql

from generators.ledger import TABLES, Ledger, open_ledger

USER = "postgres"  # PostgreSQL does not run as root; Debian's package makes this user


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Start Debian's PostgreSQL in a temporary folder and give the URL of an empty database; skip where it is not."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    programs = [shutil.which("pg_ctl"), *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")))]
    found = next((Path(program).resolve().parent for program in reversed(programs) if program), None)
    if found is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    as_root: dict[str, Any] = {}
    if os.geteuid() == 0:
        if USER not in {one.pw_name for one in pwd.getpwall()}:
            pytest.skip(f"PostgreSQL does not run as root, and there is no user {USER}")
        as_root = {"user": USER, "group": pwd.getpwnam(USER).pw_gid, "extra_groups": []}
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # a socket's path may have 107 bytes; pytest's folders are longer
    try:
        if as_root:
            shutil.chown(folder, USER)
        data, log = str(folder / "data"), str(folder / "log")
        quick = "-c listen_addresses='' -c fsync=off"

        def run(program: str, *arguments: str) -> None:
            command = [str(found / program), "-D", data, *arguments]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, **as_root)

        run("initdb", "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync")
        run("pg_ctl", "-l", log, "-o", f"{quick} -k {folder}", "-w", "start")
        try:
            yield f"postgresql+psycopg://{USER}@/postgres?host={folder}"
        finally:
            run("pg_ctl", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the place of an empty ledger, in both databases."""
    if request.param == "sqlite":
        return str(tmp_path / "deep" / "ledger.db")
    url: str = request.getfixturevalue("postgresql")
    engine = sql.create_engine(url)
    TABLES.drop_all(engine)
    engine.dispose()
    return url


@pytest.fixture
def ledger(where: str) -> Iterator[Ledger]:
    """Give an empty ledger, in both databases."""
    ledger = open_ledger(where)
    yield ledger
    ledger.close()


@pytest.fixture
def _temporary_files_go_to_a_long_path_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ("long" * 20)  # as batch systems give it: a socket's path there would be too long
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
