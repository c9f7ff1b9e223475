"""What Sphinx does not do by itself: formulas as MathML, sections that are folded, boxes that the keyboard can reach.

MathML needs no script. Every browser has it, screen readers read it, and an EPUB may hold it. A browser needs a font
that was made for formulas, though, and not every system has one: the pages bring STIX Two Math along, which comes with
the package ziamath.
"""

import logging
import re
from importlib.resources import files
from pathlib import Path

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from fontTools import subset
from myst_nb.sphinx_ext import add_global_html_resources
from sphinx.application import Sphinx
from sphinx.builders.epub3 import Epub3Builder
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.logging import getLogger
from sphinx.writers.html5 import HTML5Translator

logger = getLogger(__name__)

# --------------------------------------------------------------------------------------------------------- formulas

latex2mathml.operators.setdefault("dots", "…")  # docutils knows \ldots only
AFTER_FUNCTION = re.compile(r"<mo>(?:&ApplyFunction;|\u2061)</mo>(?!\s*<mo[^>]*>[(\[]</mo>)")
SIGN = re.compile(r"(<mo[^>]*>[^<)\]!]+</mo>\s*)<mo>([\u2212+])</mo>")
# Letters, Greek, punctuation, arrows, operators, brackets, and the italic, bold, script and hollow letters of formulas.
RANGES = "20-17F 370-3FF 2000-206F 20D0-214F 2190-22FF 2308-230B 23DC-23E1 27E6-27EF 1D400-1D56B 1D6A4-1D6E1"
CHARACTERS = subset.parse_unicodes(RANGES)


def mathml(formula: str, block: bool) -> str:
    """A LaTeX formula as MathML.

    Raises:
        MathError: a command is unknown, or a bracket is missing.
    """
    markup = latex2mathml.tex2mathml(formula, as_block=block)
    markup = AFTER_FUNCTION.sub('<mo>&#x2061;</mo><mspace width="0.17em"/>', markup)  # sin x, but sin(x)
    markup = markup.replace("&ApplyFunction;", "&#x2061;")
    return SIGN.sub(r'\1<mo form="prefix">\2</mo>', markup)  # (0, -2): a sign, no difference


def visit_math(self: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
    block = isinstance(node, nodes.math_block)
    try:
        markup = mathml(node.astext(), block)
    except MathError as error:
        logger.warning("formula %s: %s", node.astext(), error, location=node)
        markup = f"<code>{self.encode(node.astext())}</code>"
    self.body.append(f'<div class="formula" tabindex="0">{markup}</div>\n' if block else markup)
    raise nodes.SkipNode


def add_font(app: Sphinx) -> None:
    """Put the font of the formulas beside the style sheet, without the characters that no formula needs."""
    folder = Path(app.doctreedir).parent / "font"
    app.config.html_static_path.append(str(folder))
    if (folder / "formulas.woff").exists():
        return
    logging.getLogger("fontTools").setLevel("WARNING")
    options = subset.Options(flavor="woff", layout_features=[], name_IDs=["*"], hinting=False)
    font = subset.load_font(str(files("ziamath") / "fonts" / "STIXTwoMath-Regular.ttf"), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=CHARACTERS)
    subsetter.subset(font)
    folder.mkdir(parents=True, exist_ok=True)
    subset.save_font(font, str(folder / "formulas.woff"), options)


class Book(Epub3Builder):
    """Sphinx's EPUB, which also says which of its pages hold formulas: an EPUB must."""

    def build_content(self) -> None:
        add_global_html_resources(self.app, None)  # myst-nb's style sheet, which else comes too late for the EPUB
        super().build_content()
        pages, content = Path(self.outdir), Path(self.outdir) / "content.opf"

        def declare(match: re.Match) -> str:
            has_formulas = "<math" in (pages / match["page"]).read_text(encoding="utf-8")
            return match[0] + ' properties="mathml"' if has_formulas else match[0]

        item = r'<item id="[^"]+" href="(?P<page>[^"]+\.xhtml)" media-type="[^"]+"(?= />)'
        content.write_text(re.sub(item, declare, content.read_text(encoding="utf-8")), encoding="utf-8")


# --------------------------------------------------------------------------------------------------------- sections


class details(nodes.General, nodes.Element):  # noqa: N801  (as docutils writes its nodes)
    """What is folded until a click."""


def visit_details(self: HTML5Translator, node: details) -> None:
    self.body.append('<details class="deeper">\n<summary>Show this section</summary>\n')


def depart_details(self: HTML5Translator, node: details) -> None:
    self.body.append("</details>\n")


class FoldDeeper(SphinxPostTransform):
    """Fold sections whose name begins with "Deeper:". Their headings stay, for those who go from heading to heading."""

    default_priority = 900
    formats = ("html",)

    def run(self, **_: object) -> None:
        for section in list(self.document.findall(nodes.section)):
            heading, *rest = section.children
            if heading.astext().startswith("Deeper:"):
                section.children = [heading]
                section += details("", *rest)


# ------------------------------------------------------------------------------------------------------ for everybody


def mend_page(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Let the keyboard reach boxes that scroll, and give the headings of the side bar the level that they lack."""
    if "body" in context:
        context["body"] = re.sub(r"<pre(?=>| class)", '<pre tabindex="0"', context["body"])
    if "furo_navigation_tree" in context:
        tree = context["furo_navigation_tree"]
        context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math, None))
    app.add_builder(Book, override=True)
    app.add_node(details, html=(visit_details, depart_details))
    app.add_post_transform(FoldDeeper)
    app.connect("builder-inited", add_font)
    app.connect("html-page-context", mend_page, priority=900)  # after the theme has made its side bar
    return {"parallel_read_safe": True, "parallel_write_safe": True}
