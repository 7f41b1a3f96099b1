"""`duenotice clients alias|consents`: accounts that the back office renumbers; what a client agreed to or refused. The commands on
the data of a client are those of `erasing.py`."""

from __future__ import annotations

import argparse
import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli import Usage, erasing, place
from daemon.cli.place import screen_of
from daemon.cli.screen import at

if TYPE_CHECKING:
    from daemon.store.aliases import Pair
    from daemon.store.db import Store

HEADER = ["kind", "old", "new"]
MOST_BYTES = 64 * 1024 * 1024


def add(parsers: Any) -> None:
    """The parser of `clients`."""
    commands = place.subparsers(parsers, "clients", "Clients and contracts, by the keys of the back office.")
    text = "accounts that the back office renumbers: both keys mean the same from then on; one person proposes, another confirms"
    more = (
        "FILE is CSV with the header kind,old,new; kind is client, or what a rule's subject is called, such as contract. "
        "Nothing is taken unless every line can be. Confirm before the first poll that shows the new keys."
    )
    alias = commands.add_parser("alias", help=text, description=f"{text}. {more}")
    alias.add_argument("file", type=Path, metavar="FILE", help="the list of old and new keys")
    alias.add_argument("--confirm", action="store_true", help="confirm the very list that another person proposed")
    place.by_name(alias)
    alias.set_defaults(go=go_alias)
    erasing.add(commands)
    said = commands.add_parser("consents", help="what a client agreed to or refused, by category and channel")
    said.add_argument("client", metavar="KEY", help="the client")
    place.listing(said)
    said.set_defaults(go=go_consents)


def go_alias(args: argparse.Namespace) -> int:
    """Propose a list, or confirm it."""
    from daemon.store import aliases

    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store:
        pairs = read_pairs(args.file, _kinds(store))
        with store.write() as tx:
            if not args.confirm:
                record = aliases.propose(tx, pairs, by=args.by, reason=args.reason, now=place.now())
                zh, en = (
                    f"已提出 {len(pairs)} 对，等另一人以 --confirm 确认；记录 {record}",
                    (
                        f"proposed {len(pairs)} pairs; another person confirms the same file with --confirm; record {record}"
                    ),
                )
            else:
                record, made = aliases.confirm(tx, pairs, by=args.by, reason=args.reason, now=place.now())
                zh, en = (
                    f"已确认 {len(pairs)} 对，新增 {made}；记录 {record}",
                    (f"confirmed {len(pairs)} pairs, {made} of them new; record {record}"),
                )
    screen.line(screen.say(zh, en))
    return 0


def _kinds(store: Store) -> tuple[str, ...]:
    """What subjects are called in the active rule set."""
    from daemon.decide.lines import subject_kind

    digest = place.active_digest(store)
    kinds = place.worlds(store)(digest).ruleset.kinds.values() if digest else ()
    return tuple(sorted({"client", *(subject_kind(kind) for kind in kinds if kind.use == "facts")}))


def read_pairs(path: Path, kinds: tuple[str, ...]) -> list[Pair]:
    """The list of a file. Raises Usage with the line of what is wrong, never with a key."""
    from daemon.store.aliases import Pair

    try:
        if path.stat().st_size > MOST_BYTES:
            raise Usage(f"{path}: found a file of over {MOST_BYTES} bytes, expected a list of keys")
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as wrong:
        raise Usage(f"{path}: {type(wrong).__name__}, expected a CSV file in UTF-8") from None
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    pairs = []
    try:
        for row in rows:
            if rows.line_num == 1:
                if row != HEADER:
                    raise Usage(f"{path}:1: found another header, expected {','.join(HEADER)}")
            elif len(row) != len(HEADER) or not all(cell.strip() for cell in row):
                raise Usage(f"{path}:{rows.line_num}: found {len(row)} cells or an empty one, expected kind, old, new")
            elif row[0] not in kinds:
                raise Usage(f"{path}:{rows.line_num}: found the kind {row[0]!r}, expected one of {', '.join(kinds)}")
            else:
                pairs.append(Pair(row[0], row[1], row[2], rows.line_num))
    except csv.Error as wrong:
        raise Usage(f"{path}:{rows.line_num}: {wrong}, expected CSV") from None
    if not pairs:
        raise Usage(f"{path}: found no pair, expected at least one line under the header")
    return pairs


def go_consents(args: argparse.Namespace) -> int:
    """A table; 1 where the client is not known here."""
    from daemon.store import consents, subjects

    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store, store.read() as tx:
        number = subjects.find(tx, subjects.CLIENT, args.client)
        rows = [] if number is None else consents.rows_of(tx, number)
    if number is None:
        screen.line(screen.say("没有这个客户", "no such client here"))
        return 1
    names = ("category", "channel", "state", "origin")
    if args.json:
        screen.json([{n: row[n] for n in names} | {"since": at(row["since"])} for row in rows])
        return 0
    zh, en = ("类别", "方式", "状态", "来源", "自"), ("category", "channel", "state", "from", "since")
    screen.table(zh if screen.lang == "zh" else en, [(*(row[n] for n in names), at(row["since"])) for row in rows])
    return 0
