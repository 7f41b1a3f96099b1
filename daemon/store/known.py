"""What a process remembers of subjects: numbers by blind index, clients' keys. Bounded, and dropped after a shredding.

Filled only with what is committed. Kept apart from subjects.py so that the store can own one without knowing tables.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from daemon.security.envelope import Key
from daemon.security.keyring import ClientKeys

MAX_NUMBERS = 2_000_000
MAX_KEYS = 50_000


class Known:
    """Thread-safe. `epoch` and `keys_epoch` name the last shredding or alias, and the last step of a rotation, that
    this was filled after."""

    def __init__(self) -> None:
        self.epoch = ""
        self.keys_epoch = ""
        self.numbers: dict[str, dict[bytes, int]] = {}
        self.clients: dict[int, int] = {}
        self.months: dict[tuple[str, str], Key] = {}
        self._keys: OrderedDict[int, ClientKeys] = OrderedDict()
        self._lock = Lock()

    def renew(self, epoch: str) -> None:
        """Forget everything when the store's epoch has moved."""
        if epoch != self.epoch:
            with self._lock:
                self.epoch, self.numbers, self.clients, self.months = epoch, {}, {}, {}
                self._keys.clear()

    def renew_keys(self, epoch: str) -> bool:
        """Forget the keys when the store's keys have been rotated since; whether they have."""
        if epoch == self.keys_epoch:
            return False
        with self._lock:
            self.keys_epoch, self.months = epoch, {}
            self._keys.clear()
        return True

    def add_numbers(self, kind: str, found: dict[bytes, int]) -> None:
        """Remember numbers; past the bound all are forgotten first."""
        with self._lock:
            if sum(map(len, self.numbers.values())) + len(found) > MAX_NUMBERS:
                self.numbers = {}
            self.numbers.setdefault(kind, {}).update(found)

    def add_clients(self, found: dict[int, int]) -> None:
        """Remember whose each subject is."""
        with self._lock:
            if len(self.clients) + len(found) > MAX_NUMBERS:
                self.clients = {}
            self.clients.update(found)

    def keys(self, client: int) -> ClientKeys | None:
        """A client's keys, if they were used lately."""
        with self._lock:
            found = self._keys.get(client)
            if found is not None:
                self._keys.move_to_end(client)
            return found

    def add_keys(self, client: int, keys: ClientKeys) -> None:
        """Remember a client's keys; the one longest unused goes."""
        with self._lock:
            self._keys[client] = keys
            if len(self._keys) > MAX_KEYS:
                self._keys.popitem(last=False)
