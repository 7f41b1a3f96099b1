"""Which gateways take messages: a breaker that opens again by a probe, a quota that bars until its period ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from daemon.channels.channel import Verdict, VerdictKind
from daemon.deliver.health import FAILURES, FIRST, LONGEST, PROBE, Health

NOW = datetime(2024, 2, 1, tzinfo=UTC)
GOOD = Verdict(VerdictKind.ACCEPTED, "0")
BUSY = Verdict(VerdictKind.TRANSIENT, "-1", group="busy")
LOST = Verdict(VerdictKind.IN_DOUBT, "lost", group="network")
REJECTED = Verdict(VerdictKind.PERMANENT, "46001", group="recipient")
SPENT = Verdict(VerdictKind.THROTTLED, "30001", retry_after=3600.0, group="quota_day")
RATE = Verdict(VerdictKind.THROTTLED, "30003", group="rate")


def failing() -> Health:
    health = Health()
    assert [health.heard("g", LOST, NOW) for _ in range(FAILURES)] == [""] * (FAILURES - 1) + ["closed"]
    return health


def test_an_unknown_gateway_is_open() -> None:
    assert Health().admits("g", NOW) and Health().reopens(["g"], NOW) is None


def test_failures_in_a_row_close_it_and_a_good_answer_starts_the_count_anew() -> None:
    health = Health()
    for verdict in (*[BUSY] * (FAILURES - 1), REJECTED, *[LOST] * (FAILURES - 1), RATE):
        health.heard("g", verdict, NOW)
        assert health.admits("g", NOW)
    failing()


def test_one_probe_at_a_time_and_a_good_one_opens_it() -> None:
    health, later = failing(), NOW + FIRST
    assert not health.admits("g", later - timedelta(milliseconds=1))
    assert health.admits("g", later) and not health.admits("g", later)
    assert health.heard("g", GOOD, later) == "opened"
    assert health.admits("g", later) and health.admits("g", later)


def test_a_probe_that_fails_closes_it_for_longer_up_to_a_bound() -> None:
    health, now, wait = failing(), NOW, FIRST
    for _ in range(8):
        now += wait
        assert health.admits("g", now)
        assert health.heard("g", BUSY, now) == ""
        wait = min(wait * 2, LONGEST)
        assert not health.admits("g", now + wait - timedelta(milliseconds=1))


def test_a_probe_that_is_never_answered_is_forgotten() -> None:
    health, later = failing(), NOW + FIRST
    assert health.admits("g", later)
    assert not health.admits("g", later + PROBE - timedelta(milliseconds=1))
    assert health.admits("g", later + PROBE)


def test_a_spent_quota_bars_until_its_period_ends() -> None:
    health = Health()
    assert health.heard("g", SPENT, NOW) == "closed"
    assert health.reopens(["g"], NOW) == NOW + timedelta(hours=1)
    assert health.reopens(["g", "other"], NOW) is None
    assert health.admits("g", NOW + timedelta(hours=1))


def test_refused_credentials_bar_for_a_while() -> None:
    health = Health()
    assert health.heard("g", Verdict(VerdictKind.AUTH, "40014", group="token"), NOW) == "closed"
    assert not health.admits("g", NOW)


verdicts = st.sampled_from([GOOD, BUSY, LOST, REJECTED, SPENT, RATE])


@given(st.lists(st.tuples(verdicts, st.integers(0, 4000)), max_size=30))
def test_whatever_was_heard_it_is_worth_asking_again_some_time(heard: list[tuple[Verdict, int]]) -> None:
    health, now = Health(), NOW
    for verdict, seconds in heard:
        now += timedelta(seconds=seconds)
        health.heard("g", verdict, now)
    reopens = health.reopens(["g"], now)
    assert health.admits("g", reopens or now)
    assert reopens is None or now <= reopens <= now + timedelta(hours=1)
