"""What comes back from gateways: receipts and uplinks, kept raw and committed before they are answered.

A receipt can only move a message of ours, by that gateway, to that recipient, forward (trust.md 4.4). One that matches
nothing is kept without a message and shown to a person; one that is there already changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import RowMapping, insert, select

from daemon.channels.channel import ReceiptIn, ReceiptKind, Received, Uplink
from daemon.clock import micros
from daemon.notices.passing import after_message
from daemon.store import consents, contacts, outbox, pages, seals, trail, worklist
from daemon.store.db import Store, Tx
from daemon.store.tables import messages, notices, uplinks
from daemon.world import World

OPT_OUT_WORDS = frozenset({"R", "T", "TD", "退订", "拒收", "N"})
"""An uplink of exactly one of these, trimmed and in capitals, refuses marketing (MIIT-SMS-031)."""
ACKNOWLEDGED_WORDS = frozenset({"已知晓", "我已知悉", "已知悉"})
TIMES = {ReceiptKind.HANDED_TO_SMS: "handed_to_sms_at", ReceiptKind.READ: "read_at"}


class Intake:
    """Keeps what callbacks bring. One call is one transaction."""

    def __init__(self, store: Store, worlds: Callable[[str], World]) -> None:
        self.store, self.worlds = store, worlds

    def keep(self, gateway: str, received: Sequence[Received], now: datetime) -> int:
        """Store and apply; returns how many were new. Raises what the store raises: then nothing is kept."""
        done = 0
        with self.store.write() as tx:
            for one in received:
                done += (
                    self._receipt(tx, gateway, one, now)
                    if isinstance(one, ReceiptIn)
                    else self._uplink(tx, gateway, one, now)
                )
        return done

    def _receipt(self, tx: Tx, gateway: str, one: ReceiptIn, now: datetime) -> int:
        address = contacts.address_index(self.store, "sms", one.recipient)
        if outbox.has_receipt(tx, gateway, one.platform_id, address, one.kind.value):
            return 0
        message = outbox.find_by_platform(tx, gateway, one.platform_id, address)
        client = None if message is None else message["client"]
        data: dict[str, object] = {
            "gateway": gateway,
            "state": one.kind.value,
            "code": one.code[:128] or "none",
            "at": trail.format_time(one.at),
        }
        if message is None:
            data["orphan"] = True
        else:
            data["message"] = message["id"]
        record = trail.append(
            tx,
            "receipt",
            t=now,
            cause=None if message is None else message["record"],
            actor=f"gateway:{gateway}",
            client=client,
            data=data,
        )
        outbox.add_receipt(
            tx,
            {
                "gateway": gateway,
                "platform_id": one.platform_id,
                "address": address,
                "kind": one.kind.value,
                "code": one.code[:128],
                "at": micros(one.at),
                "received_at": micros(now),
                "message": None if message is None else message["id"],
                "sealed": seals.put(tx, client, "receipt", one.raw, now),
                "record": record,
            },
        )
        if message is None:
            pages.page(
                tx,
                f"orphan:{gateway}",
                "warning",
                f"gateway {gateway}: receipts for messages that are not ours",
                now=now,
            )
            return 1
        if one.kind is ReceiptKind.UNKNOWN:
            pages.page(tx, f"receipt:{gateway}", "warning", f"gateway {gateway}: receipts of an unknown kind", now=now)
        times = {TIMES[one.kind]: micros(one.at)} if one.kind in TIMES else {}
        outbox.apply_receipts(tx, message, record=record, times=times)
        self._follow(tx, message["id"], message["notice"], now)
        return 1

    def _follow(self, tx: Tx, message: str, notice: str, now: datetime) -> None:
        row = tx.execute(select(messages).where(messages.c.id == message)).mappings().one()
        about = tx.execute(select(notices).where(notices.c.id == notice)).mappings().one()
        if row["contradicted"]:
            pages.page(
                tx,
                f"contradiction:{row['gateway']}",
                "warning",
                "receipts of one message contradict each other",
                now=now,
            )
        after_message(tx, self.worlds(about["rule_set"]).ruleset.rules[about["rule"]], about, row, now)

    def _uplink(self, tx: Tx, gateway: str, one: Uplink, now: datetime) -> int:
        known = select(uplinks.c.id).where(uplinks.c.gateway == gateway, uplinks.c.platform_id == one.platform_id)
        if tx.execute(known).first():
            return 0
        address = contacts.address_index(self.store, "sms", one.recipient)
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
        outbox.apply_receipts(tx, row, record=record, times={"acknowledged_at": micros(now)})

    @staticmethod
    def _answered(tx: Tx, one: Uplink, address: bytes) -> RowMapping | None:
        """The message it answers: the one it names by its button, else the newest to this recipient."""
        named = one.postback.partition(":")[2]
        query = select(messages).where(messages.c.address == address)
        if named:
            found = tx.execute(query.where(messages.c.id == named)).mappings().first()
            if found is not None:
                return found
        return tx.execute(query.order_by(messages.c.due.desc()).limit(1)).mappings().first()


def is_acknowledgement(one: Uplink) -> bool:
    """Whether an uplink says 已知晓, by its button or in words."""
    return one.postback.partition(":")[0] == "ack" or one.text.strip() in ACKNOWLEDGED_WORDS
