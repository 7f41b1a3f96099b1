"""Stores for tests: a fixed key file, and a fresh SQLite store copied from one that was migrated once."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import shutil
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from daemon.security.keyring import Keyring
from daemon.store.db import Store
from daemon.store.engine import FILE_NAME

NOW = datetime(2024, 2, 1, 0, 0, tzinfo=UTC)
DAY = date(2024, 2, 1)
SET = "5e" * 32


def at(hours: float) -> datetime:
    """A moment so many hours after NOW."""
    return NOW + timedelta(hours=hours)


def key_file(*, index: tuple[str, ...] = ("index",), keks: tuple[str, ...] = ("kek",)) -> bytes:
    """A key file whose keys are derived from their names, primary first."""

    def entry(name: str, alg: str) -> dict[str, str]:
        id, secret = hashlib.md5(name.encode()).hexdigest(), hashlib.sha256(name.encode()).digest()
        return {"id": id, "alg": alg, "key": base64.b64encode(secret).decode()}

    lists = {
        "keks": [entry(name, "aes-256-gcm") for name in keks],
        "index": [entry(name, "hmac-sha256") for name in index],
        "signing": [entry("signing", "ed25519")],
    }
    return json.dumps({"v": 1} | lists).encode()


def keyring(**names: tuple[str, ...]) -> Keyring:
    return Keyring.parse(key_file(**names))


@functools.cache
def _template() -> bytes:
    folder = Path(tempfile.mkdtemp(prefix="duenotice-test-"))
    try:
        store = Store.open(folder, keyring=keyring(), node="n1")
        store.close()
        return (folder / FILE_NAME).read_bytes()
    finally:
        shutil.rmtree(folder)


def new_store(folder: Path, *, url: str = "") -> Store:
    """A new store in `folder`, migrated, with the keys of `keyring()`; with a url, in that database."""
    if not url:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE_NAME).write_bytes(_template())
        (folder / FILE_NAME).chmod(0o600)
    return Store.open(folder, keyring=keyring(), node="n1", url=url)


def reopen(store: Store, **names: tuple[str, ...]) -> Store:
    """The same store opened again, as another process would."""
    url = "" if store.engine.dialect.name == "sqlite" else store.engine.url.render_as_string(hide_password=False)
    return Store.open(store.folder, keyring=keyring(**names), node="n1", url=url)
