"""`duenotice keys init|status|rotate|rewrap|shred`: the keys of an installation, changed while it runs."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from daemon.cli import Usage, place
from daemon.cli.place import screen_of
from daemon.clock import RealClock, from_micros

if TYPE_CHECKING:
    from daemon.cli.screen import Screen
    from daemon.clock import Clock
    from daemon.settings import Settings
    from daemon.store.db import Store, Tx

T = TypeVar("T")
PATIENCE = timedelta(seconds=2)
"""How long a message may have waited to be claimed; past that the work on keys rests."""
STUCK = 10.0
REST = 0.5
ALGS = ("aes-256-gcm", "sm4-gcm")
HELD = {"clients": ("客户", "clients"), "months": ("月份", "months"), "tokens": ("令牌", "tokens")}


def add(parsers: Any) -> None:
    """The parser of `keys`."""
    commands = place.subparsers(
        parsers, "keys", "The key file, what lies under its keys, and their rotation while the daemon runs."
    )
    init = commands.add_parser("init", help="a new key file with mode 0600; none is ever overwritten")
    init.add_argument("file", type=Path, metavar="FILE")
    init.add_argument(
        "--alg", choices=ALGS, default=ALGS[0], help="sm4-gcm: the profile of commercial cryptography, with SM3"
    )
    init.set_defaults(go=go_init)
    status = commands.add_parser(
        "status", help="every key of the file by its id, what lies under it, a rotation under way"
    )
    place.listing(status)
    status.set_defaults(go=go_status)
    text = "a new primary key-encryption key in the key file; what is made from now on lies under it"
    rotate = commands.add_parser(
        "rotate", help=text, description=f"{text}. Then `keys rewrap`, then `keys shred` for the older key."
    )
    rotate.add_argument(
        "--alg", choices=ALGS, help="default: that of the primary; another one is a change of algorithm"
    )
    place.by_name(rotate)
    rotate.set_defaults(go=go_rotate)
    text = (
        "bring everything that lies under an older key-encryption key under the primary; goes on where it was stopped"
    )
    rewrap = commands.add_parser("rewrap", help=text, description=f"{text}. It rests while messages wait to be sent.")
    rewrap.add_argument(
        "--data", action="store_true", help="also a new data key for every client, its values sealed again under it"
    )
    place.by_name(rewrap)
    rewrap.set_defaults(go=go_rewrap)
    shred = commands.add_parser("shred", help="destroy an older key-encryption key under which nothing lies any more")
    shred.add_argument("id", type=key_id, metavar="ID", help="its id, as `keys status` lists it")
    place.by_name(shred)
    shred.set_defaults(go=go_shred)


def key_id(text: str) -> bytes:
    """A key's id from its 32 hexadecimal digits, or an argparse error."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 16:
        raise argparse.ArgumentTypeError("expected a key id of 32 hexadecimal digits, as `keys status` lists them")
    return found


def go_init(args: argparse.Namespace) -> int:
    """Make the file. Raises KeyUnusable where there is one."""
    from daemon.security.envelope import Alg
    from daemon.security.keyring import Keyring

    screen = screen_of(args)
    primary = Keyring.create(args.file, Alg.of(args.alg)).primary
    screen.line(
        screen.say(
            f"已建立密钥文件 {args.file}（权限 0600），主密钥 {primary.id.hex()}（{args.alg}）；请另存一份，勿与数据库备份放在一起",
            f"key file {args.file} (mode 0600), primary {primary.id.hex()} ({args.alg}); keep a copy, apart from the backups",
        )
    )
    return 0


def go_status(args: argparse.Namespace) -> int:
    """A table of keys; 1 while something lies under an older key or a rotation is under way."""
    from daemon.store import rotation

    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store, store.read() as tx:
        wraps, data, keyring = rotation.wrapped_under(tx), rotation.data_rotation(tx), store.keyring
    rows: list[dict[str, Any]] = []
    for number, id in enumerate(keyring.kek_ids()):
        rows.append(_row("kek", id, keyring.kek(id).alg.label, primary=not number) | {"wraps": wraps.get(id, {})})
    rows += [_row("index", key.id, key.alg, primary=not number) for number, key in enumerate(keyring.index_keys)]
    rows += [
        {"use": "signing", "id": key.public.hex(), "alg": "ed25519", "primary": not number}
        for number, key in enumerate(keyring.signing_keys)
    ]
    under_way = None if data is None else {"clients_done": data.clients, "values": data.values, "by": data.by}
    if args.json:
        screen.json({"keys": rows, "data_key_rotation": under_way})
    else:
        _show(screen, rows)
        if data is not None:
            screen.line(
                screen.say(
                    f"数据密钥轮换未完成：已换 {data.clients} 个客户；以 `duenotice keys rewrap --data` 继续",
                    f"a rotation of data keys is under way, {data.clients} clients done: go on with `duenotice keys rewrap --data`",
                )
            )
    older = any(row.get("wraps") and not row["primary"] for row in rows)
    return 1 if older or data is not None else 0


def _row(use: str, id: bytes, alg: str, *, primary: bool) -> dict[str, Any]:
    return {"use": use, "id": id.hex(), "alg": alg, "primary": primary}


def _show(screen: Screen, rows: list[dict[str, Any]]) -> None:
    uses = {
        "kek": ("密钥加密密钥", "wraps keys"),
        "index": ("盲索引", "blind index"),
        "signing": ("链签名", "signs the log"),
    }
    heads = (
        ("用途", "标识", "算法", "地位", "其下")
        if screen.lang == "zh"
        else ("for", "id", "algorithm", "stands", "under it")
    )
    table = []
    for row in rows:
        held = row.get("wraps", {})
        under = ", ".join(f"{count} {screen.label(HELD, name)}" for name, count in sorted(held.items()))
        stands = screen.say("主", "primary") if row["primary"] else screen.say("旧", "older")
        table.append((screen.label(uses, row["use"]), row["id"], row["alg"], stands, under or "-"))
    screen.table(heads, table)


def go_rotate(args: argparse.Namespace) -> int:
    """Put the key into the file, record it. Raises Usage where the file is a credential, which no command can change."""
    from daemon.security import keyfile
    from daemon.security.envelope import Alg
    from daemon.store import rotation

    settings = place.settings_of(args)
    screen = screen_of(args)
    path = _changeable(settings)
    with place.store_of(settings) as store:
        alg = Alg.of(args.alg) if args.alg else store.keyring.primary.alg
    keyfile.add_primary(path, "keks", keyfile.new_entry(alg.label, alg.key_bytes))
    with place.store_of(settings) as store, store.write() as tx:
        record = rotation.begin(tx, by=f"person:{args.by}", reason=args.reason, now=place.now())
        primary = store.keyring.primary
    screen.line(
        screen.say(
            f"新主密钥 {primary.id.hex()}（{alg.label}）；记录 {record}。下一步：duenotice keys rewrap",
            f"new primary {primary.id.hex()} ({alg.label}); record {record}. Next: duenotice keys rewrap",
        )
    )
    return 0


def _changeable(settings: Settings) -> Path:
    from daemon.settings import credentials_folder

    credentials = credentials_folder(os.environ)
    path = settings.secret_path(settings.keys.file, credentials)
    if credentials is not None and path.parent == credentials:
        raise Usage(f"{path}: a credential of the service, which only its source can change; see systemd/README.md")
    return path


def go_rewrap(args: argparse.Namespace) -> int:
    """Step by step, each step a transaction; killed at any moment, the same command goes on."""
    from daemon.store import rotation

    settings = place.settings_of(args)
    screen = screen_of(args)
    actor, now = f"person:{args.by}", place.now
    with place.store_of(settings) as store:
        with store.read() as tx:
            wraps, primary = rotation.wrapped_under(tx), store.keyring.primary.id
        total = sum(sum(held.values()) for kek, held in wraps.items() if kek != primary)
        done = after = 0
        pace = Pace(store, RealClock())
        while True:
            step, last = pace.step(partial(rotation.rewrap, after=after))
            if not step and not after:
                break
            done, after = done + step, last if step else 0
            screen.progress(screen.say(f"重新包裹 {done}/{total}", f"wrapped again {done}/{total}"))
        if done:
            with store.write() as tx:
                rotation.rewrapped(tx, done, by=actor, reason=args.reason, now=now())
        screen.progress("")
        screen.line(screen.say(f"重新包裹了 {done} 项", f"{done} keys wrapped again under the primary"))
        if args.data:
            _data_keys(store, screen, actor, args.reason)
    return 0


def _data_keys(store: Store, screen: Screen, actor: str, reason: str) -> None:
    from daemon.store import rotation

    with store.write() as tx:
        under_way = rotation.begin_data_keys(tx, by=actor, reason=reason, now=place.now())
    pace = Pace(store, RealClock())
    while under_way.after < under_way.until:
        under_way = pace.step(partial(rotation.rotate_data_keys, rotation=under_way))
        screen.progress(
            screen.say(
                f"已换 {under_way.clients} 个客户的数据密钥", f"data keys of {under_way.clients} clients changed"
            )
        )
    with store.write() as tx:
        rotation.data_keys_rotated(tx, under_way, by=actor, reason=reason, now=place.now())
    screen.progress("")
    screen.line(
        screen.say(
            f"{under_way.clients} 个客户换了数据密钥，{under_way.values} 个值重新加密",
            f"{under_way.clients} clients have new data keys, {under_way.values} values are sealed again",
        )
    )


class Pace:
    """Lets sending go first: a step waits while a message has waited for longer than `PATIENCE`. A message for which that lasts
    `STUCK` seconds waits for nobody here (no daemon runs, its gateway is closed), and is waited for no more."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._stuck: int | None = None

    def step(self, work: Callable[[Tx], T]) -> T:
        """One step, a transaction after which the lock is left as long as it was held."""
        self._wait()
        with self._store.write(yield_lock=True) as tx:
            return work(tx)

    def _wait(self) -> None:
        from daemon.store import rotation

        begun, first = self._clock.elapsed(), self._stuck
        while True:
            now = self._clock.now()
            with self._store.read() as tx:
                due = rotation.longest_due(tx, now)
            if due is None or due == self._stuck or now - from_micros(due) <= PATIENCE:
                return
            if due != first:
                begun, first = self._clock.elapsed(), due
            elif self._clock.elapsed() - begun >= STUCK:
                self._stuck = due
                return
            time.sleep(REST)


def go_shred(args: argparse.Namespace) -> int:
    """Record it, then take the key out of the file. Raises StoreConflict while anything lies under it."""
    from daemon.security import keyfile
    from daemon.store import rotation

    settings = place.settings_of(args)
    screen = screen_of(args)
    path = _changeable(settings)
    with place.store_of(settings) as store, store.write() as tx:
        record = rotation.retire(tx, args.id, by=f"person:{args.by}", reason=args.reason, now=place.now())
    keyfile.remove(path, args.id)
    screen.line(
        screen.say(
            f"密钥 {args.id.hex()} 已销毁；记录 {record}。备份里的密钥文件副本也须销毁，才算完成",
            f"key {args.id.hex()} is destroyed; record {record}. It is complete when copies of the key file are destroyed too",
        )
    )
    return 0
