"""xlsx out: texts stay texts, equal sheets are equal bytes, read back by a reader that is not ours."""

import io
import zipfile
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from daemon.workbook import Sheet, workbook


def read(raw: bytes, name: str) -> list:
    return CalamineWorkbook.from_filelike(io.BytesIO(raw)).get_sheet_by_name(name).to_python()


def test_cells_come_back_as_they_were():
    raw = workbook([Sheet("名单", ["客户", "数", "金额"], [["c1", 3, Decimal("1.10")], ["c2", None, None]])])
    assert read(raw, "名单") == [["客户", "数", "金额"], ["c1", 3.0, "1.10"], ["c2", "", ""]]


def test_equal_sheets_are_equal_bytes():
    sheets = [Sheet("a", ["x"], [["1"], ["2"]])]
    assert workbook(sheets) == workbook(sheets)


@settings(max_examples=50)
@given(
    st.sampled_from(["=", "+", "-", "@", "\t", "＝", "＋", "－", "＠"]),
    st.text("abc(1)!A", min_size=1, max_size=12),
)
def test_no_text_becomes_a_formula(first, rest):
    raw = workbook([Sheet("s", ["x"], [[first + rest]])])
    book = CalamineWorkbook.from_filelike(io.BytesIO(raw))
    assert book.get_sheet_by_name("s").to_python()[1] == [first + rest]

    with zipfile.ZipFile(io.BytesIO(raw)) as parts:
        inner = parts.read("xl/worksheets/sheet1.xml").decode()
        assert "<f>" not in inner
        assert 'quotePrefix="1"' in parts.read("xl/styles.xml").decode()
