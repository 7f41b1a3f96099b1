"""A page that stands alone: everything from outside is text, nothing is loaded or run."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from daemon import page


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


@given(st.text("<>&\"'/abc script", min_size=1, max_size=30))
def test_no_text_becomes_markup(text):
    seen = Tags()
    made = [page.heading(text), page.paragraph(text), page.verbatim(text), page.table([text], [[text]])]
    seen.feed(page.page(text, made, text))
    assert set(seen.tags) <= {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "h1",
        "h2",
        "p",
        "pre",
        "table",
        "thead",
        "tr",
        "th",
        "tbody",
        "td",
        "footer",
    }
    assert sum(found == text for found in seen.texts) >= 7


def test_a_marked_row_and_a_number_show():
    made = page.table(["桶", "数"], [["notify", 1234], ["held", 0]], findings=[1])
    assert '<tr class="finding"><td>held</td>' in made and '<td class="number">1,234</td>' in made
