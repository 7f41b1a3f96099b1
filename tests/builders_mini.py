"""A small rule set of one kind, one rule and one card, made of text, for tests of what reads rules as a whole."""

from __future__ import annotations

from daemon.rules.load import load
from daemon.rules.schema import RuleSet
from tests.builders_rules import shipped_files

NAME = "desk/debt"
RULE_PATH = "rules/desk/debt.yaml"
CASES_PATH = "rules/desk/debt.cases.yaml"
PARAMETERS_PATH = "rules/parameters/desk.yaml"
CARD_PATH = "templates/desk/debt.card.yaml"

KIND = """\
kind: debt
title: 欠款
key: [client_no, business_date]
subject: client_no
client: client_no
business_date: business_date
fields:
  client_no: {type: id, label: 客户号, required: true, personal: C2}
  business_date: {type: date, label: 业务日期, required: true}
  owed: {type: money, label: 欠款, personal: C2}
  desk: {type: enum, label: 柜台, values: [north, south], required: true}
feeds:
  debts:
    basis: day
    schedule: "08:30 sessions"
    late_after: 20m
    parts:
      counter:
        source: counter
        query: SELECT client_no, day, owed, desk FROM debt WHERE day = :business_date ORDER BY client_no
        keyed: SELECT client_no, day, owed, desk FROM debt WHERE day = :business_date AND client_no IN :keys
        key_columns: [client_no]
        columns: {client_no: client_no, business_date: day, owed: owed, desk: desk}
"""

PARAMETERS = """\
parameters:
  line:
    label: 提醒线
    type: money
    unit: 元
    values:
      - {from: 2020-01-01, value: 100, reference: FIRM-OPS}
    reviewed_on: 2026-06-30
    reviewed_by: 零售业务部
    review_every: 365d
"""

CARD = """\
card: desk/debt
category: service
fields:
  - owed money
constants:
  firm_phone: "10900000000"
marks:
  late: {text: 本通知晚于原定时间发出。, sms: （补发）}
  stale_as_of: {text: "数据截至{{ stale_as_of|time }}。", sms: "（数据截至{{ stale_as_of|time }}）"}
  correction: {text: 此前发送的通知有变更，请以本通知为准。, sms: （更正）}
sms_parts: 3
variants:
  - name: owed
    title: 欠款提醒
    description: 您的欠款为{{ owed|money }}元。咨询电话：{{ firm_phone }}
    sms:
      - 您有欠款未还，金额请登录本公司App查看。咨询{{ firm_phone }}
"""

RULE = """\
rule: desk/debt
title: 欠款提醒
kind: debt
category: service
owner: 零售业务部
references: [LAW-ES-011]
effective: 2020-01-01
when: owed > line
occurrence: [business_date]
terms: [owed]
stages:
  notice:
    at: T 09:00
    deadline: T 15:00
    after:
      - {in: 10m, do: next_channel}
    late: drop
gates: {consent: none}
recheck: {fresh: 5m, if_unasked: send}
channels: [rcs, sms]
discharge: {rcs: delivered, sms: delivered}
cap: {maximum: 100}
card: desk/debt
"""

HEAD = """\
rule: desk/debt
date: 2024-02-01
given: {client_no: S0000000001, business_date: 2024-02-01, owed: 100.01, desk: north}
cases:
"""

CASES = (
    """\
  - name: a cent over the line
    receipts: {rcs: handed_to_sms}
    expect:
      bucket: notify
      first: [rcs]
      next: sms
      served: false
      stages:
        notice:
          at: 2024-02-01T09:00
          deadline: 2024-02-01T15:00
          late: drop
          timers: [{at: 2024-02-01T09:10, do: next_channel}]
""",
    """\
  - name: on the line
    given: {owed: 100}
    expect: {bucket: no_match, reason: condition}
""",
    """\
  - name: a line that cannot be read
    given: {owed: {absent: invalid}}
    expect: {bucket: indeterminate, reason: "missing:owed:invalid"}
""",
    """\
  - name: an SMS that was delivered serves
    receipts: {rcs: accepted, sms: delivered}
    expect: {bucket: notify, served: true, next: none}
""",
    """\
  - name: an SMS that was handed over does not serve
    receipts: {rcs: accepted, sms: handed_to_sms}
    expect: {bucket: notify, served: false}
""",
    """\
  - name: the day before the rule takes effect
    date: 2019-12-31
    given: {business_date: 2019-12-31}
    expect: {bucket: no_match, reason: not_effective}
""",
    """\
  - name: the first day of the rule
    date: 2020-01-01
    given: {business_date: 2020-01-01}
    expect: {bucket: notify}
""",
    """\
  - name: another amount after telling is corrected
    told: {given: {owed: 200}}
    expect: {bucket: notify, correction: made}
""",
    """\
  - name: a debt that is paid after telling is not corrected
    given: {owed: 0}
    told: {given: {owed: 200}}
    expect: {bucket: no_match, correction: none}
""",
    """\
  - name: a late source does not silence
    gates: {source: late}
    expect: {bucket: notify}
""",
    """\
  - name: a refusal does not silence
    gates: {consent: out}
    expect: {bucket: notify}
""",
    """\
  - name: a client who was never asked
    gates: {consent: none}
    expect: {bucket: notify}
""",
    """\
  - name: the rule is stopped
    gates: {stopped: true}
    expect: {bucket: suppressed, reason: "gate:stopped"}
""",
    """\
  - name: a silence
    gates: {silenced: complaint}
    expect: {bucket: suppressed, reason: "gate:silence"}
""",
)
"""Cases that kill every mutant of RULE and cover all of it."""


def mini_files(rule: str = RULE, cases: tuple[str, ...] = CASES, parameters: str = PARAMETERS) -> dict[str, bytes]:
    """The files of the small set, the exchange's calendar and references of the shipped one beside them."""
    shared = {
        path: shipped_files()[path]
        for path in (
            "rules/references.yaml",
            "rules/links.yaml",
            "rules/calendars/sse.yaml",
            "rules/client_status.yaml",
        )
    }
    texts = {
        "rules/kinds/debt.yaml": KIND,
        PARAMETERS_PATH: parameters,
        CARD_PATH: CARD,
        RULE_PATH: rule,
        CASES_PATH: HEAD + "\n".join(cases),
    }
    return {**shared, **{path: text.encode() for path, text in texts.items()}}


def mini(rule: str = RULE, cases: tuple[str, ...] = CASES, parameters: str = PARAMETERS) -> RuleSet:
    """The small set, loaded. Raises FindingsError where the texts are wrong."""
    return load(mini_files(rule, cases, parameters)).required()
