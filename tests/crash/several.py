"""`python -m tests.crash.several`: three `run --role deliver`, a `poll`, a `web` on one PostgreSQL, disturbed while they deliver.

Backends are ended by the server, a sender is stopped by SIGSTOP past its lease and goes on, another is killed and started again.
The gateway (tests/bench/sink.py) honours message ids and keeps a ledger, which is held against the store.
"""

from __future__ import annotations

import argparse
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from sqlalchemy import create_engine, func, select, text

from daemon import log
from daemon.audit.checkpoint import VerifierKey
from daemon.audit.folder import verify_folder
from daemon.clock import RealClock
from daemon.report.sheets_live import sheets_of_store
from daemon.store.db import Store
from daemon.store.tables import attempts, messages
from tests import postgres
from tests.bench import delivering
from tests.bench.sink import CHATBOT
from tests.builders_store import key_file, keyring
from tests.crash.accounted import unaccounted

SENDERS = ("d1", "d2", "d3")
LEASE, TIMEOUT = 2.0, 1.0
LATE_ANSWER = "an answer came after its lease was over"
"""What a settle that its fence refuses says in the log."""

CONFIG = """\
node: {node}
state: {folder}/state
{store}
keys: {{file: keys.json}}
trail: {{origin: test.example/trail, folder: {folder}/log, heads: {folder}/heads/heads.db, every: 2s}}
rules: {{folder: {folder}/rulebook, unsigned: allow}}
web: {{port: {port}}}
polls: {{children: 1, urgent: 0}}
deliver: {{every: 1s, lease: 2s}}
"""
CHANNELS = f"""\
gateways:
  bulk:
    dialect: ctcu
    root: http://127.0.0.1:{{sink}}
    chatbot_id: {CHATBOT}
    app_id: a
    app_key_file: app-key
    callback_token_file: callback-token
    connections: 20
    timeout: 1s
    doubt_wait: 1s
    repeat: 'yes'
    signature: 示例证券
channels: {{{{rcs: [bulk], sms: [bulk]}}}}
"""


@dataclass
class Site:
    """An installation with messages queued, and its processes by node."""

    folder: Path
    url: str
    port: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def lay_out(
        self,
        sink: int,
        nodes: Sequence[str] = ("p1", "w1", *SENDERS),
        files: Mapping[str, bytes] = MappingProxyType(delivering.files()),
    ) -> None:
        """Write what each node is configured by, and the rulebook. Without a URL the store is SQLite."""
        rulebook = self.folder / "rulebook"
        for name, content in files.items():
            (rulebook / name).parent.mkdir(parents=True, exist_ok=True)
            (rulebook / name).write_bytes(content)
        (self.folder / "heads").mkdir()
        store = "store: {url_file: url}" if self.url else ""
        for node in nodes:
            place = self.folder / node
            place.mkdir()
            port = self.port if node in ("w1", "a1") else 0
            said = CONFIG.format(node=node, folder=self.folder, store=store, port=port)
            (place / "duenotice.yaml").write_text(said)
            (place / "channels.yaml").write_text(CHANNELS.format(sink=sink))
            source = f"sources: {{counter: {{type: sql, url: 'sqlite:///{self.folder}/counter.sqlite'}}}}\n"
            (place / "sources.yaml").write_text(source)
            (place / "carriers.yaml").write_text("carriers: {}\n")
            secrets = {
                "url": self.url,
                "keys.json": key_file().decode(),
                "app-key": "k",
                "callback-token": delivering.TOKEN,
            }
            for name, secret in secrets.items():
                (place / name).write_text(secret)
                (place / name).chmod(0o600)

    def start(self, node: str) -> None:
        """Start a node's process; its log grows in a file of the node's name."""
        role = {"p": "poll", "w": "web", "d": "deliver", "a": "all"}[node[0]]
        config = self.folder / node / "duenotice.yaml"
        argv = [sys.executable, "-m", "daemon.cli", "--config", str(config), "run", "--role", role]
        with (self.folder / f"{node}.log").open("ab") as out:
            self.processes[node] = subprocess.Popen(argv, stdout=out, stderr=out)

    def log_of(self, node: str) -> str:
        """Everything the processes of a node have said."""
        return (self.folder / f"{node}.log").read_text()

    def end(self) -> dict[str, int]:
        """SIGTERM to all; each one's exit code."""
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        return {node: process.wait(60) for node, process in self.processes.items()}

    def kill(self) -> None:
        """SIGKILL to what still runs."""
        for process in self.processes.values():
            process.kill()
            process.wait()


@contextmanager
def laid_out(folder: Path, count: int, url: str) -> Iterator[tuple[Site, int]]:
    """An installation, all processes running, and the port of its gateway."""
    now = RealClock().now()
    store, world = delivering.stocked(folder, count, now, url=url)
    delivering.make_notices(store, world, now)
    store.close()
    site = Site(folder, url, free_port())
    with delivering.sink(site.port) as sink:
        site.lay_out(sink)
        for node in ("p1", "w1", *SENDERS):
            site.start(node)
        try:
            yield site, sink
        finally:
            site.kill()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@dataclass
class Found:
    """What a run came to. `sent`, `tried`: requests at the gateway, and attempts of ours, by message id; `silent`: attempts that
    did not begin because their lease was nearly over; `late`: settles that their fence refused."""

    seconds: float
    states: dict[str, int]
    sent: dict[str, int]
    tried: dict[str, int]
    silent: int
    late: int
    disturbed: dict[str, int]
    exits: dict[str, int]
    trail: list[str]

    def wrong(self, count: int) -> list[str]:
        """What must not be: lost, doubled, or sent without an attempt of ours."""
        found = [] if self.states == {"delivered": count} else [f"messages ended as {self.states}"]
        lost, strange = self.tried.keys() - self.sent.keys(), self.sent.keys() - self.tried.keys()
        unrecorded = [id for id, times in self.sent.items() if times > self.tried.get(id, 0)]
        found += [f"{len(lost)} lost"] if lost else []
        found += [f"{len(strange)} ids that are not ours, so their recipients have two"] if strange else []
        found += [f"{len(unrecorded)} with more requests than attempts"] if unrecorded else []
        found += [f"{node} ended with {code}" for node, code in self.exits.items() if code]
        return found + self.trail

    def __str__(self) -> str:
        again = sum(self.sent.values()) - len(self.sent)
        return (
            f"{len(self.sent)} ids in {self.seconds:.0f} s, {sum(self.sent.values())} requests ({again} repeats of an id), "
            f"{sum(self.tried.values())} attempts, {self.silent} not begun because the lease was nearly over, {self.late} settles "
            f"refused by their fence; {self.disturbed}; exit codes {self.exits}"
        )


class Disturber:
    """What happens to the processes, drawn from a seed."""

    def __init__(self, site: Site, seed: int) -> None:
        self.site, self.rng = site, random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.engine = create_engine(site.url, isolation_level="AUTOCOMMIT")

    def states(self) -> dict[str, int]:
        """How many messages are in which state."""
        with self.engine.connect() as connection:
            query = select(messages.c.state, func.count().label("count")).group_by(messages.c.state)
            return {row.state: row.count for row in connection.execute(query)}

    def step(self) -> None:
        """One disturbance."""
        what = self.rng.choice(("backends", "backends", "stop", "kill"))
        getattr(self, what)()
        self.counts[what] += 1

    def backends(self) -> None:
        """About half of all connections are ended by the server, in the middle of whatever they do."""
        others = text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND pid % 2 = :bit"
        )
        with self.engine.connect() as connection:
            connection.execute(others, {"bit": self.rng.randrange(2)})

    def stop(self) -> None:
        """A sender stands still for longer than its lease."""
        process = self.site.processes[self.rng.choice(SENDERS)]
        process.send_signal(signal.SIGSTOP)
        time.sleep(LEASE + 1.0)
        process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """A sender is killed and started again."""
        node = self.rng.choice(SENDERS)
        self.site.processes[node].kill()
        self.site.processes[node].wait()
        self.site.start(node)

    def mend(self) -> None:
        """What systemd does: a process that ended is started again."""
        for node, process in list(self.site.processes.items()):
            if process.poll() is not None:
                if process.returncode in (2, 78):
                    raise RuntimeError(self.site.log_of(node))
                self.counts[f"{node} ended with {process.returncode}"] += 1
                self.site.start(node)


def run(folder: Path, count: int, seed: int = 0, patience: float = 600.0) -> Found:
    """Deliver `count` messages, disturbed every second while more than a tenth of them wait."""
    log.start("ERROR")
    with laid_out(folder, count, postgres.database()) as (site, sink):
        disturber, begun = Disturber(site, seed), time.monotonic()
        states = disturber.states()
        while set(states) != {"delivered"} and time.monotonic() - begun < patience:
            disturber.mend()
            if count > states.get("queued", 0) > count // 10:
                disturber.step()
            if sys.stderr.isatty():
                print(f"\r\x1b[K{states}", end="", file=sys.stderr, flush=True)
            time.sleep(1.0)
            states = disturber.states()
        seconds = time.monotonic() - begun
        arrivals, exits = delivering.arrivals_of(sink), site.end()
        store = Store.open(folder / "state", keyring=keyring(), node="look", url=site.url)
        with store.read() as tx:
            rows = tx.execute(select(messages.c.platform_id, messages.c.tries))
            tried = {row.platform_id: row.tries for row in rows}
            silent = tx.execute(select(func.count()).where(attempts.c.code == "lease_over")).scalar() or 0
        keys = [VerifierKey("test.example/trail", key.public) for key in store.keyring.signing_keys]
        report = verify_folder(folder / "log", keys, seen=None, sheets=sheets_of_store(store))
        trail = [f"{check.name}: {check.detail}" for check in report.checks if check.ok is False]
        trail += unaccounted(folder / "log", arrivals)
        store.close()
        late = sum(site.log_of(node).count(LATE_ANSWER) for node in SENDERS)
        sent = dict(Counter(id for id, _ in arrivals))
        return Found(seconds, states, sent, tried, silent, late, dict(disturber.counts), exits, trail)


def main() -> int:
    """Run once and say what came of it; exit 1 where something must not be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a new folder in which everything is left")
    args = parser.parse_args()
    if args.keep is not None:
        args.keep.mkdir()
    with tempfile.TemporaryDirectory(prefix="duenotice-several-") as name:
        found = run(args.keep or Path(name), args.messages, args.seed)
    print(found)
    wrong = found.wrong(args.messages)
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
