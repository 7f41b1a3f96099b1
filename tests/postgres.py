"""A throwaway PostgreSQL server, started once in a test process, that gives each test an empty database.

Where no server is installed the test is skipped, or fails where `CI` is set. PostgreSQL does not run as root: then it
runs as the account `postgres`.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.builders_store import new_store

_numbers = itertools.count(1)


def binaries() -> Path | None:
    """The folder with the newest installed server's `initdb`; None where there is none."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return debian[-1].parent if debian else None


@functools.cache
def _server() -> str:
    """The address of this process's server, without a database. Nothing it writes outlives the process."""
    found = binaries()
    assert found is not None
    folder = Path(tempfile.mkdtemp(prefix="duenotice-pg-"))
    prefix: list[str] = []
    if os.getuid() == 0:
        account = pwd.getpwnam("postgres")
        os.chown(folder, account.pw_uid, account.pw_gid)
        prefix = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]

    def run(*command: str) -> None:
        done = subprocess.run(
            [*prefix, *command],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
        assert done.returncode == 0, done.stdout + done.stderr

    data = folder / "data"
    run(str(found / "initdb"), "-D", str(data), "-U", "duenotice", "-A", "trust", "-E", "UTF8", "--no-sync")
    # a socket in the folder, no port: nothing can collide; what it holds need not survive anything
    options = f"-k {folder} -c listen_addresses='' -c max_connections=200 -c fsync=off -c full_page_writes=off"
    control = str(found / "pg_ctl")
    run(control, "-D", str(data), "-w", "-l", str(folder / "server.log"), "-o", options, "start")

    def stop() -> None:
        subprocess.run([*prefix, control, "-D", str(data), "-m", "immediate", "stop"], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    return f"postgresql+psycopg://duenotice@/{{}}?host={folder}"


@functools.cache
def _template() -> str:
    """The name of a database in which a store has been opened once: copying it is quicker than migrating."""
    _make("migrated", "template0")
    with tempfile.TemporaryDirectory() as folder:
        new_store(Path(folder), url=_server().format("migrated")).close()
    return "migrated"


def _make(name: str, template: str) -> None:
    engine = create_engine(_server().format("postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    engine.dispose()


def needed() -> None:
    """Skip, or fail in CI, where no server is installed."""
    if binaries() is None:
        lacking = "no PostgreSQL server is installed (Debian: postgresql), expected initdb"
        if os.environ.get("CI"):
            pytest.fail(lacking)
        pytest.skip(lacking)


def database(*, empty: bool = False) -> str:
    """The SQLAlchemy address of a new database, with the tables of a store unless `empty`; as `needed` where there is none."""
    needed()
    name = f"test{next(_numbers)}"
    _make(name, "template0" if empty else _template())
    return _server().format(name)
