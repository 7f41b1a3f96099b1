"""Whether the store is of the published log's time: asked by every process before it sends, also by those that do not publish.

A database restored from a dump, or a standby that lags and has taken over, lacks what was told since: it would be told again.
"""

from __future__ import annotations

from pathlib import Path

from daemon.audit.checkpoint import VerifierKey, open_checkpoint
from daemon.audit.folder import folder_reader
from daemon.errors import ConfigError
from daemon.heads import LogBroken
from daemon.publish import check_store
from daemon.store import trail
from daemon.store.db import Store


def hold_against(log: Path, origin: str, store: Store) -> None:
    """Hold a store against the checkpoint in the log's folder. Raises ConfigError where the store lacks records of it, has others,
    or the folder is not there although records have an index; the way out is named."""
    source = trail.TrailStore(store)
    read = folder_reader(log)
    try:
        note = read("checkpoint")
    except FileNotFoundError:
        if (
            not source.size() or (log / "tmp").is_dir()
        ):  # nothing was ever published, or the first publication is under way
            return
        raise ConfigError(
            f"log folder {log}: found no checkpoint, expected the folder that all processes share"
        ) from None
    keys = [VerifierKey(origin, key.public) for key in store.keyring.signing_keys]
    try:
        check_store(source, read, open_checkpoint(note, keys).size)
    except (LogBroken, ValueError, FileNotFoundError) as reason:
        raise ConfigError(
            f"log {origin}: {reason}. Nothing is sent: bring the newest database back, or hold this one against the log "
            "(`duenotice restore --reconcile`)"
        ) from None
