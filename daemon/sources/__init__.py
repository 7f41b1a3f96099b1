"""Readers of back-office systems: SQL databases, JSON over HTTP, and CSV, DBF and OFD files. See README.md."""

from __future__ import annotations

from daemon.sources.config import SourceConfig
from daemon.sources.reading import HEADER, NotAskable, NotReady, Reading, Secrets, Source

__all__ = ["HEADER", "NotAskable", "NotReady", "Reading", "Secrets", "Source", "SourceConfig", "open_source"]


def open_source(name: str, config: SourceConfig, secrets: Secrets) -> Source:
    """The source of that name; opens no connection and no file yet. `secrets` is asked for `url_file` and `token_file` only.

    sqlalchemy is imported only when the source is a database. Raises ConfigError.
    """
    if config.type == "sql":
        from daemon.sources.sql import SqlSource

        return SqlSource(name, config, secrets)
    if config.type == "http":
        from daemon.sources.http import HttpSource

        return HttpSource(name, config, secrets)
    from daemon.sources.files import FileSource

    return FileSource(name, config)
