"""A claimed notice to the exact message that leaves: card, texts, address, wire bytes, sealed.

What is sealed as the body is all of it, so that a repeat sends exactly those bytes and an evidence shows exactly those words.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import RowMapping

from daemon.cards.render import Rendered, render
from daemon.channels.channel import Outgoing, ReceiptKind
from daemon.clock import from_micros
from daemon.decide.inputs import Inputs
from daemon.deliver.routes import Gateway
from daemon.model.kinds import Value
from daemon.model.values import canonical
from daemon.rules.schema import Rule
from daemon.security.envelope import hmac_id
from daemon.store.identity import contribution_id
from daemon.world import World

REPORTS = (ReceiptKind.SENT, ReceiptKind.DELIVERED, ReceiptKind.READ, ReceiptKind.FAILED, ReceiptKind.HANDED_TO_SMS)


def card_values(
    world: World, rule: Rule, inputs: Inputs, notice: RowMapping
) -> dict[str, Value | Sequence[Mapping[str, Value]]]:
    """What a card may name: the fact's values, parameters, lets, the rows, and the notice's own instants."""
    fact = inputs.fact
    context = world.deciders[rule.name].context(fact.values, world.env(fact.business_date))
    newest = max(fact.as_of.values(), default=inputs.started)
    return {
        "as_of": newest,
        "deadline": from_micros(notice["deadline"]),
        **context,
        "business_date": fact.business_date,
        "basis": fact.basis,
        "rows": fact.items,
        "level": inputs.level,
    }


def card_of(world: World, rule: Rule, inputs: Inputs, notice: RowMapping, *, signature: str, stale: bool) -> Rendered:
    """Fill in the rule's card for a notice. Raises RenderError."""
    marks: dict[str, Value] = dict.fromkeys(json.loads(notice["marks"]), True)
    values = card_values(world, rule, inputs, notice)
    if stale:
        as_of = values["as_of"]
        marks["stale_as_of"] = as_of if isinstance(as_of, datetime) else from_micros(notice["known_at"])
    stage = notice["stage"]
    level = stage.split("/")[0] if rule.levels and not stage.startswith("correction/") else ""
    if rule.levels and not level:
        level = json.loads(notice["occurrence"]).get("level", "")
    return render(world.ruleset.cards[rule.card], values, stage=stage, level=level, marks=marks, signature=signature)


def letter(
    rendered: Rendered, message: RowMapping, gateway: Gateway, commitment_key: bytes, recipient: str, category: str
) -> tuple[Outgoing, bytes]:
    """The message as it leaves by this gateway, its wire bytes pinned, and the plain bytes of the body to seal."""
    rcs = message["channel"] == "rcs"
    conversation = hmac_id(commitment_key, "conversation", gateway.channel.name).hex()[:32]
    outgoing = Outgoing(
        message_id=message["id"],
        platform_id=message["id"],
        channel="rcs" if rcs else "sms",
        recipient=recipient,
        card=rendered.rcs if rcs else {},
        sms_text=rendered.sms,
        category=category,
        conversation_id=conversation,
        contribution_id=contribution_id(commitment_key, message["id"]),
        sms_fallback=not rcs,
        store=rcs,
        report=REPORTS,
    )
    body = gateway.channel.encode(outgoing)
    return replace(outgoing, body=body), pack(outgoing, body, rendered)


def pack(outgoing: Outgoing, body: bytes, rendered: Rendered) -> bytes:
    """The body to seal, canonical JSON: everything said, to whom, and the wire bytes (base64)."""
    return canonical(
        {
            "v": 1,
            "message_id": outgoing.message_id,
            "platform_id": outgoing.platform_id,
            "channel": outgoing.channel,
            "recipient": outgoing.recipient,
            "card": outgoing.card,
            "sms_text": outgoing.sms_text,
            "category": outgoing.category,
            "conversation_id": outgoing.conversation_id,
            "contribution_id": outgoing.contribution_id,
            "sms_fallback": outgoing.sms_fallback,
            "store": outgoing.store,
            "report": [k.value for k in outgoing.report],
            "variant": rendered.variant,
            "title": rendered.title,
            "description": rendered.description,
            "wire": base64.b64encode(body).decode(),
        }
    ).encode()


def unpack(raw: bytes) -> Outgoing:
    """The pinned message of a sealed body."""
    found = json.loads(raw)
    return Outgoing(
        found["message_id"],
        found["platform_id"],
        found["channel"],
        found["recipient"],
        found["card"],
        found["sms_text"],
        found["category"],
        found["conversation_id"],
        found["contribution_id"],
        found["sms_fallback"],
        found["store"],
        tuple(ReceiptKind(k) for k in found["report"]),
        "",
        base64.b64decode(found["wire"]),
    )
