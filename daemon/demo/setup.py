"""A demo's folder: back office, keys, secrets and settings, made once; a second run finds them and goes on."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from daemon.demo.driver import Plan, write_private
from daemon.demo.generator import generate
from daemon.security.keyring import Keyring
from daemon.settings import Settings
from daemon.settings_files import load_settings

PLAN = "demo.json"
SECRETS = ("control_token", "app_key", "callback_token")


def prepare(
    folder: Path, *, days: tuple[date, ...], clients: int, seed: int, repeat: str, profile: str, public: Path
) -> Plan:
    """Make the folder, or check that it is a demo of the same plan. Raises ValueError for another one."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    wanted: dict[str, Any] = {
        "days": [d.isoformat() for d in days],
        "clients": clients,
        "seed": seed,
        "profile": profile,
    }
    file = folder / PLAN
    if file.exists():
        found = json.loads(file.read_text())
        differs = [key for key, value in wanted.items() if found[key] != value]
        if differs:
            raise ValueError(f"{folder} holds a demo with other {', '.join(differs)}; name another folder or remove it")
    else:
        made = generate(folder / "backoffice", clients=clients, seed=seed, days=days, public=public)
        for name in SECRETS:
            write_private(folder / f"{name}.txt", secrets.token_hex(16))
        if not (folder / "keys.json").exists():
            Keyring.create(folder / "keys.json")
        covered = {day.isoformat(): list(families) for day, families in made.covered.items()}
        found = wanted | {"covered": covered, "tables": dict(made.tables), "files": dict(made.files)}
        write_private(file, json.dumps(found, ensure_ascii=False, indent=1))
    covered_days = {date.fromisoformat(day): tuple(f) for day, f in found["covered"].items()}
    return Plan(folder, days, clients, seed, repeat, profile, covered_days)


def secrets_of(plan: Plan) -> dict[str, str]:
    """What the carrier and the gateway must both know."""
    return {name: (plan.folder / f"{name}.txt").read_text() for name in SECRETS}


def settings_for(plan: Plan, rules: Path, connections: int = 50) -> Callable[[int], Settings]:
    """Writes the demo's configuration, which every command takes by `--config`, for the port the carrier got, and reads it."""

    def settings(port: int) -> Settings:
        config = plan.folder / "config"
        config.mkdir(mode=0o700, exist_ok=True)
        main = MAIN.format(rules=json.dumps(str(rules.resolve())))
        repeat = {"honour": "yes", "ignore": "no", "refuse": "no"}[plan.repeat]
        write_private(config / "duenotice.yaml", main)
        write_private(config / "channels.yaml", CHANNELS.format(port=port, repeat=repeat, connections=connections))
        write_private(config / "sources.yaml", SOURCES)
        write_private(config / "carriers.yaml", CARRIERS)
        return load_settings(config / "duenotice.yaml")

    return settings


MAIN = """\
# The demo's installation; made by `duenotice demo`.
node: demo
state: ../state
keys: {{file: ../keys.json}}
trail: {{origin: demo.example/duenotice, folder: ../trail, heads: ../heads/heads.db}}
rules: {{folder: {rules}, unsigned: allow}}
web: {{port: 0}}
log: {{level: WARNING}}
"""

CHANNELS = """\
# One platform, the stand-in carrier, for rich cards and for text messages.
gateways:
  telecom:
    dialect: ctcu
    root: "http://127.0.0.1:{port}"
    chatbot_id: sip:106500@botplatform.rcs.domain.cn
    app_id: duenotice
    app_key_file: ../app_key.txt
    callback_token_file: ../callback_token.txt
    signature: 示例证券
    repeat: "{repeat}"
    timeout: 15s
    connections: {connections}
    doubt_wait: 60s
channels:
  rcs: [telecom]
  sms: [telecom]
"""

CARRIERS = """\
# Nobody grants anything to a stand-in.
carriers: {}
"""

SOURCES = """\
# The sample back office: a counter database, and a folder of clearing files.
sources:
  counter: {type: sql, url: "sqlite:///../backoffice/counter.sqlite"}
  clearing: {type: files, folder: ../backoffice, complete: {flag: "{stem}.flg"}}
"""
