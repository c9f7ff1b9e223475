"""Settings of Sphinx for the site, the EPUB and the slides: https://www.sphinx-doc.org/en/master/usage/configuration.html."""

import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
for_epub, for_slides = tags.has("epub"), tags.has("revealjs")  # noqa: F821  (Sphinx puts `tags` here)

project = "Attention, Transformers and BERT"
author = "The maintainers of the course"
copyright = f"2026, {author}"
settings = tomllib.loads((HERE.parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
version = release = settings["project"]["version"]
language = "en"

extensions = ["myst_nb", "rendering"] if for_epub else ["myst_nb", "rendering", "sphinx_copybutton"]
if for_slides:
    extensions = ["myst_parser", "sphinx_revealjs", "rendering", "taken"]
root_doc = "index"
exclude_patterns = ["torchnlp.py", "lessons"]
nb_execution_mode = "off"  # the lessons are committed executed
nb_merge_streams = True
nb_render_markdown_format = "myst"  # figures, which sources.py makes Markdown
myst_enable_extensions = ["attrs_inline", "dollarmath", "html_image"]
if for_slides:
    myst_enable_extensions += ["attrs_block", "colon_fence"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

# ------------------------------------------------------------------------------------------------------------- site

html_theme = "furo"
html_title = project
html_static_path = ["formulas.css", "editions.css", "epub.css"] if for_epub else ["formulas.css", "editions.css"]
html_css_files = ["formulas.css", "editions.css"]
html_copy_source = False
html_show_sourcelink = False
html_use_index = False
html_theme_options = {"top_of_page_buttons": []}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
copybutton_selector = "div.cell_input pre, div.highlight-sh pre, div.highlight-python pre"

# ------------------------------------------------------------------------------------------------------------- EPUB

epub_basename = "attention-transformers-bert"
epub_title = project
epub_identifier = epub_uid = "attention-transformers-bert"
epub_scheme = "ID"
epub_show_urls = "no"
epub_use_index = False
epub_css_files = ["formulas.css", "editions.css", "epub.css"]
epub_exclude_files = ["search.html"]
epub_tocdepth = 2
epub_tocscope = "includehidden"

# ----------------------------------------------------------------------------------------------------------- slides

revealjs_html_theme = "revealjs-simple"
revealjs_style_theme = "slides.css"
revealjs_static_path = ["formulas.css", "slides.css"]
revealjs_css_files = ["pygments.css", "formulas.css"]
revealjs_use_section_ids = True
revealjs_script_plugins = [{"name": "RevealNotes", "src": "revealjs/plugin/notes/notes.js"}]
revealjs_script_conf = {  # https://revealjs.com/config/
    "width": 1280,
    "height": 720,
    "margin": 0,
    "maxScale": 4,
    "center": False,
    "display": "flex",
    "hash": True,
    "controls": False,
    "slideNumber": "c/t",
    "transition": "none",
    "pdfMaxPagesPerSlide": 1,
    "pdfSeparateFragments": False,
}
