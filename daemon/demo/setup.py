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
    wanted: dict[str, Any] = {"days": [d.isoformat() for d in days], "clients": clients, "seed": seed, "profile": profile}
    file = folder / PLAN
    if file.exists():
        found = json.loads(file.read_text())
        differs = [k for k, v in wanted.items() if found[k] != v]
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


def settings_for(plan: Plan, shipped: Path) -> Callable[[int], Settings]:
    """The shipped configuration with the demo's folder, sources and the carrier's port in it."""
    folder = plan.folder.resolve()

    def settings(port: int) -> Settings:
        gateway = {
            "dialect": "ctcu",
            "root": f"http://127.0.0.1:{port}",
            "chatbot_id": "sip:106500@botplatform.rcs.domain.cn",
            "app_id": "duenotice",
            "app_key_file": str(folder / "app_key.txt"),
            "callback_token_file": str(folder / "callback_token.txt"),
            "signature": "【示例证券】",
            "repeat": {"honour": "yes", "ignore": "no", "refuse": "no"}[plan.repeat],
            "timeout": "15s",
            "doubt_wait": "60s",
        }
        overrides = {
            "state": str(folder / "state"),
            "keys": {"file": str(folder / "keys.json")},
            "trail": {"folder": str(folder / "trail"), "heads": str(folder / "heads" / "heads.db")},
            "rules": {"folder": str(shipped.parent), "unsigned": "allow"},
            "web": {"port": 0},
            "log": {"level": "WARNING"},
            "gateways": {"telecom": gateway},
            "channels": {"rcs": ["telecom"], "sms": ["telecom"]},
            "sources": {
                "counter": {"type": "sql", "url": f"sqlite:///{folder / 'backoffice' / 'counter.sqlite'}"},
                "clearing": {"type": "files", "folder": str(folder / "backoffice"), "complete": {"flag": "{stem}.flg"}},
            },
        }
        return load_settings(shipped / "duenotice.yaml", overrides=overrides)

    return settings
