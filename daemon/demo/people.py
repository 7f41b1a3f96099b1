"""Synthetic clients of the sample back office: numbers, names, phones, classes (domain.md D3).

Client `i` is a function of (seed, i) alone, so a larger population only adds clients. No phone can reach a person:
11 digits that start with `10`, a prefix that no mobile operator has. Names are put together from tables. Leaves
what a client owns or owes to allotments.py, margin_book.py and holdings.py.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

SURNAMES = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾"
    "丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤"
    "尹黎易常武乔贺赖龚文"
)
COMPOUND = ("欧阳", "司马", "上官", "诸葛", "东方", "皇甫", "尉迟", "公孙", "慕容", "司徒")
GIVEN = (
    "伟芳娜敏静丽强磊洋艳勇军杰娟涛超霞刚桂英玉兰秀华梅琳晨曦宇轩浩然梓涵欣怡雨桐子墨佳琪嘉懿思"
    "远景行若溪知夏书瑶庭筠沐阳"
)
RARE = ("𠮷", "𬭎", "𬸚", "𫖯", "𪩘")
"""Characters that GBK lacks and GB18030 writes in four bytes."""

FOREIGN = ("Alexandria Featherstonhaugh", "阿依古丽·买买提江", "Bartholomew O'Shaughnessy", "迪力木拉提·艾合买提")
STATUS = (
    ("0", 0.971), ("4", 0.005), ("5", 0.005), ("6", 0.003), ("7", 0.002), ("1", 0.006), ("2", 0.005), ("3", 0.003)
)  # fmt: skip
"""Normal, dormant, id expired, minor, special care, frozen, closed, deceased."""

MINOR = "6"

RISK = (("C1", 0.08), ("C2", 0.22), ("C3", 0.35), ("C4", 0.25), ("C5", 0.10))
INSTITUTIONS = ("样例一号私募投资基金", "样例投资合伙企业", "样例实业有限公司", "样例咨询有限公司")


@dataclass(frozen=True, slots=True)
class Person:
    """One client. `mobile` is None for 1 %; `sh` and `sz` hold one stock account or two."""

    number: int
    client_id: str
    name: str
    organ_flag: str
    status: str
    mobile: str | None
    risk_level: str
    open_date: date
    fund_account: str
    sh: tuple[str, ...]
    sz: tuple[str, ...]


def draw(seed: int, *labels: str | int) -> Random:
    """A random stream of its own for one purpose: the same labels always give the same figures."""
    text = "\x1f".join(map(str, (seed, *labels)))
    return Random(
        int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
    )  # the same people for the same seed  # nosec B311


def lognormal(rng: Random, median: float, sigma: float) -> float:
    """A draw whose median is `median`."""
    return median * math.exp(rng.gauss(0.0, sigma))


def choose(u: float, table: tuple[tuple[str, float], ...]) -> str:
    """The code into whose share `u` (0 to 1) falls; the last code takes what rounding leaves."""
    for code, share in table:
        u -= share
        if u < 0:
            return code
    return table[-1][0]


class Numbers:
    """Numbers for clients, no two alike under one label: number * M + offset modulo 10**digits, M prime to 10."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._offsets: dict[str, int] = {}

    def of(self, label: str, number: int, digits: int) -> str:
        """`digits` digits for client `number` under `label`."""
        if label not in self._offsets:
            self._offsets[label] = draw(self._seed, "offset", label).randrange(10**digits)
        return f"{(number * 7_368_787 + self._offsets[label]) % 10**digits:0{digits}d}"


def person(seed: int, number: int, numbers: Numbers) -> Person:
    """Client `number`. Its draws come in a fixed order, so a new attribute is drawn last."""
    rng = draw(seed, "client", number)
    organ = rng.random() < 0.012
    name = f"{INSTITUTIONS[number % len(INSTITUTIONS)]}{number:06d}" if organ else _name(rng)
    status, risk = choose(rng.random(), STATUS), choose(rng.random(), RISK)
    mobile = None if rng.random() < 0.01 else "10" + numbers.of("mobile", number, 9)
    opened = date(2005, 1, 4) + timedelta(days=rng.randrange(6_700))
    second_sh, second_sz = rng.random() < 0.03, rng.random() < 0.03
    sh, sz = numbers.of("sh", number, 8), numbers.of("sz", number, 8)
    return Person(
        number,
        "S" + numbers.of("client", number, 10),
        name,
        "1" if organ else "0",
        status,
        mobile,
        risk,
        opened,
        numbers.of("fund", number, 12),
        (f"A1{sh}", f"A2{sh}") if second_sh else (f"A1{sh}",),
        (f"01{sz}", f"02{sz}") if second_sz else (f"01{sz}",),
    )


def _name(rng: Random) -> str:
    """Two characters 15 %, three 80 %, four with a compound surname 4 %, long or foreign 0.5 %, outside GBK 0.2 %."""
    u = rng.random()
    first, second = rng.choice(GIVEN), rng.choice(GIVEN)
    surname = rng.choice(SURNAMES)
    if u < 0.002:
        return surname + rng.choice(RARE) + second
    if u < 0.007:
        return rng.choice(FOREIGN)
    if u < 0.047:
        return rng.choice(COMPOUND) + first + second
    return surname + first if u < 0.197 else surname + first + second
