"""What notices and messages are called, for ever: HMACs under the client's commitment key, none depends on a key that rotates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daemon.model.values import canonical, terms_json
from daemon.security.envelope import hmac_id


def notice_id(commitment_key: bytes, rule: str, subject: int, occurrence: str, stage: str) -> str:
    """The identity of an obligation, 64 hexadecimal digits."""
    return hmac_id(commitment_key, "notice", rule, str(subject), occurrence, stage).hex()


def message_id(commitment_key: bytes, notice: str, role: str, channel: str, generation: int) -> str:
    """The identity of a message, 32 hexadecimal digits; the id that goes on the wire."""
    return hmac_id(commitment_key, "message", notice, role, channel, str(generation)).hex()[:32]


def contribution_id(commitment_key: bytes, message: str) -> str:
    """The id by which what a client says names the message that it answers (`inReplyTo`), 32 hexadecimal digits."""
    return hmac_id(commitment_key, "contribution", message).hex()[:32]


def terms_digest(commitment_key: bytes, terms: Mapping[str, Any]) -> str:
    """What the client is told, as a digest that only the client's key can compare."""
    return hmac_id(commitment_key, "terms", canonical(terms_json(terms))).hex()
