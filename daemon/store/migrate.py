"""Brings a store to the newest schema, by the numbered migrations beside this module. The only user of Alembic."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection

from daemon.errors import ConfigError
from daemon.store.rows import revision

FOLDER = Path(__file__).parent / "migrations"


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's configuration, without a file: the scripts' folder and the connection to work on."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def newest() -> str:
    """The revision of the newest migration."""
    head = ScriptDirectory.from_config(configuration()).get_current_head()
    assert head is not None
    return head


def migrate(tx: Connection) -> None:
    """Run what is missing, inside the caller's transaction: all of it or nothing; a store up to date is left alone.

    Raises ConfigError when the store was written by a newer program.
    """
    found = revision(tx)
    if found == newest():
        return
    try:
        command.upgrade(configuration(tx), "head")
    except CommandError as reason:
        raise ConfigError(f"store schema {found!r}: expected one up to {newest()!r} ({reason})") from reason
