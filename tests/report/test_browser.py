"""The page in a browser, opened from a file: it draws, answers, fits, and asks the network for nothing."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.report.experiments import PLANNED

CHARTS = ("curves", "heatmap", "map", "level")
FAMILIES = ("published", "pairs")
LINK_ENDS = """name => {
  const row = DATA.map.layer.flatMap(layer => DATA.map.datasets[layer.data.name]).find(row => row.link === name);
  const place = document.querySelector("#map svg.marks").getBoundingClientRect(), [left, top] = VIEWS.map.origin();
  const x = VIEWS.map.scale("x"), y = VIEWS.map.scale("y");
  return [[x(row.x), x(row.x2)].map(at => at + left + place.x), [y(row.y), y(row.y2)].map(at => at + top + place.y)];
}"""
"""Where the ends of a link are on the screen: both to the right, and both down."""


class Opened:
    """A page in the browser, with all that went wrong in it."""

    def __init__(self, browser: Any, path: Path, width: int) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900}, accept_downloads=True)
        self.troubles: list[str] = []
        self.page.on("console", lambda message: self._note(message.type in ("error", "warning"), message.text))
        self.page.on("pageerror", lambda error: self._note(True, str(error)))
        self.page.on("request", lambda request: self._note(not self._is_local(request.url), request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("body[data-drawn]", timeout=20_000)

    def _note(self, bad: bool, text: str) -> None:
        if bad:
            self.troubles.append(text)

    @staticmethod
    def _is_local(url: str) -> bool:
        return url.startswith(("file:", "data:", "blob:"))

    def texts(self, chart: str) -> list[str]:
        return list(self.page.locator(f"#{chart} svg.marks text").all_text_contents())

    def svg(self, chart: str) -> str:
        return str(self.page.locator(f"#{chart} svg.marks").inner_html())

    def set_slider(self, value: int) -> None:
        self.page.locator("#frame").fill(str(value))


@pytest.fixture(params=FAMILIES)
def opened(request: pytest.FixtureRequest, browser: Any) -> Iterator[Opened]:
    found = Opened(browser, request.getfixturevalue(f"{request.param}_page"), 1280)
    yield found
    assert found.troubles == []
    found.page.close()


def test_all_charts_have_marks(opened: Opened) -> None:
    for chart in CHARTS:
        marks = opened.page.locator(f"#{chart} svg.marks [class*=mark-] :is(path, line, text)")
        assert marks.count() > 10, chart
    assert opened.page.locator("#ladder svg .arrow").count() > 3


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("family", [*FAMILIES, "hostile"])
def test_nothing_sticks_out_of_the_page(family: str, width: int, browser: Any, request: pytest.FixtureRequest) -> None:
    found = Opened(browser, request.getfixturevalue(f"{family}_page"), width)
    found.page.locator("#again summary").click()
    for summary in found.page.locator("#tables summary").all():
        if not summary.evaluate("it => it.parentElement.open"):
            summary.click()
    assert found.page.evaluate("document.documentElement.scrollWidth") <= width
    wide = (
        "[...document.querySelectorAll('.chart svg.marks')].filter(it => it.getBoundingClientRect().right > innerWidth)"
    )
    assert found.page.evaluate(f"{wide}.length") == 0
    assert found.troubles == []
    found.page.close()


LETTERS_HAVE_THEIR_SIZE = """() => [...document.querySelectorAll(".chart svg.marks")].every(svg => {
  const shown = svg.getBoundingClientRect().width;
  return shown <= 688 && Math.abs(shown - svg.viewBox.baseVal.width) < 1;
})"""


@pytest.mark.parametrize("family", [*FAMILIES, "hostile"])
def test_nothing_is_cut_off_in_print(family: str, browser: Any, request: pytest.FixtureRequest) -> None:
    found = Opened(browser, request.getfixturevalue(f"{family}_page"), 1280)
    found.page.emulate_media(media="print")
    found.page.evaluate("document.body.style.cssText = 'width: 688px; margin: 0'")  # the width of the paper
    found.page.wait_for_function(LETTERS_HAVE_THEIR_SIZE)
    wide = """[...document.querySelectorAll('body *')].filter(it =>
        it.getBoundingClientRect().right > 689 && (it.matches('svg') || !it.closest('svg, script')))"""
    assert found.page.evaluate(f"{wide}.map(it => it.outerHTML.slice(0, 200))") == []
    assert not found.page.locator("select, button, input").filter(visible=True).count()
    assert found.page.locator("#run-words").is_visible()
    high = "[...document.querySelectorAll('svg.marks, #ladder svg')].map(it => it.getBoundingClientRect().height)"
    assert max(found.page.evaluate(high)) < 24 * 38  # 24 cm
    found.page.close()


LUMINANCE = """colour => {
  const part = number => (number /= 255) <= 0.04045 ? number / 12.92 : ((number + 0.055) / 1.055) ** 2.4;
  const [red, green, blue] = colour.match(/[\\d.]+/g).map(Number);
  return 0.2126 * part(red) + 0.7152 * part(green) + 0.0722 * part(blue);
}"""


def test_in_the_dark_all_texts_have_contrast_and_pictures_are_turned_dark(browser: Any, pairs_page: Path) -> None:
    found = Opened(browser, pairs_page, 1280)
    for scheme, is_dark in (("dark", True), ("light", False)):
        found.page.emulate_media(color_scheme=scheme)
        style = "(it, what) => getComputedStyle(it)[what]"
        paper = found.page.evaluate(f"({LUMINANCE})(({style})(document.body, 'backgroundColor'))")
        assert (paper < 0.1) is is_dark
        for selector in ("h1", "dd", ".aside", ".warnings li", "a", "td", "select", "figcaption", "#again p"):
            ink = found.page.locator(selector).first.evaluate(f"it => ({LUMINANCE})(({style})(it, 'color'))")
            bright, dark = max(ink, paper), min(ink, paper)
            assert (bright + 0.05) / (dark + 0.05) > 4.5, (scheme, selector)  # WCAG 2.1, 1.4.3
        for picture in (".chart svg.marks", "#ladder svg", ".gradient i"):
            filters = found.page.locator(picture).evaluate_all(f"all => all.map(it => ({style})(it, 'filter'))")
            assert all((one != "none") is is_dark for one in filters)
    found.page.emulate_media(color_scheme="dark", media="print")
    assert found.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    found.page.close()


def test_ladders_fit_their_box(opened: Opened) -> None:
    for number in range(min(4, opened.page.locator("#ladder-choice option").count())):
        opened.page.locator("#ladder-choice").select_option(index=number)
        width, box = opened.page.evaluate(
            "[document.querySelector('#ladder svg').getBoundingClientRect().width, byId('ladder').clientWidth]"
        )
        assert width <= box


def test_rows_of_tables_are_counted_in_the_singular_and_the_plural(browser: Any, hostile_page: Path) -> None:
    found = Opened(browser, hostile_page, 1280)
    titles = found.page.locator("#table-list summary").all_text_contents()
    assert titles[:2] == ["Cells (1 row)", "Runs (1 row)"]
    assert all(title.endswith((" rows)", "(1 row)")) and "(1 rows)" not in title for title in titles)
    found.page.close()


@pytest.mark.parametrize("medium", ["screen", "print"])
def test_a_plan_comes_first_and_its_tables_are_there(medium: str, browser: Any, hostile_page: Path) -> None:
    found = Opened(browser, hostile_page, 1280)
    found.page.emulate_media(media=medium)
    assert found.page.locator("#verdict dt").first.text_content() == "Plan"
    said = found.page.locator("#verdict dd").all_text_contents()[: len(PLANNED)]
    assert [sentence.replace("\u00a0", " ") for sentence in said] == PLANNED
    assert found.page.locator("#verdict dd").first.is_visible()
    table = found.page.locator("#table-list details", has_text="Sizes that were looked at (2 rows)")
    assert table.is_visible() is (medium == "screen")
    if medium == "screen":
        table.locator("summary").click()
        table.locator("tbody tr").nth(1).wait_for()  # it is filled when it is opened
        assert table.locator("tbody tr:last-child td").all_text_contents()[:2] == ["pools.capacity", "16"]
    assert found.troubles == []
    found.page.close()


def test_hostile_names_run_nothing(browser: Any, hostile_page: Path) -> None:
    found = Opened(browser, hostile_page, 1280)
    for choice in found.page.locator("#ladder-choice option").all():
        found.page.locator("#ladder-choice").select_option(choice.get_attribute("value"))
    assert found.page.evaluate("window.hacked") is None
    assert found.page.locator("#tables td", has_text="</script>").count() >= 0
    assert found.troubles == []
    found.page.close()


def test_the_choice_of_a_metric_changes_both_charts(opened: Opened) -> None:
    before = opened.svg("curves"), opened.svg("heatmap")
    choices = opened.page.locator("#metric option").all()
    assert len(choices) > 10
    label = choices[1].text_content()
    assert label not in [*opened.texts("curves"), *opened.texts("heatmap")]
    opened.page.locator("#metric").select_option(index=1)
    opened.page.wait_for_function(
        "before => document.querySelector('#curves svg.marks').innerHTML !== before", arg=before[0]
    )
    assert label in opened.texts("curves")
    assert label in opened.texts("heatmap")
    assert opened.svg("heatmap") != before[1]


AXES = """async () => {
  const found = [];
  for (const option of document.querySelectorAll("#metric option")) {
    await VIEWS.curves.signal("metric", option.value).runAsync();
    const said = document.querySelector("#curves svg.marks").textContent.includes("axis does not begin at 0");
    found.push([option.value, VIEWS.curves.scale("y").domain()[0] > 0, said]);
  }
  return found;
}"""


def test_a_chart_says_that_its_axis_does_not_begin_at_zero_just_where_that_is_so(opened: Opened) -> None:
    found = opened.page.evaluate(AXES)
    assert [name for name, above, said in found if above != said] == []


def test_every_metric_can_be_drawn(opened: Opened) -> None:
    for number, choice in enumerate(opened.page.locator("#metric option").all()):
        opened.page.locator("#metric").select_option(index=number)
        label = choice.text_content()
        opened.page.wait_for_function(
            "label => [...document.querySelectorAll('#curves svg.marks text')]"
            ".some(it => it.textContent === label || it.textContent === label + '(axis does not begin at 0)')",
            arg=label,
        )


def test_the_slider_changes_the_map_and_tells_the_time(opened: Opened) -> None:
    late, when = opened.svg("map"), opened.page.locator("#when").text_content()
    opened.set_slider(0)
    opened.page.wait_for_function("late => document.querySelector('#map svg.marks').innerHTML !== late", arg=late)
    assert opened.page.locator("#when").text_content() != when
    assert str(opened.page.locator("#when").text_content()).startswith("0 s to ")
    early = opened.page.evaluate("VIEWS.map.signal('frame')"), opened.page.evaluate("VIEWS.level.signal('frame')")
    assert early == (0, 0)


def _fills(opened: Opened) -> list[str]:
    return list(
        opened.page.evaluate(
            "[...document.querySelectorAll('#map .mark-symbol path')].map(it => it.getAttribute('fill'))"
        )
    )


def test_nodes_have_served_nothing_at_first_and_more_in_the_end(opened: Opened) -> None:
    late = len(set(_fills(opened)))
    opened.set_slider(0)
    opened.page.wait_for_timeout(300)
    assert len(set(_fills(opened))) < late


def test_a_click_on_a_link_shows_its_level(opened: Opened) -> None:
    chosen = opened.page.locator("#link").input_value()
    assert chosen in opened.texts("level")
    before = opened.svg("level")
    opened.page.locator("#map").scroll_into_view_if_needed()
    other = opened.page.evaluate("chosen => DATA.links.find(name => name !== chosen)", chosen)
    ends = opened.page.evaluate(LINK_ENDS, other)
    opened.page.mouse.click(*(0.35 * start + 0.65 * end for start, end in ends))
    now = opened.page.locator("#link").input_value()
    assert now == other
    opened.page.wait_for_function("now => VIEWS.level.signal('link') === now", arg=now)
    opened.page.wait_for_function(
        "before => document.querySelector('#level svg.marks').innerHTML !== before", arg=before
    )
    assert now in opened.texts("level")
    assert opened.page.evaluate("VIEWS.map.signal('link')") == now


def test_the_choice_of_a_link_works_without_a_mouse(opened: Opened) -> None:
    last = opened.page.evaluate("DATA.links.at(-1)")
    opened.page.locator("#link").select_option(last)
    opened.page.wait_for_function("last => VIEWS.level.signal('link') === last", arg=last)
    assert last in opened.texts("level")


def test_the_choice_of_a_ladder_draws_it(opened: Opened) -> None:
    title = opened.page.locator("#ladder-title").text_content()
    opened.page.locator("#ladder-choice").select_option(index=1)
    assert opened.page.locator("#ladder-title").text_content() != title
    assert opened.page.evaluate("DATA.ladders[1].arrows.length") == opened.page.locator("#ladder svg .arrow").count()


def test_the_choice_of_a_run_shows_its_map_levels_ladders_and_tables(opened: Opened) -> None:
    page = opened.page
    assert page.locator("#run option").all_text_contents() == page.evaluate("DATA.runs")
    parts = ["#map svg.marks", "#level svg.marks", "#finding"]
    before = [page.locator(part).inner_html() for part in parts]
    link = page.evaluate("DATA.links.at(-1)")
    page.locator("#link").select_option(link)
    page.locator("#run").select_option(index=1)
    page.wait_for_selector("#map[data-run='1'] svg.marks")
    now = [page.locator(part).inner_html() for part in parts]
    assert all(old != new for old, new in zip(before, now, strict=True))
    assert (page.locator("#link").input_value(), link in opened.texts("level")) == (link, True)
    ladders = page.evaluate("DATA.ladders.map(one => one.name)")
    assert page.locator("#ladder-choice option").all_text_contents() == ladders != page.evaluate("RUNS[0].ladders")
    (first, *_) = page.locator("#run-tables summary").all_text_contents()
    assert first.endswith(f"({page.evaluate('DATA.runTables[0].of')} rows)")
    page.locator("#run").select_option(index=0)
    page.wait_for_selector("#map[data-run='0'] svg.marks")
    assert page.locator("#finding").inner_html() == before[-1]
    assert page.locator("#map svg.marks").count() == page.locator("#level svg.marks").count() == 1


def _column(opened: Opened, number: int) -> list[str]:
    return list(opened.page.locator(f"#table-list details[open] tbody td:nth-child({number})").all_text_contents())


def test_a_click_on_a_header_sorts(opened: Opened) -> None:
    metric = 5  # the mean of the first metric
    header = opened.page.locator(f"#table-list details[open] th:nth-child({metric}) button")
    unsorted = _column(opened, metric)
    header.click()
    rising = [float(value) for value in _column(opened, metric)]
    assert rising == sorted(float(value) for value in unsorted)
    header.click()
    assert [float(value) for value in _column(opened, metric)] == rising[::-1]
    assert header.locator("..").get_attribute("aria-sort") == "descending"


def test_numbers_are_to_the_right(opened: Opened) -> None:
    cell = opened.page.locator("#table-list details[open] tbody td.number").first
    assert cell.evaluate("it => getComputedStyle(it).textAlign") == "right"


def test_a_table_can_be_downloaded_whole_and_exact(opened: Opened) -> None:
    with opened.page.expect_download() as waiting:
        opened.page.get_by_role("button", name="Download Cells as CSV").click()
    assert waiting.value.suggested_filename == "cells.csv"
    rows = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text(encoding="utf-8"))))
    table = opened.page.evaluate("DATA.tables[0]")
    assert len(rows) == table["rows"]
    for column in table["columns"]:
        shown = [row[column["name"]] for row in rows]
        for written, value in zip(shown, column["values"], strict=True):
            assert (written == "") if value is None else type(value)(written) == value
