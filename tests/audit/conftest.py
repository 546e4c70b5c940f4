"""Logs in temporary folders, and decisions that no model has to compute."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from r2t2_core.audit.access import Principal
from r2t2_core.audit.recorder import Recorder
from r2t2_core.decision import Decision
from r2t2_core.settings import Settings
from tests.audit.decisions import PICTURE, make_decision


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def recorder(settings: Settings) -> Iterator[Recorder]:
    made = Recorder(settings)
    yield made
    made.log.database.close()


@pytest.fixture
def who() -> Principal:
    return Principal("ada", "local", "test")


@pytest.fixture
def record(recorder: Recorder, who: Principal) -> Callable[..., Decision]:
    """Record a made-up decision and return it."""

    def add(picture: bytes = PICTURE, **given: object) -> Decision:
        decision = make_decision(picture=picture, **given)
        recorder.record_decision(decision, picture, principal=who, purpose="test")
        return decision

    return add


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of our own from Debian's package; its tests are left out where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        if os.environ.get("R2T2_REQUIRE_POSTGRES"):
            pytest.fail("PostgreSQL is asked for, but not installed")
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    programs = found[-1].parent
    root = tmp_path_factory.mktemp("postgres")
    for folder in (root, *root.parents[:2]):
        folder.chmod(0o755)
    # The server refuses to run as root.
    as_owner = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if as_owner:
        shutil.chown(root, "postgres")
    data, socket = root / "data", root / "socket"
    run = [*as_owner, str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "r2t2"]
    subprocess.run(run, check=True, capture_output=True, timeout=120)
    subprocess.run([*as_owner, "mkdir", str(socket)], check=True)
    control = [*as_owner, str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", str(root / "log")]
    options = f"-c listen_addresses='' -c unix_socket_directories={socket}"
    subprocess.run([*control, "-o", options, "start"], check=True, capture_output=True, timeout=120)
    try:
        yield f"postgresql://r2t2@/postgres?host={socket}"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, capture_output=True)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def any_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings with each kind of database, an empty one every time."""
    if request.param == "sqlite":
        return Settings(data_dir=tmp_path / "data")
    return Settings(data_dir=tmp_path / "data", database_url=fresh_database(request))


def fresh_database(request: pytest.FixtureRequest) -> str:
    """Make an empty database on the server and return its address."""
    import psycopg

    address = request.getfixturevalue("postgres")
    name = "t" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
    return address.replace("/postgres?", f"/{name}?")
