"""What `config/channels.yaml` and `config/carriers.yaml` say: gateways in their dialects, what operators granted."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StringConstraints

from daemon.settings_types import Name, Secret, Section, Signature, Span, Text


class GatewayBase(Section):
    """What every gateway has. `connections` bounds the requests at once, `per_second` those in a second (0: no bound). `timeout`
    bounds one attempt; `doubt_wait` is how long a message in doubt waits for a receipt;
    `signature` is that of SMS texts, as filed with the operator, without brackets."""

    connections: Annotated[int, Field(ge=1, le=1000)] = 20
    per_second: Annotated[int, Field(ge=0, le=10_000)] = 0
    timeout: Span = timedelta(seconds=30)
    doubt_wait: Span = timedelta(seconds=60)
    retry_base: Span = timedelta(seconds=2)
    retry_cap: Span = timedelta(minutes=5)
    signature: Signature = ""


class CtcuGateway(GatewayBase):
    """A CT/CU chatbot. `button_bytes: 0` counts characters only. `repeat`: does the platform honour a repeated messageId; the
    specification does not say."""

    dialect: Literal["ctcu"]
    root: Annotated[str, StringConstraints(pattern=r"^https?://[^\s?#]+$")]
    chatbot_id: Annotated[str, StringConstraints(pattern=r"^sip:[^\s@]+@[^\s@]+$")]
    app_id: Text
    app_key_file: Secret
    callback_token_file: Secret
    version: Name = "v1"
    button_bytes: Annotated[int, Field(ge=0, le=200)] = 25
    repeat: Literal["yes", "no", "unknown"] = "unknown"


class DryrunGateway(GatewayBase):
    """Cards as files in a folder: nothing leaves."""

    dialect: Literal["dryrun"]
    folder: Path


class WebhookGateway(GatewayBase):
    """A gateway of the firm's own: signed JSON to `url`, receipts back under their own secret, none where `callback_secret_file` is
    ''. `repeat`: does it take a repeated `webhook-id` for the same message; `revoke`: does it call back;
    `query`: does it say whether it has taken an id."""

    dialect: Literal["webhook"]
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s?#]+$")]
    secret_file: Secret
    callback_secret_file: Annotated[str, StringConstraints(max_length=500)] = ""
    repeat: Literal["yes", "no", "unknown"] = "unknown"
    revoke: bool = False
    query: bool = False


Gateway: TypeAlias = Annotated[CtcuGateway | DryrunGateway | WebhookGateway, Field(discriminator="dialect")]


class Filed(Section):
    """A card's text as filed with an operator."""

    card: Text
    template_id: Text
    state: Literal["filed", "pending", "refused"]
    expires: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class Grant(Section):
    """What an operator granted for one class of messages. Prices in yuan a message."""

    gateway: Name
    port: Annotated[str, StringConstraints(pattern=r"^[0-9]{5,20}$")]
    signature: Signature
    links: bool = False
    per_second: Annotated[int, Field(ge=1)]
    per_day: Annotated[int, Field(ge=1)]
    price: Annotated[Decimal, Field(ge=0)]
    templates: tuple[Filed, ...] = ()


class Carrier(Section):
    """One operator: number ranges that are a first guess of it, and what it granted by class of messages."""

    title: Text
    prefixes: tuple[Annotated[str, StringConstraints(pattern=r"^1[0-9]{2,6}$")], ...] = ()
    service: Grant
    marketing: Grant | None = None
