"""Configured gateways as channels, with what they share over the store (the access token, used nonces), and the ways to
people on duty."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

from sqlalchemy import delete, insert, select

from daemon.alarms.calling import Calling
from daemon.alarms.plan import Roster, Step
from daemon.alarms.ways import Heartbeat, Mail, Robot, Texts, Way
from daemon.channels.channel import Channel
from daemon.channels.ctcu import Ctcu, CtcuConfig
from daemon.channels.dryrun import DryRun
from daemon.channels.tokens import Token
from daemon.channels.webhook import Webhook, WebhookConfig
from daemon.clock import Clock, from_micros, micros
from daemon.deliver.routes import Gateway, Routes
from daemon.security.envelope import aad
from daemon.security.masking import scrub
from daemon.settings import Settings
from daemon.settings_alarms import MailWay, RobotWay
from daemon.settings_gateways import CtcuGateway, WebhookGateway
from daemon.store import seat
from daemon.store.db import Store
from daemon.store.leases import SECOND
from daemon.store.tables import nonces, tokens
from daemon.transport import Transport

FETCHING = 10 * SECOND
"""Microseconds after which another process may fetch a gateway's token."""


class StoreTokens:
    """A TokenStore in the store: a token outlives a restart, so that its daily number of refreshes is not wasted."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def get(self, gateway: str) -> Token | None:
        """The newest token of a gateway, also when it has ended."""
        return await asyncio.to_thread(self._get, gateway)

    def _get(self, gateway: str) -> Token | None:
        with self.store.read() as tx:
            row = tx.execute(select(tokens).where(tokens.c.gateway == gateway)).mappings().first()
        if row is None:
            return None
        plain = self.store.keyring.unwrap(bytes(row["sealed"]), aad("tokens", "sealed", gateway, None))
        return Token(plain.decode(), from_micros(row["until"]))

    async def put(self, gateway: str, token: Token) -> None:
        """Keep a token; it kills the earlier one on the platform too."""
        await asyncio.to_thread(self._put, gateway, token)

    async def claim(self, gateway: str) -> bool:
        """Take the seat of the one that fetches; it is free again after `FETCHING` where no token comes of it."""
        return not seat.is_shared(self.store) or await asyncio.to_thread(self._claim, gateway)

    def _claim(self, gateway: str) -> bool:
        with self.store.write() as tx:
            return seat.take(tx, f"token:{gateway}", FETCHING)

    def _put(self, gateway: str, token: Token) -> None:
        sealed = self.store.keyring.wrap(token.value.encode(), aad("tokens", "sealed", gateway, None))
        with self.store.write() as tx:
            old = tx.execute(select(tokens.c.generation).where(tokens.c.gateway == gateway)).scalar()
            tx.execute(delete(tokens).where(tokens.c.gateway == gateway))
            tx.execute(
                insert(tokens).values(
                    gateway=gateway, sealed=sealed, until=micros(token.until), generation=(old or 0) + 1
                )
            )
            seat.leave(tx, f"token:{gateway}")


class StoreNonces:
    """A NonceStore in the store: a copied signature is refused after a restart too."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def bind(self, gateway: str, nonce: str, digest: bytes, until: datetime, now: datetime) -> bool:
        """Tie a nonce to a callback until it is too old to be taken anyway; False when it is tied to another one."""
        at = micros(now)
        with self.store.write() as tx:
            tx.execute(delete(nonces).where(nonces.c.until < at))
            key = (nonces.c.gateway == gateway) & (nonces.c.nonce == nonce)
            bound = tx.execute(select(nonces.c.digest).where(key)).scalar()
            if bound is None:
                row = {"gateway": gateway, "nonce": nonce, "digest": digest, "until": micros(until)}
                tx.execute(insert(nonces).values(**row))
                return True
        return bytes(bound) == digest


def open_calling(
    settings: Settings, store: Store, clock: Clock, transport: Transport, routes: Routes, credentials: Path | None
) -> Calling | None:
    """Who is called how; None where the configuration names no way and no heartbeat. Raises KeyUnusable."""
    said = settings.alarms
    if not said.ways and said.heartbeat is None:
        return None

    def listed(name: str) -> list[str]:
        return [line.strip() for line in settings.secret(name, credentials).splitlines() if line.strip()]

    ways: dict[str, Way] = {}
    for name, one in said.ways.items():
        if isinstance(one, RobotWay):
            secret = settings.secret(one.secret_file, credentials) if one.secret_file else ""
            ways[name] = Robot(settings.secret(one.url_file, credentials), transport, secret)
        elif isinstance(one, MailWay):
            password = settings.secret(one.password_file, credentials) if one.password_file else ""
            ways[name] = Mail(one.host, one.port, one.sender, listed(one.to_file), one.user, password)
        else:
            gateway = routes.gateways[one.gateway]
            ways[name] = Texts(gateway.channel, listed(one.to_file), gateway.signature)
    steps = tuple(Step(step.after, step.ways) for step in said.escalate)
    roster = Roster({"warning": said.warning, "urgent": said.urgent}, steps, said.again)
    beat = said.heartbeat
    heart = Heartbeat(settings.secret(beat.url_file, credentials), settings.node, transport) if beat else None
    every = beat.every.total_seconds() if beat else 60.0
    return Calling(store, clock, settings.node, roster, ways, heart, every)


def open_routes(settings: Settings, store: Store, transport: Transport, credentials: Path | None) -> Routes:
    """Every configured gateway. Raises KeyUnusable for a secret that cannot be read."""
    shared, used = StoreTokens(store), StoreNonces(store)
    found: dict[str, Gateway] = {}
    for name, one in settings.gateways.items():
        if isinstance(one, CtcuGateway):
            config = CtcuConfig(
                name=name,
                root=one.root,
                chatbot_id=one.chatbot_id,
                app_id=one.app_id,
                app_key=settings.secret(one.app_key_file, credentials),
                callback_token=settings.secret(one.callback_token_file, credentials),
                version=one.version,
                timeout=one.timeout.total_seconds(),
                button_bytes=one.button_bytes or None,
                repeat=one.repeat,
            )
            channel: Channel = Ctcu(config, transport, shared, used)
        elif isinstance(one, WebhookGateway):
            back = one.callback_secret_file
            own = WebhookConfig(
                name=name,
                url=one.url,
                secret=settings.secret(one.secret_file, credentials),
                callback_secret=settings.secret(back, credentials) if back else "",
                timeout=one.timeout.total_seconds(),
                repeat=one.repeat,
                revoke=one.revoke,
                query=one.query,
            )
            channel = Webhook(own, transport, used)
        else:
            channel = DryRun(name, settings.path(one.folder), scrub)
        found[name] = Gateway(
            channel,
            one.connections,
            one.timeout.total_seconds(),
            one.doubt_wait,
            one.retry_base,
            one.retry_cap,
            one.signature,
            one.per_second,
        )
    return Routes(found, settings.channels)
