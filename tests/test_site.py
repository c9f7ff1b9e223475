"""`make site`: pages and EPUB that hold the lessons whole, lead nowhere in vain, ask no other host, and suit everybody.

The site is built once, into a temporary folder. Where chromium is installed, a real browser opens it: from the disk,
as somebody without a network would.
"""

import itertools
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
import zipfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from browser import FIND_FAULTS
from bs4 import BeautifulSoup, Tag

import torchnlp

EDITIONS = torchnlp.ROOT / "scripts" / "editions"
NOTEBOOKS = torchnlp.ROOT / "notebooks"
LESSONS = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
PAGES = ["index", *LESSONS, "glossary", "torchnlp", "readme", "search"]
EPUB = "attention-transformers-bert.epub"

sys.path.insert(0, str(EDITIONS))
import making  # noqa: E402
import rendering  # noqa: E402
import sources  # noqa: E402
import terms  # noqa: E402

every_lesson = pytest.mark.parametrize("lesson", LESSONS)
every_page = pytest.mark.parametrize("page", PAGES)


class Built(NamedTuple):
    folder: Path
    lines: list[str]  # what the command printed

    @property
    def site(self) -> Path:
        return self.folder / "site"


def make(folder: Path) -> Built:
    command = [sys.executable, str(EDITIONS / "make_site.py"), str(folder)]
    # No proxy leads out of this machine: what asks another host fails at once.
    environment = os.environ | {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    return Built(folder, done.stdout.splitlines())


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Built:
    return make(tmp_path_factory.mktemp("build"))


@cache
def parsed(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def page_of(built: Built, name: str) -> BeautifulSoup:
    return parsed(built.site / f"{name}.html")


def notebook_of(lesson: str, folder: Path = NOTEBOOKS) -> nbformat.NotebookNode:
    return nbformat.read(folder / f"{lesson}.ipynb", as_version=4)


def words(text: str) -> str:
    return " ".join(text.split())


# ---------------------------------------------------------------------------------------------------------- the build


def test_make_site_says_how_far_it_is(built):
    assert len(built.lines) == 4
    assert f"{len(LESSONS)} lessons" in built.lines[0]
    assert str(built.site / "index.html") in built.lines[-1]
    assert {path.name for path in built.folder.iterdir()} == {".editions", "site", EPUB}


def test_a_second_call_writes_nothing_again(built):
    def dates() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in built.folder.rglob("*") if path.is_file()}

    before = dates()
    lines = make(built.folder).lines
    assert dates() == before
    assert "nothing has changed" in lines[1]


def test_sources_are_replaced_where_they_changed_only(tmp_path):
    assert making.write_changed(tmp_path, {"a/same.md": b"1", "changed.md": b"2", "gone.md": b"3"})
    date = (tmp_path / "a/same.md").stat().st_mtime_ns
    assert making.write_changed(tmp_path, {"a/same.md": b"1", "changed.md": b"4"})
    assert not making.write_changed(tmp_path, {"a/same.md": b"1", "changed.md": b"4"})
    assert making.files_in(tmp_path) == {"a/same.md", "changed.md"}
    assert (tmp_path / "changed.md").read_bytes() == b"4"
    assert (tmp_path / "a/same.md").stat().st_mtime_ns == date


def test_there_is_a_page_for_everything(built):
    assert {path.stem for path in built.site.glob("*.html")} == set(PAGES)


# ------------------------------------------------------------------------------------------------------------ content


def outputs_of(notebook: nbformat.NotebookNode) -> list[str]:
    return [
        output["text"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream"
    ]


@every_lesson
def test_a_lesson_is_whole(built, lesson):
    page, notebook = page_of(built, lesson), notebook_of(lesson)
    text = words(page.find("article").get_text())
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert words(cell.source) in text, f"{cell.id} is missing"
    for output in outputs_of(notebook):
        assert words(output) in text
    headings = re.findall(r"^#+ (.+)$", "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown"), re.M)
    shown = {words(heading.get_text()).rstrip("¶#") for heading in page.find_all(re.compile("^h[1-6]$"))}
    plain = {re.sub(r"[`*$]", "", heading).replace("'", "’") for heading in headings}  # noqa: RUF001
    assert {heading for heading in plain if "\\" not in heading} <= shown


@every_lesson
def test_every_figure_is_there_and_can_be_read_aloud(built, lesson):
    page, notebook = page_of(built, lesson), notebook_of(lesson)
    drawn = [match["alt"] for html in htmls_of(notebook) if (match := sources.FIGURE.fullmatch(html))]
    described = re.findall(r"!\[([^\]]+)\]", "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown"))
    images = page.find("article").find_all("img")
    assert all(words(image.get("alt", "")) for image in images)
    alts = [image["alt"] for image in images]
    assert len(drawn) > 0
    assert [alt for alt in alts if alt in {unescaped(text) for text in drawn}] == [unescaped(text) for text in drawn]
    assert len(alts) == len(drawn) + len(described)
    assert not page.find_all("img", src=re.compile("^data:"))


def htmls_of(notebook: nbformat.NotebookNode) -> list[str]:
    return [
        output.data["text/html"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "text/html" in output.get("data", {})
    ]


def unescaped(text: str) -> str:
    return BeautifulSoup(text, "html.parser").get_text()


def test_the_start_page_has_the_lessons_in_order(built):
    links = [link["href"] for link in page_of(built, "index").find("article").find_all("a", class_="internal")]
    assert [link for link in links if link[0].isdigit()][: len(LESSONS)] == [f"{lesson}.html" for lesson in LESSONS]


# -------------------------------------------------------------------------------------------------------------- folds


@every_lesson
def test_sections_off_the_path_are_folded(built, lesson):
    markdown = "\n".join(cell.source for cell in notebook_of(lesson).cells if cell.cell_type == "markdown")
    expected = len(re.findall(r"^#+ Deeper:", markdown, flags=re.MULTILINE))
    folded = page_of(built, lesson).select("details.deeper")
    assert len(folded) == expected
    for details in folded:
        heading, *others = [
            child for child in details.parent.children if isinstance(child, Tag) and child.name != "span"
        ]
        assert heading.get_text().startswith("Deeper:")
        assert others == [details], "all but the heading is folded"
        assert not details.has_attr("open")


def test_a_deeper_section_is_folded_with_its_parts():
    from docutils import nodes

    document = nodes.document(None, None)
    inner = nodes.section("", nodes.title("", "A part of it"), nodes.paragraph("", "Inner."))
    deeper = nodes.section("", nodes.title("", "Deeper: more"), nodes.paragraph("", "Outer."), inner)
    path = nodes.section("", nodes.title("", "The path"), nodes.paragraph("", "Seen."))
    document += [deeper, path]
    rendering.FoldDeeper.run(SimpleNamespace(document=document))
    assert [type(child) for child in deeper.children] == [nodes.title, rendering.details]
    assert deeper[1].children[1] is inner
    assert not list(path.findall(rendering.details))


@every_lesson
def test_every_exercise_has_its_solution_folded(built, lesson):
    exercises = {
        int(section.find("h3").get_text().partition(".")[0]): section
        for section in page_of(built, lesson).find("section", id="exercises").find_all("section")
        if section.find("h3")
    }
    solved = sources.solutions_of(notebook_of(lesson, NOTEBOOKS / "solutions"))
    assert len(exercises) >= 5
    assert exercises.keys() == solved.keys()
    lesson_code = {cell.source for cell in notebook_of(lesson).cells}
    for number, section in exercises.items():
        (details,) = section.select("details.solution")
        assert not details.has_attr("open")
        assert str(number) in details.find("summary").get_text()
        text = words(details.get_text())
        code = [cell.source for cell in solved[number] if cell.cell_type == "code" and cell.source not in lesson_code]
        assert code and all(words(source) in text for source in code)
        outside = words("".join(str(part) for part in section.find_all("pre") if details not in part.parents))
        assert not any(words(source) in outside for source in code)


def lesson_with(*cells: str) -> nbformat.NotebookNode:
    """A made-up lesson; a cell that begins with a # is markdown."""
    made = nbformat.v4.new_notebook()
    for number, source in enumerate(cells):
        markdown = source.startswith("#")
        kind = nbformat.v4.new_markdown_cell if markdown else nbformat.v4.new_code_cell
        made.cells.append(kind(source, id=f"cell-{number}"))
    return made


def test_solutions_go_below_their_exercises():
    lesson = lesson_with(
        "## Exercises\n\n### 1. Add", "x = ...", "check(x)", "### 2. Subtract", "y = ...", "## Takeaways"
    )
    sources.add_solutions(
        lesson, lesson_with("# Solutions", "import z", "## 1. Add\n\nPlus.", "x = 1", "check(x)", "## 2. S", "y = 2")
    )
    assert [cell.source.partition("\n")[0] for cell in lesson.cells] == [
        "## Exercises", "x = ...", "check(x)", '<details class="solution">', "Plus.", "x = 1", "</details>",
        "### 2. Subtract", "y = ...", '<details class="solution">', "", "y = 2", "</details>", "## Takeaways",
    ]  # fmt: skip


def test_an_exercise_without_solution_is_an_error():
    with pytest.raises(ValueError, match="exercise 2 has no solution"):
        sources.add_solutions(lesson_with("### 1. A", "a", "### 2. B", "b", "## End"), lesson_with("## 1. A", "a = 1"))
    with pytest.raises(ValueError, match=r"without an exercise: \[2\]"):
        sources.add_solutions(lesson_with("### 1. A", "a", "## End"), lesson_with("## 1. A", "a = 1", "## 2. B", "b"))


# -------------------------------------------------------------------------------------------------------------- links


def elements_with_addresses(page: BeautifulSoup) -> list[tuple[Tag, str]]:
    return [
        (element, element[name])
        for name in ("href", "src", "srcset", "data", "poster", "action")
        for element in page.find_all(attrs={name: True})
        if not (element.name == "object" and name != "data")
    ]


@every_page
def test_every_internal_link_leads_somewhere(built, page):
    file = built.site / f"{page}.html"
    for element, address in elements_with_addresses(parsed(file)):
        parts = urlsplit(address)
        if parts.scheme:
            continue
        target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
        assert target.is_file(), f"{element.name} leads to {address}"
        assert built.site in target.parents
        if parts.fragment and target.suffix == ".html":
            assert parsed(target).find(id=unquote(parts.fragment)), f"no place {address}"


@every_page
def test_nothing_is_asked_of_another_host(built, page):
    for element, address in elements_with_addresses(parsed(built.site / f"{page}.html")):
        if element.name != "a":
            assert not urlsplit(address).scheme or address.startswith("data:"), f"{element.name}: {address}"
            assert not address.startswith("//")


def test_style_sheets_ask_nothing_of_another_host(built):
    sheets = [*built.site.rglob("*.css")]
    assert sheets
    for sheet in sheets:
        text = sheet.read_text(encoding="utf-8")
        assert not re.search(r"url\(\s*['\"]?(?:https?:)?//|@import\s+['\"]?(?:url\()?['\"]?(?:https?:)?//", text), (
            sheet
        )


def test_links_between_files_become_links_between_pages():
    for text, linked in (
        ("[one](1-attention.ipynb#toy), [all](../README.md)", "[one](1-attention.ipynb#toy), [all](readme.md)"),
        ("[`a.md`](../data/README.md) is no page", "`a.md` is no page"),
        ("[web](https://x.org), `[a](b)`, ![](figures/x.svg)", "[web](https://x.org), `[a](b)`, ![](figures/x.svg)"),
    ):
        assert sources.relinked(text, "notebooks") == linked
    with pytest.raises(FileNotFoundError, match=r"notebooks/nowhere\.md"):
        sources.relinked("[x](nowhere.md)", "notebooks")


# ----------------------------------------------------------------------------------------------------------- glossary


def test_every_term_is_in_the_glossary_and_leads_to_its_definition(built):
    glossary = page_of(built, "glossary")
    listed = {}
    for title in glossary.select("dl.glossary > dt"):
        definitions = title.find_next_sibling("dd").find_all("p")
        for definition in definitions:
            link = definition.find_all("a", class_="internal")[-1]
            page, _, anchor = link["href"].partition("#")
            place = parsed(built.site / page).find(id=anchor)
            bold = place.find("strong").get_text().rstrip(":").lower()
            assert bold.removesuffix("s") == title.find(string=True).strip().lower().removesuffix("s")
            assert place.find("strong").get_text() in definition.get_text()
            listed[(page.removesuffix(".html"), bold)] = definition
    defined = {
        (lesson, found.term.lower())
        for lesson in LESSONS
        for found in terms.definitions_of(notebook_of(lesson), f"{lesson}.ipynb")
    }
    assert set(listed) == {(lesson, term.replace("'", "’")) for lesson, term in defined}  # noqa: RUF001
    assert {lesson for lesson, _ in listed} == set(LESSONS)


LISTED = {
    "It is called the **context**.": ["context"],
    "A **hidden state** $h_i$ and a\n**key**.": ["hidden state", "key"],
    "- **Padding** is no text.\n- **Residual:** added.": ["padding", "Residual"],
    "It is used so. **Warm-up:** small steps first.": ["Warm-up"],
    "Each norm comes first (**pre-norm**).": ["pre-norm"],
    "**LayerNorm** scales, and **F1** counts.": ["LayerNorm", "F1"],
    "By **Amdahl's law**, no.": ["Amdahl's law"],
}
NOT_LISTED = [
    "**Predict:** which is largest?",
    "Look at it. **Predict:** which is largest?",
    "**What you need:** lesson 1.",
    "**Missed**: the model saw no name.",
    "And **faster attention.** No.",
    "Letter **b** is for begin.",
    "It is **the future** that counts.",
    "Here **a whole sentence is bold** for once.",
    "| a | **b c** |\n|---|---|\n| the **cell** | in it |",
    "- **One**: a\n- **Two**: b\n- **Three**: c\n- **Four**: d",
    "Code, `a **kwargs** b`, and a formula, $a **bc** d$.",
    "```\nthe **code** block\n```",
]


def terms_in(*cells: str) -> list[terms.Definition]:
    return terms.definitions_of(lesson_with("# Lesson 9: A **title** of **words**", *cells), "9-made-up.ipynb")


@pytest.mark.parametrize(("text", "expected"), LISTED.items())
def test_what_is_a_term(text, expected):
    assert [found.term.lower() for found in terms_in(f"## Section\n\n{text}")] == [term.lower() for term in expected]


@pytest.mark.parametrize("text", NOT_LISTED)
def test_what_is_no_term(text):
    assert not terms_in(f"## Section\n\n{text}")


def test_the_definition_stands_below_the_announcement_and_before_the_exercises():
    goals = "## What you will learn\n\n1. What **attention** is, and a **bottleneck**."
    path = "## Path\n\nFirst. This is **attention**: a mean. More of **attention**."
    found = terms_in(goals, path, "## Exercises\n\nA **task** is none.")
    assert {(term.term, term.section, term.sentence) for term in found} == {
        ("attention", "Path", "First. This is **attention**: a mean."),
        ("bottleneck", "What you will learn", "What **attention** is, and a **bottleneck**."),
    }


def test_a_sentence_ends_where_it_ends():
    text = "As Vaswani et al. (2017) say. A **head**, e.g. $a.\\ B$, attends [so](a.ipynb). Then it ends."
    (found,) = terms_in(f"## Section\n\n{text}")
    assert found.sentence == "A **head**, e.g. $a.\\ B$, attends [so](a.ipynb)."


def test_a_definition_gets_its_anchor():
    lesson = lesson_with("# Lesson 9", "## Section\n\nThe **key** and the **value pair**.")
    terms.mark(lesson, terms.definitions_of(lesson, "9-made-up.ipynb"))
    assert lesson.cells[1].source.endswith("The [**key**]{#term-9-key} and the [**value pair**]{#term-9-value-pair}.")


def test_one_entry_for_singular_and_plural():
    text = terms.glossary(terms_in("## Section\n\nHere are **heads**. One **head**."))
    assert re.findall(r"^head.*$", text, flags=re.MULTILINE) == ["head"]


# ------------------------------------------------------------------------------------------------------------- search


def test_the_search_index_finds_terms(built):
    text = (built.site / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(re.fullmatch(r"Search\.setIndex\((.+)\)", text, flags=re.DOTALL)[1])

    def found(stem: str) -> set[str]:
        numbers = (index[kind].get(stem, []) for kind in ("terms", "titleterms"))
        places = itertools.chain(*([number] if isinstance(number, int) else number for number in numbers))
        return {index["docnames"][place] for place in places}

    assert set(index["docnames"]) == set(PAGES) - {"search"}
    assert "1-attention" in found("bottleneck")
    assert {"2-transformers", "glossary"} <= found("dropout")
    assert "torchnlp" in found("padifi")  # as the stemmer writes padify


# ----------------------------------------------------------------------------------------------------------- formulas


@pytest.mark.parametrize(
    "formula", [r"\sin \omega", r"\exp e_{ij}", r"(0, -2)", r"h_1 \dots h_4", r"\sqrt d", r"a < b"]
)
def test_a_formula_is_xml(formula):
    for block in (False, True):
        root = ET.fromstring(rendering.mathml(formula, block))
        assert root.tag.endswith("math")


def test_spaces_in_formulas():
    assert "mspace" in rendering.mathml(r"\sin \omega", False)
    assert "mspace" not in rendering.mathml(r"\sin(\omega)", False)
    assert 'form="prefix"' in rendering.mathml("(0, -2)", False)
    assert 'form="prefix"' not in rendering.mathml("(n) - 2", False)


def test_an_unknown_command_is_an_error():
    with pytest.raises(rendering.MathError):
        rendering.mathml(r"\nosuchthing", False)


@every_lesson
def test_every_formula_is_mathml(built, lesson):
    article = page_of(built, lesson).find("article")
    markdown = "\n".join(cell.source for cell in notebook_of(lesson).cells if cell.cell_type == "markdown")
    blocks = re.findall(r"\$\$.+?\$\$", re.sub(r"```.*?```|`[^`]*`", "", markdown, flags=re.DOTALL), flags=re.DOTALL)
    assert len(article.select("div.formula > math")) == len(blocks)
    prose = "".join(paragraph.get_text() for paragraph in article.find_all("p") if not paragraph.find("code"))
    assert "\\" not in prose and "$$" not in prose


# --------------------------------------------------------------------------------------------------------------- EPUB

OPF, HTML = "{http://www.idpf.org/2007/opf}", "{http://www.w3.org/1999/xhtml}"


@pytest.fixture(scope="module")
def book(built) -> dict[str, bytes]:
    with zipfile.ZipFile(built.folder / EPUB) as file:
        assert file.testzip() is None
        first = file.infolist()[0]
        assert (first.filename, first.compress_type) == ("mimetype", zipfile.ZIP_STORED)
        return {name: file.read(name) for name in file.namelist()}


def test_the_book_is_valid_xml(book):
    assert book["mimetype"] == b"application/epub+zip"
    files = [name for name in book if name.endswith((".xhtml", ".opf", ".ncx", ".xml", ".svg"))]
    assert len(files) > len(LESSONS)
    for name in files:
        ET.fromstring(book[name])


def test_the_book_holds_all_lessons_in_order(book):
    package = ET.fromstring(book["content.opf"])
    manifest = {item.get("id"): item.get("href") for item in package.iter(f"{OPF}item")}
    spine = [manifest[item.get("idref")] for item in package.iter(f"{OPF}itemref")]
    assert [name for name in spine if name[0].isdigit()] == [f"{lesson}.xhtml" for lesson in LESSONS]
    assert "glossary.xhtml" in spine
    contents = [link.get("href") for link in ET.fromstring(book["nav.xhtml"]).iter(f"{HTML}a")]
    assert [name for name in contents if name[0].isdigit() and "#" not in name] == [
        f"{lesson}.xhtml" for lesson in LESSONS
    ]
    formulas = {item.get("href") for item in package.iter(f"{OPF}item") if item.get("properties") == "mathml"}
    assert formulas == {name for name in book if name.endswith(".xhtml") and b"<math" in book[name]}
    assert set(manifest.values()) == {name for name in book if not name.startswith(("META-INF", "mimetype", "content"))}


def test_the_book_has_no_script_and_asks_no_other_host(book):
    for name in [name for name in book if name.endswith(".xhtml")]:
        root = ET.fromstring(book[name])
        assert not list(root.iter(f"{HTML}script")), name
        for element in root.iter():
            if element.tag != f"{HTML}a":
                for attribute in ("href", "src"):
                    address = element.get(attribute, "")
                    assert not urlsplit(address).scheme, f"{name}: {address}"
                    assert not address or address.partition("#")[0] in book, f"{name}: {address}"
    assert {f"{lesson}.xhtml" for lesson in LESSONS} <= set(book)


@every_lesson
def test_the_book_shows_every_figure(book, built, lesson):
    images = list(ET.fromstring(book[f"{lesson}.xhtml"]).iter(f"{HTML}img"))
    assert all(words(image.get("alt", "")) for image in images)
    assert len(images) == len(page_of(built, lesson).find("article").find_all("img"))


# ----------------------------------------------------------------------------------------------------- a real browser

PHONE = {"width": 390, "height": 844}
UNFOLD = "document.querySelectorAll('details').forEach(details => details.open = true)"


def address_of(built: Built, page: str) -> str:
    return (built.site / f"{page}.html").as_uri()


@every_page
def test_a_phone_needs_no_scrolling_sideways(browser, built, page):
    browser.open(address_of(built, page), **PHONE)
    browser.run(UNFOLD)
    assert browser.run("document.documentElement.scrollWidth") <= PHONE["width"]
    assert not browser.requests_of_others()


# Most of a page is colours of code, a few of them thousands of times. One of each is enough for axe, and far quicker.
ONE_OF_EACH_COLOUR = """(() => {
    const seen = new Set();
    for (const span of document.querySelectorAll('pre span')) {
        const kind = span.closest('.highlight').parentElement.className + ' ' + span.className;
        if (seen.has(kind)) span.replaceWith(...span.childNodes);
        seen.add(kind);
    }
    document.querySelectorAll('pre').forEach(pre => pre.normalize());
})()"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@every_page
def test_axe_finds_nothing_serious(browser, built, axe, page, dark):
    """Names, roles, keyboard, and the contrast of every text with its ground, in both themes."""
    browser.open(address_of(built, page), dark=dark)
    ground = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 3 * 64) == dark, f"the ground is {ground}"
    for script in (UNFOLD, ONE_OF_EACH_COLOUR, f"{axe};0"):
        browser.run(script)
    assert browser.run(FIND_FAULTS) == []


def test_axe_can_find_something(browser, built, axe):
    browser.open(address_of(built, "glossary"))
    browser.run("document.querySelector('article').innerHTML = '<img src=\"x\"><p style=\"color: #ccc\">pale</p>'")
    browser.run(f"{axe};0")
    assert {fault[0] for fault in browser.run(FIND_FAULTS)} >= {"image-alt", "color-contrast"}


def test_the_search_page_finds_a_term(browser, built):
    browser.open(address_of(built, "search") + "?q=bottleneck")
    browser.wait_for("document.querySelectorAll('#search-results li').length")
    found = browser.run("[...document.querySelectorAll('#search-results a')].map(a => a.getAttribute('href'))")
    assert any(link.startswith("1-attention.html") for link in found)


def test_code_can_be_copied(browser, built):
    browser.open(address_of(built, LESSONS[0]))
    browser.wait_for("document.querySelectorAll('button.copybtn').length")
    count = "document.querySelectorAll('{}').length"
    assert browser.run(count.format(".cell_input pre")) == browser.run(count.format(".cell_input .copybtn")) > 0
    assert browser.run(count.format(".cell_output .copybtn")) == 0
    browser.run("document.querySelector('button.copybtn').click()")
    assert browser.wait_for("document.querySelector('button.copybtn.success') !== null")


def test_the_theme_can_be_chosen(browser, built):
    browser.open(address_of(built, "index"))
    themes = []
    for _ in range(3):
        browser.run("[...document.querySelectorAll('button.theme-toggle')].find(b => b.offsetParent).click()")
        themes.append(browser.run("document.body.dataset.theme"))
    assert set(themes) == {"auto", "light", "dark"}


def test_a_solution_opens_with_a_click(browser, built):
    browser.open(address_of(built, LESSONS[0]))
    code = "document.querySelector('details.solution pre')"
    assert not browser.run(f"{code}.checkVisibility()")
    browser.run("document.querySelector('details.solution summary').click()")
    assert browser.run(f"{code}.checkVisibility()")


@every_lesson
def test_formulas_are_set_in_the_font_for_formulas(browser, built, lesson):
    browser.open(address_of(built, lesson))
    if browser.run("document.querySelectorAll('math').length"):
        loaded = "document.fonts.ready.then(() => [...document.fonts].map(font => font.family + ' ' + font.status))"
        assert any("STIX Two Math" in font and font.endswith(" loaded") for font in browser.run(loaded))
