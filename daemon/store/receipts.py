"""Receipts in the store: which are known, whose they are, and the messages they raise.

States are a function of our own last move and the set of receipts seen (model/states.py), so order and number of receipts
do not matter.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, select, update

from daemon.model.states import RECEIPT_RANK, MessageState, contradicts, with_receipts
from daemon.store.tables import messages, receipts

_S = MessageState


def kinds_of_many(tx: Connection, ids: Sequence[str]) -> dict[str, list[MessageState]]:
    """The states that the receipts seen of messages raise them to, by message."""
    found: dict[str, list[MessageState]] = {}
    query = select(receipts.c.message, receipts.c.kind).where(receipts.c.message.in_(ids))
    for message, kind in tx.execute(query):
        if kind in RAISES:
            found.setdefault(message, []).append(RAISES[kind])
    return found


TIME_COLUMNS = ("handed_to_sms_at", "read_at", "acknowledged_at")

RAISES: Mapping[str, MessageState] = {
    "sent": _S.ACCEPTED,
    "handed_to_sms": _S.ACCEPTED,
    "read": _S.DELIVERED,
    "delivered": _S.DELIVERED,
    "failed": _S.UNDELIVERED,
    "revoked": _S.REVOKED,
    "revoke_failed": _S.REVOKE_FAILED,
}
"""What a receipt raises a message to. Handed to the SMS network is a time of its own: it says that nothing failed."""


ReceiptKey = tuple[str, bytes, str]
"""(platform id, address index, kind): with the gateway the identity of a receipt."""


def known_receipts(tx: Connection, gateway: str, platform_ids: Collection[str]) -> set[ReceiptKey]:
    """The receipts stored of these messages of a gateway."""
    names = (receipts.c.platform_id, receipts.c.address, receipts.c.kind)
    query = select(*names).where(receipts.c.gateway == gateway, receipts.c.platform_id.in_(platform_ids))
    return {(platform_id, bytes(address), kind) for platform_id, address, kind in tx.execute(query)}


def by_platform(tx: Connection, gateway: str, platform_ids: Collection[str]) -> dict[tuple[str, bytes], RowMapping]:
    """Our messages behind a gateway's ids, by (platform id, address index): for that recipient only."""
    query = select(messages).where(messages.c.platform_id.in_(platform_ids), messages.c.gateway == gateway)
    return {(row["platform_id"], bytes(row["address"])): row for row in tx.execute(query).mappings()}


_RAISED = ("state", "own", "fence", "contradicted", "record", *TIME_COLUMNS)
_RAISE = (
    update(messages)
    .where(messages.c.id == bindparam("b_id"))
    .values({name: bindparam(f"v_{name}") for name in _RAISED})
)


def apply_receipts(
    tx: Connection, rows: Sequence[RowMapping], records: Mapping[str, str], times: Mapping[str, Mapping[str, int]]
) -> list[dict[str, Any]]:
    """Raise messages by all receipts seen of them; returns them as they are now. `records`: message -> the record that does it;
    `times`: message -> handed_to_sms_at, read_at, acknowledged_at where new."""
    seen = kinds_of_many(tx, [row["id"] for row in rows])
    after = [_raised(row, seen.get(row["id"], []), records[row["id"]], times.get(row["id"], {})) for row in rows]
    if after:
        tx.execute(_RAISE, [{"b_id": row["id"], **{f"v_{name}": row[name] for name in _RAISED}} for row in after])
    return after


def _raised(row: RowMapping, seen: list[MessageState], record: str, times: Mapping[str, int]) -> dict[str, Any]:
    own, before = MessageState(row["own"]), MessageState(row["state"])
    state = with_receipts(own, seen) if row["tries"] else own
    found = {**row, "contradicted": contradicts(own, seen), "record": record}
    if RECEIPT_RANK.get(state, 0) > RECEIPT_RANK.get(before, 0):
        found["state"] = state.value
        if own in (_S.QUEUED, _S.CLAIMED, _S.RETRY):  # a repeat of one in doubt that a receipt made needless
            found["own"], found["fence"] = _S.IN_DOUBT.value, row["fence"] + 1
    found.update({name: at for name, at in times.items() if row[name] is None})
    return found
