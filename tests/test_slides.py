"""`make slides`: decks that are short enough, taken from the executed lessons, and legible from the last row.

The slides are made once, into a temporary folder. Where chromium is installed, a real browser opens them: from the
disk, as somebody without a network would.
"""

import base64
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from browser import FIND_FAULTS, Browser
from bs4 import BeautifulSoup, Tag

import torchnlp

pytest.importorskip("sphinx_revealjs", reason="no sphinx-revealjs here: pip install -r requirements.txt")
EDITIONS = torchnlp.ROOT / "scripts" / "editions"
NOTEBOOKS = torchnlp.ROOT / "notebooks"
DECKS = sorted(path.stem for path in (NOTEBOOKS / "slides").glob("[0-9]*.md"))

sys.path.insert(0, str(EDITIONS))
import make_slides  # noqa: E402
import making  # noqa: E402
import taken  # noqa: E402

every_deck = pytest.mark.parametrize("deck", DECKS)
every_page = pytest.mark.parametrize("page", [*DECKS, "index"])


class Built(NamedTuple):
    folder: Path
    lines: list[str]  # what the command printed

    @property
    def slides(self) -> Path:
        return self.folder / "slides"


def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EDITIONS / "make_slides.py"), str(folder), *arguments]
    # No proxy leads out of this machine: what asks another host fails at once.
    environment = os.environ | {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)


def make(folder: Path, *arguments: str) -> Built:
    done = call(folder, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    return Built(folder, done.stdout.splitlines())


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Built:
    return make(tmp_path_factory.mktemp("build"))


def page_of(built: Built, name: str) -> BeautifulSoup:
    return BeautifulSoup((built.slides / f"{name}.html").read_text(encoding="utf-8"), "html.parser")


def slides_of(page: BeautifulSoup) -> list[Tag]:
    return [section for section in page.select(".slides section") if not section.find("section")]


def text_of(deck: str) -> str:
    return (NOTEBOOKS / "slides" / f"{deck}.md").read_text(encoding="utf-8")


# ---------------------------------------------------------------------------------------------------------- the build


def test_make_slides_says_how_far_it_is(built):
    assert len(built.lines) == len(DECKS) + 2
    assert f"{len(DECKS)} decks" in built.lines[0]
    for deck, line in zip(DECKS, built.lines[1:], strict=False):
        assert re.search(rf"{deck}: \d+ slides, \d+ minutes", line)
    assert str(built.slides / "index.html") in built.lines[-1]
    assert {path.name for path in built.folder.iterdir()} == {".slides", "slides"}
    assert {path.stem for path in built.slides.glob("*.html")} == {*DECKS, "index"}


def test_a_second_call_writes_nothing_again(built):
    def dates() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in built.folder.rglob("*") if path.is_file()}

    before = dates()
    lines = make(built.folder).lines
    assert dates() == before
    assert "nothing has changed" in lines[1]


def test_the_index_leads_to_each_deck(built):
    links = [link["href"] for link in page_of(built, "index").find_all("a")]
    assert links == [address for deck in DECKS for address in (f"{deck}.html", f"{deck}.html?print-pdf")]


def test_one_more_deck_needs_no_change_of_code(tmp_path):
    lesson = sorted(path.stem for path in NOTEBOOKS.glob("[0-9]*.ipynb"))[-1]
    notebook = nbformat.read(NOTEBOOKS / f"{lesson}.ipynb", as_version=4)
    cell = next(cell for cell in notebook.cells if any("text" in output for output in cell.get("outputs", [])))
    parts = [f"```{{{name}-of}} {cell.id}\n```" for name in ("code", "output")]
    deck = "\n\n".join(["# One more", *parts, "```{notes}\n:minutes: 1\n```\n"])
    (tmp_path / "decks").mkdir()
    (tmp_path / "decks" / f"{lesson}.md").write_text(deck, encoding="utf-8")
    built = make(tmp_path / "build", "--decks", str(tmp_path / "decks"))
    shown = page_of(built, lesson).select("pre")
    assert [pre.get_text().rstrip() for pre in shown] == [cell.source, taken.printed(cell).expandtabs()]
    assert "One more" in page_of(built, "index").get_text()


# ----------------------------------------------------------------------------------- what is taken from the lessons

WRONG = """# A deck with mistakes

{text-of}`gone (x)` and {text-of}`train-with no such (words)` and {text-of}`train-with exact match (\\S+)`

```{figure-of} gone
```

```{figure-of} setup
```

```{output-of} train-with
:lines: no such words
```

```{code-of} module
:begin: class
:end: no such words
```

```{figure-of} curves
:part: 0 0 50 100
```

```{notes}
:minutes: 1
```
"""


def test_what_is_gone_is_an_error_that_says_where(tmp_path):
    (tmp_path / "1-attention.md").write_text(WRONG, encoding="utf-8")
    done = call(tmp_path / "build", "--decks", str(tmp_path))
    assert done.returncode != 0
    for line, problem in (
        (3, "the lesson has no cell 'gone'"),
        (3, "what 'no such (words)' looks for in cell 'train-with' is not there"),
        (3, r"what 'exact match (\\S+)' looks for in cell 'train-with' is 2 things"),
        (5, "the lesson has no cell 'gone'"),
        (8, "cell 'setup' has no figure"),
        (11, "cell 'train-with' has no line with 'no such words'"),
        (15, "cell 'module' has no line with 'no such words' after that with 'class'"),
        (20, "a part of the figure of cell 'curves' needs an alternative text of its own"),
    ):
        assert f"notebooks/slides/1-attention.md, line {line}: {problem}" in done.stderr


def test_what_failed_is_made_again(tmp_path):
    work, pages, files = tmp_path / "work", tmp_path / "pages", {"index.md": b"1"}
    assert making.must_be_made(work, pages, files, b"programs")
    assert making.must_be_made(work, pages, files, b"programs"), "it was not done"
    pages.mkdir()
    (pages / "index.html").touch()
    making.done(work, b"programs")
    assert not making.must_be_made(work, pages, files, b"programs")
    assert making.must_be_made(work, pages, files, b"other programs")
    assert not pages.exists()


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("1-attention", "# A\n\n## B\n\n```{notes}\n:minutes: 1\n```\n", r"line 1: .* this one has 0"),
        ("1-attention", "# A\n\n```{notes}\n:minutes: 51\n```\n", "51 minutes"),
        (
            "1-attention",
            "# A\n```{notes}\n:minutes: 1\n```\n" + 20 * "## B\n```{notes}\n:minutes: 1\n```\n",
            "21 slides",
        ),
        ("1-attention", "## B\n\n```{notes}\n:minutes: 1\n```\n", "title"),
        ("9-nothing", "# A\n\n```{notes}\n:minutes: 1\n```\n", "no lesson 9-nothing"),
    ],
)
def test_a_deck_keeps_the_rules(tmp_path, name, text, problem):
    (tmp_path / f"{name}.md").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=problem):
        make_slides.deck_of(tmp_path / f"{name}.md")


def test_lines_are_chosen_by_patterns():
    code = "def f():\n    a = 1\n    if a:\n        b = 2\n    return b"
    assert taken.lines_between(code, "a =", "b =", "f") == "a = 1\nif a:\n    b = 2"
    assert taken.lines_between(code, "if", "", "f") == "if a:"
    assert taken.lines_with(code, "[ab] =", "f") == "    a = 1\n        b = 2"
    assert taken.match_in("one 0.31\ntwo 0.01", r"^two (\S+)", "f") == "0.01"


@every_deck
def test_no_result_is_written_by_hand(deck):
    """A number with decimals is taken from an output, or it would go stale."""
    text = re.sub(r"\{text-of\}`[^`]*`|^:(?:part|lines|begin|end): .*$", "", text_of(deck), flags=re.MULTILINE)
    assert not re.findall(r"\d\.\d", text)


@every_deck
def test_figures_have_alternative_texts_and_formulas_are_mathml(built, deck):
    page = page_of(built, deck)
    images = page.select(".slides img")
    assert len(images) == text_of(deck).count("{figure-of}") > 0
    assert all(len(image["alt"]) > 40 for image in images)
    assert len(page.select("div.formula > math")) == text_of(deck).count("$$") // 2
    assert not re.search(r"\$|\\[a-z]", "".join(p.get_text() for p in page.select(".slides p, .slides li")))


@every_deck
def test_the_speaker_has_a_clock_and_questions_with_answers(built, deck):
    slides = slides_of(page_of(built, deck))
    assert len(slides) <= 20
    end = asked = 0
    for slide in slides:
        (notes,) = slide.select("aside.notes")
        begin, end = end, end + int(notes["data-minutes"])
        assert notes.select_one("p.clock").get_text() == f"Minutes {begin} to {end}"
        asked += bool(notes.select("p.ask"))
        assert len(notes.select("p.ask")) == len(notes.select("p.expect")) <= 1
        assert len(notes.find_all("p")) > 1, "no word to the speaker"
    assert end <= 50
    assert asked >= len(slides) / 2


# ----------------------------------------------------------------------------------------------------- a real browser

SIZES = {"1280 x 720": (1280, 720), "1920 x 1080": (1920, 1080)}
every_size = pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
SMALLEST = 18  # pixels, of a text
PLOT_POINT = 144 / 72  # pixels of a stored figure for a point of its letters; most have 10 points
# All steps of all slides are there from the first; a slide is shown by its number.
READY = """new Promise(done => Reveal.isReady() ? done() : Reveal.on('ready', done)).then(() => {
    Reveal.configure({fragments: false});
    return Promise.all([...document.fonts].map(font => font.load()));
}).then(() => Reveal.getSlides().length)"""
SHOW = "Reveal.slide(...Object.values(Reveal.getIndices(Reveal.getSlides()[{}])).slice(0, 2)); 0"
MEASURE = """(() => {
    const slide = Reveal.getCurrentSlide(), scale = Reveal.getScale(), faults = [], texts = [], boxes = [];
    const name = element => `${element.tagName} ${element.textContent.trim().slice(0, 40)}`;
    const shown = element => element.checkVisibility({visibilityProperty: true, opacityProperty: true})
        && !element.closest('.notes') && getComputedStyle(element).clipPath === 'none';
    const number = document.querySelector('.slide-number');
    for (const root of [slide, number]) {
        const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
        while (walker.nextNode()) {
            const text = walker.currentNode, parent = text.parentElement;
            if (!text.data.trim() || !shown(parent)) continue;
            const size = parseFloat(getComputedStyle(parent).fontSize) * (root === slide ? scale : 1);
            texts.push(size);
            if (size < SMALLEST - 0.01) faults.push(`${size.toFixed(1)} pixels: ${name(parent)}`);
            const range = document.createRange();
            range.selectNodeContents(text);
            for (const line of range.getClientRects())
                if (line.left < 0 || line.top < 0 || line.right > innerWidth || line.bottom > innerHeight)
                    faults.push(`outside: ${name(parent)}`);
        }
    }
    for (const element of slide.querySelectorAll('*'))
        if (shown(element) && (element.scrollWidth > element.clientWidth + 1 && element.clientWidth
            || element.scrollHeight > element.clientHeight + 1 && element.tagName === 'PRE'))
            faults.push(`too wide or too high: ${name(element)}`);
    const leaves = 'h1, h2, p, li, pre, img, table, .formula';
    for (const element of [number, ...slide.querySelectorAll(leaves)])
        if (shown(element) && !element.querySelector(leaves) && !element.parentElement.closest('table'))
            boxes.push([element, element.getBoundingClientRect()]);
    for (const [element, box] of boxes) {
        if (box.left < 0 || box.top < 0 || box.right > innerWidth + 0.5 || box.bottom > innerHeight + 0.5)
            faults.push(`outside: ${name(element)}`);
        if (!box.width || !box.height) faults.push(`empty: ${name(element)}`);
        for (const [other, place] of boxes)
            if (other !== element && box.left < place.right - 1 && place.left < box.right - 1
                && box.top < place.bottom - 1 && place.top < box.bottom - 1)
                faults.push(`${name(element)} lies over ${name(other)}`);
    }
    const pictures = [...slide.querySelectorAll('img')].map(image => {
        const box = image.getBoundingClientRect();
        if (!image.naturalWidth) faults.push(`no picture: ${image.src}`);
        return [image.getAttribute('src'), Math.min(box.width / image.naturalWidth, box.height / image.naturalHeight)];
    });
    for (const formula of slide.querySelectorAll('math'))
        if (shown(formula) && !formula.getBoundingClientRect().height) faults.push('an empty formula');
    return {faults, pictures, texts: texts.length};
})()""".replace("SMALLEST", str(SMALLEST))


def open_page(browser: Browser, built: Built, page: str, size: tuple[int, int] = (1280, 720)) -> int:
    """Open a page with all steps of its slides shown; return how many slides it has."""
    browser.open((built.slides / f"{page}.html").as_uri(), *size)
    return browser.run(READY)


@every_size
@every_page
def test_every_slide_is_legible(browser, built, page, size):
    """Nothing overflows or overlaps, no text is too small, also in figures; no error, and no other host is asked."""
    count = open_page(browser, built, page, size)
    assert count == len(slides_of(page_of(built, page)))
    faults = {}
    for number in range(count):
        browser.run(SHOW.format(number))
        found = browser.run(MEASURE)
        assert found["texts"] > 1
        for file, scale in found["pictures"]:
            if file.endswith(".svg"):
                drawing = (built.slides / file).read_text(encoding="utf-8")
                least = min(float(size) for size in re.findall(r'font-size(?:="|:\s*)([\d.]+)', drawing))
            else:
                least = 10 * PLOT_POINT
            if least * scale < SMALLEST - 0.01:
                found["faults"].append(f"letters of {least * scale:.1f} pixels in {file}")
        if found["faults"]:
            faults[number + 1] = found["faults"]
    assert not faults
    assert not browser.errors()
    assert not browser.requests_of_others()


# In the slide that is shown: what is serious or critical, and each text whose contrast axe could not tell. (Of a single
# sign, such as an arrow, it never can.)
FIND_FAULTS_OF_SLIDE = """axe.run(Reveal.getCurrentSlide(), {resultTypes: ['violations', 'incomplete']}).then(found => {
    const sign = node => ['shortTextContent', 'nonBmp'].includes(node.any[0]?.data?.messageKey);
    const unsure = found.incomplete.filter(fault => fault.id === 'color-contrast')
        .map(fault => ({id: fault.id, nodes: fault.nodes.filter(node => !sign(node))}));
    return [...found.violations.filter(fault => ['serious', 'critical'].includes(fault.impact)), ...unsure]
        .filter(fault => fault.nodes.length)
        .map(fault => [fault.id, ...fault.nodes.slice(0, 3).map(node => node.html.slice(0, 200))]);
})"""


@every_page
def test_axe_finds_nothing_serious(browser, built, axe, page):
    count = open_page(browser, built, page)
    browser.run(f"{axe};0")
    faults = browser.run(FIND_FAULTS)
    for number in range(count):
        browser.run(SHOW.format(number))
        faults += browser.run(FIND_FAULTS_OF_SLIDE)
    assert not faults


def test_the_measure_can_find_something(browser, built, axe):
    open_page(browser, built, "index")
    browser.run("""Reveal.getCurrentSlide().innerHTML = '<h2 style="margin: 0 0 -40px">Title</h2><p>over it</p>' +
        '<p style="font-size: 17px; color: #ccc">small, pale</p><pre style="width: 90px">wider than its box</pre>' +
        '<p style="margin-top: 800px">below</p><img src="x.png">'; 0""")
    faults = "\n".join(browser.run(MEASURE)["faults"])
    for fault in ("17.0 pixels", "outside: P below", "H2 Title lies over P over it", "too wide", "no picture"):
        assert fault in faults
    browser.run(f"{axe};0")
    assert {fault[0] for fault in browser.run(FIND_FAULTS_OF_SLIDE)} >= {"image-alt", "color-contrast"}


@every_deck
def test_letters_and_formulas_are_set_in_fonts_that_come_along(browser, built, deck):
    browser.open((built.slides / f"{deck}.html").as_uri(), 1280, 720)
    browser.wait_for("Reveal.isReady()")
    browser.run("Reveal.slide(Reveal.getSlides().findIndex(slide => slide.querySelector('math'))); 0")
    loaded = "[...document.fonts].filter(font => font.status === 'loaded').map(font => font.family).join()"
    for family in ("STIX Two Math", "Source Sans Pro"):
        browser.wait_for(f"{loaded}.includes('{family}')")


def test_an_answer_comes_after_its_question(browser, built):
    deck = next(deck for deck in DECKS if "{revealjs-fragments}" in text_of(deck))
    browser.open((built.slides / f"{deck}.html").as_uri(), 1280, 720)
    browser.wait_for("Reveal.isReady()")
    step = browser.run("Reveal.getSlides().findIndex(slide => slide.querySelector('.fragment'))")
    browser.run(SHOW.format(step))
    look = "Reveal.getCurrentSlide().querySelector('.fragment').checkVisibility({visibilityProperty: true})"
    assert not browser.run(look)
    browser.run("Reveal.next(); 0")
    browser.wait_for(look)


def test_the_presenter_sees_the_notes_and_leads(browser, built):
    """The second window shows the notes of the slide that is shown, and a key pressed there moves both."""
    browser.open((built.slides / f"{DECKS[0]}.html").as_uri(), 1280, 720)
    browser.wait_for("Reveal.isReady()")
    browser.run(
        "{const open = window.open.bind(window); window.open = (...given) => window.second = open(...given)}; 0"
    )
    browser.call("Runtime.evaluate", expression="Reveal.getPlugin('notes').open()", userGesture=True)
    slides = slides_of(page_of(built, DECKS[0]))
    try:
        for number in range(2):
            clock = slides[number].select_one("p.clock").get_text()
            notes = "second.document.querySelector('.speaker-controls-notes .value')"
            browser.wait_for(f"{notes} && {notes}.innerText.includes('{clock}')")
            if number == 0:
                browser.wait_for("second.document.querySelectorAll('iframe').length == 2")
                pressed = "new second.KeyboardEvent('keydown', {keyCode: 39, key: 'ArrowRight', bubbles: true})"
                # Until the frames of the second window are loaded, they do not listen.
                browser.wait_for(f"(second.document.dispatchEvent({pressed}), Reveal.getIndices().h > 0)")
                browser.run(SHOW.format(1))
    finally:
        browser.run("window.second && second.close(); 0")


@every_deck
def test_a_page_a_slide_is_printed(browser, built, deck):
    slides = slides_of(page_of(built, deck))
    browser.open((built.slides / f"{deck}.html").as_uri() + "?print-pdf", 1280, 720)
    browser.wait_for("document.querySelectorAll('.pdf-page').length")
    browser.run("document.fonts.ready.then(() => 0)")
    fits = """[...document.querySelectorAll('.pdf-page')].map(page => [...page.querySelectorAll('h1, h2, p, pre, img')]
        .filter(part => !part.closest('.notes') && getComputedStyle(part).clipPath === 'none').every(part => {
            const box = part.getBoundingClientRect(), paper = page.getBoundingClientRect();
            return box.height > 0 && box.top >= paper.top && box.bottom <= paper.bottom && box.right <= paper.right;
        }))"""
    assert browser.run(fits) == [True] * len(slides)
    printed = base64.b64decode(browser.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"])
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == len(slides)
