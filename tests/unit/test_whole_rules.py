"""Whole rules: what the compiled rule decides is what a plain reading of its text decides, on any fact."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping

import pytest

from daemon.model.decisions import Bucket
from daemon.model.kinds import Value
from daemon.rules.decider import Decider
from daemon.rules.evaluate import Env
from daemon.rules.verdicts import Verdict, Verdicts
from tests.made_rules import Made, walk
from tests.trees import ENV, exactly


class Counting(Verdicts):
    """Verdicts that know how many facts the straight code left to the three-valued program."""

    left = 0

    def walked(self, values: Mapping[str, Value], env: Env) -> Verdict:
        self.left += 1
        return super().walked(values, env)


def differences(seed: int, rules: int, facts: int) -> tuple[list[str], Counter[str]]:
    """What differs in bucket, reason, level, marks, cured levels or any value; and how often each bucket was found."""
    rng = random.Random(seed)
    found: list[str] = []
    seen: Counter[str] = Counter()
    for number in range(rules):
        made = Made(rng)
        decider = Decider(made.ruleset, made.rule)
        drawn = [(made.fact(), made.gates()) for _ in range(facts)]
        decider.verdicts = counting = Counting(made.rule, decider.program)
        verdicts = counting.many([values for values, _ in drawn], ENV)
        for (values, gates), verdict in zip(drawn, verdicts, strict=True):
            before = counting.left
            said, ours = walk(made, values, gates, ENV), decider.decide(values, (), True, gates, ENV)
            seen[f"{ours.bucket} {'straight' if counting.left == before else 'walked'}"] += 1
            wanted = (said.bucket, said.reason, said.level, said.marks, said.cured)
            got = (ours.bucket, ours.reason, ours.level, ours.marks, ours.cured)
            context = decider.context(ours.operands, ENV)
            values_differ = [n for n, value in context.items() if exactly(value) != exactly(said.values[n])]
            again = decider.decide(values, (), True, gates, ENV, verdict)
            walked = counting.walked(values, ENV)
            if wanted != got or values_differ or again != ours or walked != verdict:
                found.append(f"rule {number} of seed {seed}: {made.rule}\n{values}\n{wanted}\n{got}\n{values_differ}")
    return found, seen


def test_compiled_rules_decide_as_their_text_reads() -> None:
    found, seen = differences(seed=20240201, rules=60, facts=25)
    assert not found, found[0]
    assert {f"{bucket} walked" for bucket in Bucket} <= seen.keys()
    assert {"notify straight", "no_match straight", "indeterminate straight"} <= seen.keys()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_four_thousand_compiled_rules_decide_as_their_text_reads(seed: int) -> None:
    found, seen = differences(seed, rules=500, facts=25)
    assert sum(seen.values()) == 500 * 25
    assert not found, found[0]
