"""What `alarms:` in `config/duenotice.yaml` says: ways to people on duty, who is called first, who next."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from daemon.settings_types import Name, Secret, Section, Span, Text


class RobotWay(Section):
    """A group robot. Its address holds its key, so a file names it; DingTalk signs with a secret beside."""

    type: Literal["wecom", "dingtalk"]
    url_file: Secret
    secret_file: str = ""


class MailWay(Section):
    """Mail over STARTTLS. `to_file`: addresses, one a line."""

    type: Literal["mail"]
    host: Text
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    sender: Text
    to_file: Secret
    user: str = ""
    password_file: str = ""


class TextsWay(Section):
    """Text messages by a gateway of `channels.yaml`. `to_file`: numbers, one a line."""

    type: Literal["texts"]
    gateway: Name
    to_file: Secret


AlarmWay: TypeAlias = Annotated[RobotWay | MailWay | TextsWay, Field(discriminator="type")]


class Escalation(Section):
    """An urgent page that nobody has acknowledged after so long is told by these ways."""

    after: Span
    ways: tuple[Name, ...]


class HeartbeatSettings(Section):
    """An address on another host that calls a person when it hears nothing any more."""

    url_file: Secret
    every: Span = timedelta(seconds=60)


class AlarmSettings(Section):
    """`warning` and `urgent`: ways called at once. `again`: how often the last step of an urgent page is repeated."""

    ways: dict[Name, AlarmWay] = Field(default_factory=dict)
    warning: tuple[Name, ...] = ()
    urgent: tuple[Name, ...] = ()
    escalate: tuple[Escalation, ...] = ()
    again: Span | None = None
    heartbeat: HeartbeatSettings | None = None
