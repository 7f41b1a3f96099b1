"""What comes back from gateways: receipts and uplinks, kept raw and committed before they are answered.

A receipt can only move a message of ours, by that gateway, to that recipient, forward (trust.md 4.4). One that matches
nothing is kept without a message and shown to a person; one that is there already changes nothing.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, insert, select

from daemon import failpoints
from daemon.channels.channel import ReceiptIn, ReceiptKind, Received, Uplink
from daemon.clock import micros
from daemon.model.states import TOLD, MessageState
from daemon.notices.passing import after_message
from daemon.store import consents, contacts, outbox, pages, receipts, seals, subjects, trail, worklist
from daemon.store.db import Store, Tx, flush, later
from daemon.store.identity import contribution_id
from daemon.store.tables import messages, notices, uplinks
from daemon.store.tables import receipts as receipts_table
from daemon.world import World

OPT_OUT_WORDS = frozenset({"R", "T", "TD", "退订", "拒收", "N"})
"""An uplink of exactly one of these, trimmed and in capitals, refuses marketing (MIIT-SMS-031)."""
ACKNOWLEDGED_WORDS = frozenset({"已知晓", "我已知悉", "已知悉"})
LOOKED_AT = 100
"""Messages to one recipient, the newest, among which the one is looked for that an uplink names as what it replies to."""
TIMES = {ReceiptKind.HANDED_TO_SMS: "handed_to_sms_at", ReceiptKind.READ: "read_at"}


class Intake:
    """Keeps what callbacks bring. One call is one transaction."""

    def __init__(self, store: Store, worlds: Callable[[str], World]) -> None:
        self.store, self.worlds = store, worlds

    def keep(self, gateway: str, received: Sequence[Received], now: datetime) -> int:
        """Store and apply; returns how many were new. Raises what the store raises: then nothing is kept."""
        failpoints.reached("receipt_read")
        with self.store.write() as tx:
            done = self._receipts(tx, gateway, [_named(one) for one in received if isinstance(one, ReceiptIn)], now)
            said = _parts([one for one in received if isinstance(one, Uplink)])
            done += sum(self._uplink(tx, gateway, one, now) for one in said)
        failpoints.reached("receipt_stored")
        return done

    def _receipts(self, tx: Tx, gateway: str, found: Sequence[ReceiptIn], now: datetime) -> int:
        """A whole callback in few statements: what is known is left out, what is new is kept, its messages raised once."""
        ids = {one.platform_id for one in found}
        if not ids:
            return 0
        known = receipts.known_receipts(tx, gateway, ids)
        ours = receipts.by_platform(tx, gateway, ids)
        records: dict[str, str] = {}
        times: dict[str, dict[str, int]] = {}
        done = 0
        for one in found:
            address = self._address(one.recipient)
            if (one.platform_id, address, one.kind.value) in known:
                continue
            known.add((one.platform_id, address, one.kind.value))
            done += 1
            message = ours.get((one.platform_id, address))
            record = self._store(tx, gateway, one, address, message, now)
            if message is not None:
                records[message["id"]] = record
                if one.kind in TIMES:
                    times.setdefault(message["id"], {})[TIMES[one.kind]] = micros(one.at)
        flush(tx)
        ours_by_id = {row["id"]: row for row in ours.values()}
        raised = receipts.apply_receipts(tx, [row for row in ours.values() if row["id"] in records], records, times)
        for before, after in ((ours_by_id[row["id"]], row) for row in raised):
            if MessageState(before["state"]) not in TOLD and MessageState(after["state"]) in TOLD:
                outbox.retell(tx, after["notice"])
        self._follow(tx, raised, now)
        return done

    def _address(self, recipient: str) -> bytes:
        """The index of a recipient; b'' where the callback names none, which no message of ours has."""
        try:
            return contacts.address_index(self.store, "sms", recipient)
        except ValueError:
            return b""

    def _store(
        self, tx: Tx, gateway: str, one: ReceiptIn, address: bytes, message: RowMapping | None, now: datetime
    ) -> str:
        """Keep one receipt raw, with its record."""
        client = None if message is None else message["client"]
        data: dict[str, object] = {"gateway": gateway, "state": one.kind.value, "code": one.code[:128] or "none"}
        data["at"] = trail.format_time(one.at)
        data |= {"orphan": True} if message is None else {"message": message["id"]}
        cause = None if message is None else message["record"]
        actor, commit = f"gateway:{gateway}", {} if client is None else {"raw": one.raw}
        record = trail.append(tx, "receipt", t=now, cause=cause, actor=actor, client=client, data=data, commit=commit)
        row: dict[str, Any] = {"gateway": gateway, "platform_id": one.platform_id}
        row |= {"address": address, "kind": one.kind.value}
        row |= {"code": one.code[:128], "at": micros(one.at), "received_at": micros(now)}
        row |= {"message": None if message is None else message["id"], "record": record}
        later(tx, receipts_table, {**row, "sealed": seals.put(tx, client, "receipt", one.raw, now)})
        if message is None:
            sentence = f"gateway {gateway}: receipts for messages that are not ours"
            pages.page(tx, f"orphan:{gateway}", "warning", sentence, now=now)
        elif one.kind is ReceiptKind.UNKNOWN:
            pages.page(tx, f"receipt:{gateway}", "warning", f"gateway {gateway}: receipts of an unknown kind", now=now)
        return record

    def _follow(self, tx: Tx, raised: Sequence[Mapping[str, Any]], now: datetime) -> None:
        """What follows from where messages are now: the next channel, or none of ours."""
        about = {row["notice"] for row in raised}
        held = {r["id"]: r for r in tx.execute(select(notices).where(notices.c.id.in_(about))).mappings()}
        for row in raised:
            notice = held[row["notice"]]
            if row["contradicted"]:
                sentence = "receipts of one message contradict each other"
                pages.page(tx, f"contradiction:{row['gateway']}", "warning", sentence, now=now)
            after_message(tx, self.worlds(notice["rule_set"]).ruleset.rules[notice["rule"]], notice, row, now)

    def _uplink(self, tx: Tx, gateway: str, one: Uplink, now: datetime) -> int:
        known = select(uplinks.c.id).where(uplinks.c.gateway == gateway, uplinks.c.platform_id == one.platform_id)
        if tx.execute(known).first():
            return 0
        address = self._address(one.recipient)
        message = self._answered(tx, one, address)
        client = None if message is None else message["client"]
        said = one.text.strip().upper()
        kind = "opt_out" if said in OPT_OUT_WORDS else "acknowledged" if is_acknowledgement(one) else "other"
        record = trail.append(
            tx,
            "uplink",
            t=now,
            cause=None if message is None else message["record"],
            actor=f"gateway:{gateway}",
            client=client,
            data={"gateway": gateway, "matched": message is not None, "keyword": kind},
            commit={} if client is None else {"raw": one.raw},
        )
        row0 = {"gateway": gateway, "platform_id": one.platform_id, "address": address, "kind": kind, "record": record}
        row: dict[str, object] = {
            **row0,
            "message": None if message is None else message["id"],
            "received_at": micros(now),
        }
        row["sealed"] = seals.put(tx, client, "uplink", one.raw, now)
        tx.execute(insert(uplinks).values(**row))
        if client is not None and kind == "opt_out":
            refused = [consents.Said(client, "marketing", consents.ANY, consents.OUT)]
            consents.take_over(tx, refused, origin=f"uplink:{gateway}", now=now, actor="sys:intake", cause=record)
        if message is not None and kind == "acknowledged":
            self._acknowledge(tx, message["id"], record, now)
        if kind == "other":
            worklist.open_task(
                tx, f"uplink:{gateway}:{record}", "an uplink that a person must read", now=now, cause=record,
                notice=None if message is None else message["notice"], subject=client,
            )  # fmt: skip
        return 1

    def _acknowledge(self, tx: Tx, message: str, record: str, now: datetime) -> None:
        row = tx.execute(select(messages).where(messages.c.id == message)).mappings().one()
        receipts.apply_receipts(tx, [row], {message: record}, {message: {"acknowledged_at": micros(now)}})

    @staticmethod
    def _answered(tx: Tx, one: Uplink, address: bytes) -> RowMapping | None:
        """The message it answers: the one it names by its button or as what it replies to, else the newest to this recipient. A
        name that is none of this recipient's counts for nothing."""
        query = select(messages).where(messages.c.address == address)
        named = one.postback.partition(":")[2]
        if named:
            found = tx.execute(query.where(messages.c.id == named)).mappings().first()
            if found is not None:
                return found
        newest = tx.execute(query.order_by(messages.c.due.desc()).limit(LOOKED_AT)).mappings().all()
        if one.in_reply_to:
            keys = subjects.keys_of_many(tx, {row["client"] for row in newest})
            for row in newest:
                if contribution_id(keys[row["client"]].commitment_key, row["id"]) == one.in_reply_to:
                    return row
        return newest[0] if newest else None


def _named(one: ReceiptIn) -> ReceiptIn:
    """A receipt that names no message by the hash of its bytes: two that cannot be read are two."""
    return one if one.platform_id else replace(one, platform_id=_of_bytes(one.raw))


def _parts(found: Sequence[Uplink]) -> list[Uplink]:
    """Uplinks each with an id of its own: the parts of one message are numbered from the second on, one without an id has the hash
    of its bytes. A callback that is repeated gives the same ids."""
    seen: Counter[str] = Counter()
    parts = []
    for one in found:
        id = one.platform_id or _of_bytes(one.raw)
        seen[id] += 1
        parts.append(replace(one, platform_id=id if seen[id] == 1 else f"{id}#{seen[id]}"))
    return parts


def _of_bytes(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def is_acknowledgement(one: Uplink) -> bool:
    """Whether an uplink says 已知晓, by its button or in words."""
    return one.postback.partition(":")[0] == "ack" or one.text.strip() in ACKNOWLEDGED_WORDS
