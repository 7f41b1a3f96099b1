"""`duenotice backup` while the daemon runs; `duenotice restore`: unpack one, hold it against the log, or try it out (`--drill`)."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli import Usage, place
from daemon.cli.place import screen_of
from daemon.errors import ConfigError

if TYPE_CHECKING:
    from daemon.backup import Manifest, Progress
    from daemon.cli.screen import Screen
    from daemon.reconcile import Reconciled
    from daemon.settings import Settings
    from daemon.store.db import Store

DOING = {
    "copy": ("复制数据库", "copying the database"),
    "pack": ("打包加密", "sealing"),
    "read": ("读回核验", "reading back"),
}


def add(parsers: Any) -> None:
    """The parsers of `backup` and `restore`."""
    text = "database, sheets and log as one sealed file, made while the daemon sends, and read back before it gets its name"
    backup = parsers.add_parser("backup", help=text, description=text)
    backup.add_argument(
        "out", type=Path, metavar="OUT", help="a file that is not there yet, or a folder: it is named by its time"
    )
    place.by_name(backup)
    backup.set_defaults(go=go_backup)
    restore = parsers.add_parser(
        "restore",
        help="unpack a backup, then hold it against the log; or try one out",
        description="Unpack a backup into an empty state folder; the daemon does not start on it before `--reconcile` has held it "
        "against the published log: what may have been told since is never told again, and is a person's task.",
    )
    restore.add_argument("file", nargs="?", type=Path, metavar="FILE", help="the backup to unpack")
    what = restore.add_mutually_exclusive_group()
    what.add_argument("--reconcile", action="store_true", help="hold the restored store against the published log")
    what.add_argument(
        "--drill", type=Path, metavar="FILE", help="read a backup whole, beside what runs; say what it lacks"
    )
    restore.add_argument(
        "--restored",
        action="store_true",
        help="with --reconcile: the database was brought back by other means (pg_dump, a copy of the disk)",
    )
    place.by_name(restore)
    restore.set_defaults(go=go_restore)


def _progress(screen: Screen) -> Progress:
    def told(what: str, done: int, whole: int) -> None:
        screen.progress(f"{screen.say(*DOING[what])} {100 * done // max(1, whole)} %")

    return told


def go_backup(args: argparse.Namespace) -> int:
    """Raises FileExistsError, ConfigError on a server's store."""
    from daemon import backup
    from daemon.store import trail

    settings = place.settings_of(args)
    screen, now = screen_of(args), place.now()
    if settings.store.url_file:
        raise ConfigError(
            "backup: found a store in PostgreSQL; its own pg_dump copies it, with `state` and the log's folder"
        )
    out: Path = args.out / f"duenotice-{now:%Y%m%dT%H%M%SZ}.backup" if args.out.is_dir() else args.out
    with place.store_of(settings) as store:
        with store.write() as tx:  # so that the copy has it too
            data = {"by": args.by, "reason": args.reason, "what": "backup"}
            trail.append(tx, "export", t=now, actor=f"person:{args.by}", data=data)
        state, log = settings.path(settings.state), settings.path(settings.trail.folder)
        made = backup.make(
            state, log, out, store.keyring, node=settings.node, origin=settings.trail.origin, now=now,
            progress=_progress(screen),
        )  # fmt: skip
    screen.progress("")
    size = out.stat().st_size / 1_000_000
    screen.line(screen.say(f"已备份并读回核验：{out}，{size:.1f} MB", f"backed up and read back: {out}, {size:.1f} MB"))
    screen.line(_members(screen, made))
    return 0


def _members(screen: Screen, made: Manifest) -> str:
    sheets = sum(name.startswith("sheets/") for name in made.members)
    log = sum(name.startswith("log/") for name in made.members)
    return screen.say(
        f"数据库 1 个，判定底稿 {sheets} 份，日志文件 {log} 个", f"1 database, {sheets} sheets, {log} files of the log"
    )


def go_restore(args: argparse.Namespace) -> int:
    """Unpack, reconcile or drill."""
    settings = place.settings_of(args)
    screen = screen_of(args)
    if args.restored and not args.reconcile:
        raise Usage("restore --restored: expected together with --reconcile")
    if args.reconcile:
        if args.file is not None:
            raise Usage("restore --reconcile: found a file, expected none: it works on the store that was unpacked")
        return _reconcile(args, settings, screen)
    if args.drill is not None:
        return _drill(args, settings, screen)
    if args.file is None:
        raise Usage("restore: expected FILE, --reconcile or --drill FILE")
    return _unpack(args, settings, screen)


def _unpack(args: argparse.Namespace, settings: Settings, screen: Screen) -> int:
    from daemon import backup

    state = settings.path(settings.state)
    found = backup.unpack(
        args.file, place.keyring_of(settings), state, settings.path(settings.trail.folder), _progress(screen)
    )
    screen.progress("")
    screen.line(_members(screen, found))
    screen.line(
        screen.say(
            f"已解出 {found.at} 的备份到 {state}。守护进程不会启动，直到 `duenotice restore --reconcile` 与已发布日志核对完毕",
            f"unpacked the backup of {found.at} into {state}; the daemon does not start before `duenotice restore --reconcile`",
        )
    )
    return 0


def _reconcile(args: argparse.Namespace, settings: Settings, screen: Screen) -> int:
    from daemon.heads import HeadStore
    from daemon.reconcile import reconcile

    with place.store_of(settings) as store, store.lock(restoring=True):
        found = reconcile(
            store,
            settings.path(settings.trail.folder),
            HeadStore(settings.path(settings.trail.heads)),
            settings.trail.origin,
            place.worlds(store),
            by=args.by,
            reason=args.reason,
            now=place.now(),
            restored_otherwise=args.restored,
            progress=lambda done, whole: screen.progress(
                screen.say(f"核对日志 {done}/{whole}", f"the log {done}/{whole}")
            ),
        )
    screen.progress("")
    _say(screen, found)
    return 0


def _say(screen: Screen, found: Reconciled) -> None:
    from daemon.cli import labels

    heads = ("项目", "数目") if screen.lang == "zh" else ("what", "count")
    rows: list[tuple[object, ...]] = [
        (screen.say("由日志补回的记录", "records taken over from the log"), found.records)
    ]
    for outcome, count in sorted(found.outcomes.items()):
        label = screen.label(labels.OUTCOMES, outcome)
        rows.append((screen.say(f"结束的通知：{label}", f"notices closed: {label}"), count))
    rows.append((screen.say("照常继续的通知", "notices that go on"), found.waiting))
    rows.append((screen.say("补回的拒绝", "refusals taken over"), found.refusals))
    rows.append((screen.say("重新销毁的客户", "clients shredded again"), found.shredded))
    rows += [(screen.say(f"停用的规则：{rule}", f"rule stopped: {rule}"), "") for rule in found.stopped]
    rows += [(screen.say(f"需重做：{kind}", f"to be done again: {kind}"), count) for kind, count in found.again.items()]
    screen.table(heads, rows)


def _drill(args: argparse.Namespace, settings: Settings, screen: Screen) -> int:
    """Unpack beside what runs, hold it against the published log, throw it away; that it was done is a record."""
    from daemon import backup
    from daemon.heads import HeadStore
    from daemon.reconcile import lacking
    from daemon.store.db import Store

    keyring = place.keyring_of(settings)
    with place.store_of(settings) as live:
        place.record_access(live, args, "drill")
    with backup.workplace(settings.path(settings.state), "drill.tmp") as work:
        state, log = work / "state", work / "log"
        found = backup.unpack(args.drill, keyring, state, log, _progress(screen))
        store: Store = Store.open(state, keyring=keyring, node="drill")
        try:
            heads = HeadStore(settings.path(settings.trail.heads))
            count = lacking(store, settings.path(settings.trail.folder), heads, settings.trail.origin)
        finally:
            store.close()
    screen.progress("")
    screen.line(_members(screen, found))
    screen.line(
        screen.say(
            f"{found.at} 的备份完好，与已发布日志一致；其后日志另有 {count} 条记录",
            f"the backup of {found.at} is whole and of this log's history; the log has {count} records after it",
        )
    )
    return 0
