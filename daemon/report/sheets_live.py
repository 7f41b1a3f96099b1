"""The sealed sheets of a live store as plain bytes, for the check that hashes what a poll's record names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from daemon.audit.verify import Sheets
from daemon.report import queries
from daemon.report.replay import sheet_key
from daemon.security.envelope import aad
from daemon.security.stream import open_file
from daemon.store.db import Store
from daemon.store.erasure import kept_no_more


def sheets_of_store(store: Store) -> Sheets:
    """Opens each sheet that a record names. A sheet that was erased when its time was over reads as None; one that
    no row names, or whose file is gone, raises FileNotFoundError; one that was changed, SealBroken."""

    def read(named: Mapping[str, Any]) -> Iterable[bytes] | None:
        with store.read() as tx:
            row = queries.sheet_by_hash(tx, str(named["sha256"]))
        if row is None:
            raise FileNotFoundError(str(named.get("file", named["sha256"])))
        path, key = store.folder / row["path"], None if kept_no_more(row) else sheet_key(store, row)
        return (
            None
            if key is None
            else [open_file({key.id: key}.__getitem__, path, aad("sheets", "file", path.name, None))]
        )

    return read
