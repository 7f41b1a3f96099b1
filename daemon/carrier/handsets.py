"""Which handset a number has, and every other draw of the stand-in: a seeded hash, so that a run can be repeated."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum


class Handset(StrEnum):
    """What answers at a number."""

    FIVEG = "fiveg"  # on, takes 5G messages
    ASLEEP = "asleep"  # takes 5G messages, but is off the network for a while
    RCS_OFF = "rcs_off"  # a 5G handset whose owner has 5G messages switched off: SMS only
    SMS_ONLY = "sms_only"
    OFF = "off"  # never on: the SMS network takes what it is handed, nothing arrives
    BLANK = "blank"  # no such number
    REFUSES = "refuses"  # the handset turns the message away


def draw(seed: int, *what: object) -> float:
    """A number in [0, 1), the same for the same arguments: the first 53 bits of SHA-256 over them."""
    digest = hashlib.sha256("\0".join([str(seed), *map(str, what)]).encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def between(span: tuple[float, float], at: float) -> float:
    """The point of `span` that a draw `at` in [0, 1) falls on."""
    low, high = span
    return low + (high - low) * at


def handset_of(seed: int, msisdn: str, shares: Mapping[str, float]) -> Handset:
    """The handset at `msisdn`: `shares` in their order, the rest is FIVEG."""
    at, upto = draw(seed, "handset", msisdn), 0.0
    for kind, share in shares.items():
        upto += share
        if at < upto:
            return Handset(kind)
    return Handset.FIVEG
