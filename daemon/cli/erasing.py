"""`duenotice clients restrict|hold|release|shred|purge`: two people restrict and shred one client's data; a legal hold stops both;
the database written anew, without traces."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from daemon.cli import Usage, place
from daemon.cli.place import screen_of

if TYPE_CHECKING:
    from daemon.store.db import Tx

DELAY = timedelta(days=30)
"""From a restriction to the day of shredding, where no other day is given."""


def add(commands: Any) -> None:
    """The parsers, under `clients`."""
    text = "restrict a client's data, the first of two steps to shredding: no marketing or education, revealed by no command"
    restrict = _command(commands, "restrict", text, go_restrict)
    restrict.add_argument(
        "--until", type=place.day, metavar="DATE", help="may be shredded from this day on; default: in 30 days"
    )
    _command(commands, "hold", "a legal hold: the client is not shredded while it stands", go_hold)
    release = _command(commands, "release", "end a restriction, or with --legal-hold a legal hold", go_release)
    release.add_argument("--legal-hold", action="store_true")
    text = "destroy a restricted client's keys and every index that leads to it; by another person than restricted it"
    shred = _command(
        commands,
        "shred",
        f"{text}. This cannot be undone; a client that the back office still lists is a new one to the next poll",
        go_shred,
    )
    shred.add_argument(
        "--waiver", type=place.sha256, metavar="SHA256",
        help="of the signed paper that allows it before the time of keeping (20 years) is over",
    )  # fmt: skip
    text = "write the database anew after shredding, without the traces that a database leaves between its rows"
    more = "Writers wait meanwhile: do it at night, or stopped. Needs the room of a second copy."
    purge = commands.add_parser("purge", help=text, description=f"{text}. {more}")
    place.by_name(purge)
    purge.set_defaults(go=go_purge)


def _command(commands: Any, name: str, text: str, go: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("client", metavar="KEY", help="the client, by its key in the back office, or as #NUMBER")
    place.by_name(parser)
    parser.set_defaults(go=go)
    return parser


def go_restrict(args: argparse.Namespace) -> int:
    """Raises StoreConflict where it is restricted already."""
    from daemon.store import restrictions

    until = args.until or place.today() + DELAY

    def work(tx: Tx, client: int) -> str:
        return restrictions.restrict(tx, client, until=until, by=args.by, reason=args.reason, now=place.now())

    return _do(
        args,
        work,
        (f"已限制处理；{until} 起可由另一人销毁", f"restricted; another person may shred it from {until} on"),
    )


def go_hold(args: argparse.Namespace) -> int:
    """Raises StoreConflict where a hold stands."""
    from daemon.store import restrictions

    def work(tx: Tx, client: int) -> str:
        return restrictions.hold(tx, client, by=args.by, reason=args.reason, now=place.now())

    return _do(args, work, ("已置于法律保全", "under a legal hold"))


def go_release(args: argparse.Namespace) -> int:
    """Raises StoreConflict where there is nothing to end."""
    from daemon.store import restrictions

    kind = restrictions.LEGAL_HOLD if args.legal_hold else restrictions.RESTRICTED

    def work(tx: Tx, client: int) -> str:
        return restrictions.end(tx, client, kind, by=args.by, reason=args.reason, now=place.now())

    return _do(args, work, ("已解除", "ended"))


def go_shred(args: argparse.Namespace) -> int:
    """Raises StoreConflict with every reason why not."""
    from daemon.store import restrictions

    def work(tx: Tx, client: int) -> str:
        return restrictions.shred(tx, client, by=args.by, reason=args.reason, waiver=args.waiver or "", now=place.now())

    zh = "已销毁其密钥与索引；旧备份中的副本随密钥加密密钥一并销毁（keys rotate、rewrap、shred）"
    en = "its keys and indexes are destroyed; copies in older backups end with the key-encryption key (keys rotate, rewrap, shred)"
    return _do(args, work, (zh, en))


def _do(args: argparse.Namespace, work: Callable[[Tx, int], str], said: tuple[str, str]) -> int:
    """One transaction on one client; the line names it by its number. Raises Usage for a client that is not known here."""
    from daemon.store import subjects

    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store, store.write() as tx:
        number = (
            _number(args.client) if args.client.startswith("#") else subjects.find(tx, subjects.CLIENT, args.client)
        )
        if number is None or number not in subjects.clients_known(tx, [number]):
            raise Usage("clients: found no such client, expected the key of one that a poll has seen, or #NUMBER")
        record = work(tx, number)
    zh, en = said
    screen.line(screen.say(f"客户 {number}：{zh}；记录 {record}", f"client {number}: {en}; record {record}"))
    return 0


def _number(text: str) -> int | None:
    digits = text.removeprefix("#")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 18 else None


def go_purge(args: argparse.Namespace) -> int:
    """Recorded first; 75 where somebody is in the way."""
    from daemon.errors import StoreConflict
    from daemon.store.engine import rewrite

    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store:
        place.record_access(store, args, "purge")
        screen.progress(screen.say("重写数据库……", "writing the database anew …"))
        try:
            rewrite(store.engine)
        except TimeoutError as busy:
            raise StoreConflict(str(busy)) from None
        finally:
            screen.progress("")
    screen.line(screen.say("数据库已重写，不留痕迹", "the database is written anew, without traces"))
    return 0
