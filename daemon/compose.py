"""From settings to the parts of a service: the one place where configuration becomes objects."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date, datetime
from functools import partial

from daemon.activation import Rulebook
from daemon.app_parts import open_sources
from daemon.children import ChildConfig
from daemon.clock import Clock
from daemon.errors import ConfigError
from daemon.gateways import open_calling, open_routes
from daemon.log import logger
from daemon.parts import Parts
from daemon.rules.approval_files import read_approvals
from daemon.rules.load import Loaded, load, read_folder
from daemon.security.keyring import Keyring
from daemon.settings import Settings, credentials_folder
from daemon.sources.config import SourceConfig
from daemon.store.db import Store
from daemon.transport import BulkTransport, HttpxTransport, Transport


def open_keyring(settings: Settings) -> Keyring:
    """The configured keys. Raises KeyUnusable."""
    credentials = credentials_folder(os.environ)
    return Keyring.load(settings.secret_path(settings.keys.file, credentials), credentials)


def open_store(settings: Settings) -> Store:
    """The configured store. Raises KeyUnusable, ConfigError."""
    credentials = credentials_folder(os.environ)
    keyring = open_keyring(settings)
    url = settings.secret(settings.store.url_file, credentials) if settings.store.url_file else ""
    return Store.open(settings.path(settings.state), keyring=keyring, node=settings.node, url=url)


def source_configs(settings: Settings) -> tuple[dict[str, SourceConfig], dict[str, str]]:
    """The sources and the secrets they name. Raises ConfigError."""
    credentials = credentials_folder(os.environ)
    configs = {name: SourceConfig.from_mapping(name, settings.source(name)) for name in settings.sources}
    secrets = {n: settings.secret(n, credentials) for c in configs.values() for n in c.secret_names}
    return configs, secrets


def rule_loader(settings: Settings) -> Callable[[], Loaded]:
    """Reads the configured rule folder anew each time it is called."""
    return lambda: load(read_folder(settings.path(settings.rules.folder)))


def rulebook(settings: Settings) -> Rulebook:
    """The configured rule folder, its approvals, and whether development mode is on."""
    folder = settings.path(settings.rules.folder)
    approvals = partial(read_approvals, folder)
    return Rulebook(rule_loader(settings), approvals, settings.rules.unsigned == "allow")


def parts(
    settings: Settings,
    clock: Clock,
    *,
    role: str = "all",
    covers: Callable[[str, date], bool] = lambda feed, day: True,
    since: datetime | None = None,
    reread: Callable[[], Settings] | None = None,
    transport: Transport | None = None,
    store: Store | None = None,
) -> Parts:
    """Everything `App` needs; `reread` reads the configuration anew for a reload; `transport` replaces the network to gateways,
    `store` the configured one. Must be called in the loop that will run it.

    Raises ConfigError before any work.
    """
    credentials = credentials_folder(os.environ)
    store = store or open_store(settings)
    configs, secrets = source_configs(settings)
    people = HttpxTransport()
    bulk = BulkTransport(connections=sum(one.connections for one in settings.gateways.values()) or 1)
    url = settings.secret(settings.store.url_file, credentials) if settings.store.url_file else ""
    child = ChildConfig(
        folder=settings.path(settings.state),
        key_file=settings.secret_path(settings.keys.file, credentials),
        credentials=credentials,
        node=f"{settings.node}-poll",
        url=url,
        sources=configs,
        secrets=secrets,
        log_level=settings.log.level,
    )
    routes = open_routes(settings, store, transport or bulk, credentials)
    heads = settings.path(settings.trail.heads)
    heads.parent.mkdir(parents=True, exist_ok=True)
    return Parts(
        store=store,
        clock=clock,
        sources=open_sources(configs, secrets),
        routes=routes,
        calling=open_calling(settings, store, clock, people, routes, credentials),
        children=child,
        rules=rulebook(settings),
        log_dir=settings.path(settings.trail.folder),
        heads=heads,
        origin=settings.trail.origin,
        role=role,
        host=settings.web.host,
        port=settings.web.port,
        health_port=settings.web.health_port,
        lease=settings.deliver.lease,
        poll_children=settings.polls.children,
        covers=covers,
        since=since,
        publish_every=settings.trail.every.total_seconds(),
        write_once=None if settings.trail.write_once is None else settings.path(settings.trail.write_once),
        keep_every=settings.trail.write_once_every.total_seconds(),
        beat_every=settings.trail.heartbeat.total_seconds(),
        pass_every=settings.deliver.every.total_seconds(),
        changed=lambda: changed_sections(settings, reread),
        closers=(bulk.aclose, people.aclose),
    )


def changed_sections(settings: Settings, reread: Callable[[], Settings] | None) -> list[str]:
    """The sections of the configuration that differ from what runs, `unreadable` where it cannot be read any more."""
    if reread is None:
        return []
    try:
        now = reread()
    except ConfigError as wrong:
        for finding in wrong.findings:
            logger.error("the configuration has a mistake", action="reload", finding=str(finding))
        return ["unreadable"]
    return [name for name in type(settings).model_fields if getattr(now, name) != getattr(settings, name)]
