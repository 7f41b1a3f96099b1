"""The configuration: four YAML files read once, overridden by DUENOTICE_* variables, as frozen values.

    config/duenotice.yaml   this installation: folders, keys, trail, rules, web, polls, delivery, log
    config/sources.yaml     how each source is reached (what is read there stands in the signed kinds)
    config/channels.yaml    gateways, and which of them carries each channel
    config/carriers.yaml    what each operator granted: chatbots, ports, filed templates, quotas

A variable overrides one key: `DUENOTICE_WEB__PORT=8444`, `DUENOTICE_GATEWAYS__MAIN__ROOT=…`. A secret is never written
here: `…_file` names a file, or a systemd credential when it is a bare name that $CREDENTIALS_DIRECTORY holds. Relative
paths are relative to the folder of the configuration. All mistakes are reported together, each with file, line and
column. Opening what the settings name is left to those who use it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from daemon.errors import KeyUnusable
from daemon.settings_alarms import AlarmSettings
from daemon.settings_gateways import Carrier, Gateway
from daemon.settings_types import Name, Secret, Section, Span, Text

ENV_PREFIX = "DUENOTICE_"
MAX_SECRET_BYTES = 65_536


class StoreSettings(Section):
    """Where the store lies: the state folder's SQLite, or what the secret says (`postgresql+psycopg://…`)."""

    url_file: Secret | None = None


class KeySettings(Section):
    """The key file (`duenotice init`)."""

    file: Secret = "keys.json"


class TrailSettings(Section):
    """The published log. `origin` names it for ever; `heads` should lie on another file system than the state. `write_once`: a
    folder from which nothing is taken back, which gets the head at most every `write_once_every`. `heartbeat`: after so long
    a record says that the daemon is there."""

    origin: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._/-]{3,128}$")] = "duenotice.example/trail"
    folder: Path = Path("../state/log")
    heads: Path = Path("../heads/heads.db")
    every: Span = timedelta(seconds=60)
    write_once: Path | None = None
    write_once_every: Span = timedelta(hours=1)
    heartbeat: Span = timedelta(minutes=10)


class RuleSettings(Section):
    """The folder that holds `rules/` and `templates/`. `unsigned: allow` is development mode. `mutation_score`: the share of
    a rule's mutants that its cases must kill before a change of its logic is signed; 0 asks only that its cases pass."""

    folder: Path = Path("..")
    unsigned: Literal["allow", "refuse"] = "refuse"
    mutation_score: Annotated[Decimal, Field(ge=0, le=1)] = Decimal("0.95")


class WebSettings(Section):
    """Where callbacks come in. `public_url` is how gateways reach it, '' when they are told otherwise. `health_port`: of `/health`
    in a process that takes no callbacks, 0: none."""

    host: Text = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8443
    health_port: Annotated[int, Field(ge=0, le=65535)] = 0
    public_url: Annotated[str, StringConstraints(max_length=500)] = ""


class PollSettings(Section):
    """Poll children; `urgent` of them serve feeds of first priority only."""

    children: Annotated[int, Field(ge=1, le=64)] = 2
    urgent: Annotated[int, Field(ge=0, le=63)] = 1
    retry: Span = timedelta(minutes=1)


class DeliverSettings(Section):
    """How often delivery looks for what is due when nothing wakes it. `lease`: how long what it claims is its own; longer than a
    gateway's `timeout`, or nothing is sent."""

    every: Span = timedelta(seconds=1)
    lease: Span = timedelta(seconds=90)


class LogSettings(Section):
    """The operational log on stderr."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


class Complete(Section):
    """When a file is whole: a flag file is there, or nothing changes for so many seconds."""

    flag: str = ""
    stable: Annotated[Decimal, Field(gt=0, le=600)] | None = None


class SourceSettings(Section):
    """One source; the fields are those of sources.config.SourceConfig, which checks how they go together."""

    type: Literal["sql", "files", "http"]
    url: str = ""
    url_file: str = ""
    read_only: bool = True
    connect_timeout: Annotated[int, Field(ge=1, le=100_000)] = 10
    query_timeout: Annotated[int, Field(ge=1, le=100_000)] = 300
    batch: Annotated[int, Field(ge=1, le=100_000)] = 2000
    folder: str = ""
    encoding: str = ""
    complete: Complete = Complete()
    layout: str = ""
    delimiter: str = ","
    max_bytes: Annotated[int, Field(ge=1)] = 536_870_912
    token_file: str = ""
    rows: str = ""
    next: str = ""
    cursor: str = "cursor"
    said: str = ""


class Settings(BaseSettings):
    """The whole configuration. Made by `settings_files.load`."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    node: Name = "n1"
    lang: Literal["zh", "en"] = "zh"
    state: Path = Path("../state")
    store: StoreSettings = StoreSettings()
    keys: KeySettings = KeySettings()
    trail: TrailSettings = TrailSettings()
    rules: RuleSettings = RuleSettings()
    web: WebSettings = WebSettings()
    polls: PollSettings = PollSettings()
    deliver: DeliverSettings = DeliverSettings()
    alarms: AlarmSettings = AlarmSettings()
    log: LogSettings = LogSettings()
    sources: dict[Name, SourceSettings] = {}
    gateways: dict[Name, Gateway] = {}
    channels: dict[Name, tuple[Name, ...]] = {}
    carriers: dict[Name, Carrier] = {}
    folder: Path = Path()
    """The folder of the configuration; set by loading, no key of a file."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what loading hands over: files and variables are merged there, so that a finding knows its place."""
        return (init_settings,)

    def path(self, found: Path | str) -> Path:
        """A path of the configuration, absolute."""
        return (self.folder / Path(found).expanduser()).resolve()

    def source(self, name: str) -> dict[str, Any]:
        """What `SourceConfig.from_mapping` takes of one source, with its folder, layout and SQLite file made absolute."""
        found = self.sources[name].model_dump(exclude_unset=True)
        for key in ("folder", "layout"):
            if found.get(key):
                found[key] = str(self.path(found[key]))
        scheme, slashes, file = found.get("url", "").partition(":///")
        if slashes and scheme.startswith("sqlite") and file and file != ":memory:":
            found["url"] = f"{scheme}:///{self.path(file)}"
        return found

    def secret(self, name: str, credentials: Path | None = None) -> str:
        """The text of a secret, without the line end. `credentials` is $CREDENTIALS_DIRECTORY of the service.

        Raises KeyUnusable when it cannot be read, is open to others, or is too long; never shows it.
        """
        return read_secret(self.secret_path(name, credentials), credentials)

    def secret_path(self, name: str, credentials: Path | None = None) -> Path:
        """Where a secret lies: the credential of that bare name if there is one, else the file."""
        if credentials is not None and "/" not in name and (credentials / name).exists():
            return credentials / name
        return self.path(name)


def read_secret(path: Path, credentials: Path | None = None) -> str:
    """The text of a secret file of mode 0600 (a credential carries the manager's own mode). Raises KeyUnusable."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as reason:
        raise KeyUnusable(f"{path}: cannot be read ({reason.strerror}), expected a file with a secret") from None
    with os.fdopen(descriptor, "rb") as source:
        mode = stat.S_IMODE(os.fstat(source.fileno()).st_mode)
        if mode & 0o077 and (credentials is None or path.parent != credentials):
            raise KeyUnusable(f"{path}: mode {mode:04o}, expected 0600")
        raw = source.read(MAX_SECRET_BYTES + 1)
    try:
        text = raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise KeyUnusable(f"{path}: not UTF-8 text, expected a secret") from None
    if not text or len(raw) > MAX_SECRET_BYTES:
        raise KeyUnusable(f"{path}: {len(raw)} bytes, expected a secret of 1 to {MAX_SECRET_BYTES}")
    return text


def credentials_folder(env: Mapping[str, str]) -> Path | None:
    """systemd's credentials folder, where the service has one."""
    found = env.get("CREDENTIALS_DIRECTORY", "")
    return Path(found) if found else None
