"""A firm's own gateway as a strict far side of the webhook dialect: its signature check is written apart from ours."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field

from daemon.server import Reply, Request, Route

KEYS = {"type", "id", "message", "channel", "recipient", "category", "text", "conversation", "report", "card"}


@dataclass
class InHouse:
    """Takes each id once, the same bytes again as the same message, other bytes never; keeps a hash of all it took."""

    secret: bytes
    taken: dict[str, list[str]] = field(default_factory=dict)
    revoked: list[str] = field(default_factory=list)

    def routes(self) -> list[Route]:
        """The one address."""
        return [Route("POST", "/duenotice", self.answer)]

    async def answer(self, request: Request) -> Reply:
        """401 for a wrong signature, 409 for an id that comes with other bytes, 400 for what the format does not have."""
        name, stamp = request.headers.get("webhook-id", ""), request.headers.get("webhook-timestamp", "")
        mac = hmac.new(self.secret, b".".join([name.encode(), stamp.encode(), request.body]), hashlib.sha256)
        signed = "v1," + base64.standard_b64encode(mac.digest()).decode()
        if request.headers.get("webhook-signature") != signed or request.headers.get("idempotency-key") != name:
            return Reply(401)
        found = json.loads(request.body)
        if found["type"] == "message.query":
            return Reply(200, json.dumps({"id": found["id"], "known": found["id"] in self.taken}).encode())
        if found["type"] == "message.revoke":
            self.revoked.append(found["id"])
            return Reply(202)
        if found["type"] != "message.send" or set(found) - KEYS or found["id"] != name:
            return Reply(400)
        if not found["recipient"].isdecimal() or len(found["recipient"]) != 11:
            return Reply(422, json.dumps({"code": "number"}).encode())
        digest = hashlib.sha256(request.body).hexdigest()
        before = self.taken.setdefault(name, [])
        if before and digest not in before:
            return Reply(409)
        before.append(digest)
        return Reply(200, json.dumps({"id": name}).encode())
