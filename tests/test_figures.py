"""The big drawings: they are what the program draws, can be read aloud, and nothing in them is small, pale or crossed.

Where a text ends depends on the fonts of whoever reads. Here each character counts as 0.6 of the font's size, which is
wider than most fonts are.
"""

import itertools
import math
import re
import runpy
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
import torch

import torchnlp

NOTEBOOKS = torchnlp.ROOT / "notebooks"
FIGURES = NOTEBOOKS / "figures"
PROGRAM = runpy.run_path(str(FIGURES / "draw.py"))
DRAWN = {drawing.name: drawing.file() for drawing in (draw() for draw in PROGRAM["DRAWINGS"])}
WIDTH, HEIGHT = 1200, 675
SVG = "{http://www.w3.org/2000/svg}"

every_drawing = pytest.mark.parametrize("name", DRAWN)


def elements(name: str) -> list[ET.Element]:
    """The elements of a drawing's file, from the lowest to the topmost."""
    return list(ET.parse(FIGURES / f"{name}.svg").getroot())


class Text(NamedTuple):
    content: str
    colour: str
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "Text") -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def text_of(line: ET.Element) -> Text:
    """A text with the rectangle that it needs, by the estimate."""
    size, x, y = (float(line.get(name)) for name in ("font-size", "x", "y"))
    width = sum(0.6 * float(span.get("font-size", size)) * len(span.text) for span in line)
    left = x - {"start": 0, "middle": 0.5, "end": 1}[line.get("text-anchor")] * width
    content = "".join(span.text for span in line)
    return Text(content, line.get("fill"), left, y - 0.75 * size, left + width, y + 0.2 * size)


def texts(name: str) -> list[Text]:
    return [text_of(element) for element in elements(name) if element.tag == f"{SVG}text"]


def points_of(element: ET.Element) -> list[tuple[float, float]]:
    return [tuple(map(float, point.split(","))) for point in element.get("points").split()]


def holds(shape: ET.Element, x: float, y: float) -> bool:
    """Whether a filled shape covers a point."""
    if shape.tag == f"{SVG}rect":
        left, top, width, height = (float(shape.get(name)) for name in ("x", "y", "width", "height"))
        return left <= x <= left + width and top <= y <= top + height
    if shape.tag == f"{SVG}circle":
        return math.dist((x, y), (float(shape.get("cx")), float(shape.get("cy")))) <= float(shape.get("r"))
    if shape.tag == f"{SVG}polygon":
        points = points_of(shape)
        crossed = 0
        for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
            crossed += (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0)
        return crossed % 2 == 1
    return False


def segments(element: ET.Element) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The straight lines of an element."""
    if element.tag == f"{SVG}polyline":
        return list(itertools.pairwise(points_of(element)))
    if element.tag == f"{SVG}path":
        ends = re.findall(r"M(\S+) (\S+)L(\S+) (\S+)", element.get("d"))
        return [((float(a), float(b)), (float(c), float(d))) for a, b, c, d in ends]
    return []


def crosses(start: tuple[float, float], end: tuple[float, float], text: Text) -> bool:
    """Whether a straight line goes through a text: whether a part of it lies between all four edges."""
    enters, leaves = 0.0, 1.0
    for from_, to, low, high in zip(start, end, (text.left, text.top), (text.right, text.bottom), strict=True):
        if from_ == to:
            if not low < from_ < high:
                return False
        else:
            first, last = sorted(((low - from_) / (to - from_), (high - from_) / (to - from_)))
            enters, leaves = max(enters, first), min(leaves, last)
    return enters < leaves


def test_every_drawing_has_its_file_and_no_file_is_left_over():
    assert sorted(path.stem for path in FIGURES.glob("*.svg")) == sorted(DRAWN)


@every_drawing
def test_the_file_is_what_the_program_draws(name):
    assert (FIGURES / f"{name}.svg").read_bytes() == DRAWN[name].encode(), "run: python notebooks/figures/draw.py"
    assert DRAWN[name].endswith("</svg>\n")
    assert len(DRAWN[name]) < 60_000


@every_drawing
def test_it_can_be_read_aloud(name):
    root = ET.parse(FIGURES / f"{name}.svg").getroot()
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert root.get("role") == "img"
    assert root.get("aria-labelledby").split() == [title.get("id"), description.get("id")]
    assert len(title.text) >= 40 and len(description.text) >= 40


@every_drawing
def test_it_asks_for_nothing_and_does_nothing(name):
    allowed = {"title", "desc", "rect", "circle", "polygon", "polyline", "path", "text", "tspan"}
    for element in ET.parse(FIGURES / f"{name}.svg").getroot().iter():
        assert element.tag.removeprefix(SVG) in allowed | {"svg"}, element.tag
        for attribute, value in element.attrib.items():
            assert not attribute.startswith("on") and "href" not in attribute and "url(" not in value, attribute


@every_drawing
def test_it_can_be_read_from_the_back_of_a_room(name):
    root = ET.parse(FIGURES / f"{name}.svg").getroot()
    assert root.get("viewBox") == f"0 0 {WIDTH} {HEIGHT}"
    sizes = [float(element.get("font-size")) for element in root.iter() if element.get("font-size")]
    assert min(sizes) >= 18
    assert min(float(element.get("font-size")) for element in root.iter(f"{SVG}text")) >= 20


@every_drawing
def test_no_text_leaves_the_page_or_meets_another(name):
    found = texts(name)
    for text in found:
        assert min(text.left, text.top) >= 0 and text.right <= WIDTH and text.bottom <= HEIGHT, text
    for one, other in itertools.combinations(found, 2):
        assert not one.meets(other), (one, other)


@every_drawing
def test_each_text_stands_out_from_what_is_below_it(name):
    shapes = []
    for element in elements(name):
        if element.tag != f"{SVG}text":
            shapes.append(element)
            continue
        text = text_of(element)
        x, y = (text.left + text.right) / 2, (text.top + text.bottom) / 2
        below = [shape for shape in shapes if holds(shape, x, y)][-1].get("fill")
        assert PROGRAM["contrast"](text.colour, below) >= 4.5, (text.content, text.colour, below)


@every_drawing
def test_no_line_crosses_a_text(name):
    shapes = elements(name)
    places = {id(shape): place for place, shape in enumerate(shapes)}
    for element in shapes:
        if element.tag != f"{SVG}text":
            continue
        text = text_of(element)
        corners = list(itertools.product((text.left, text.right), (text.top, text.bottom)))
        cover = [s for s in shapes[: places[id(element)]] if all(holds(s, *corner) for corner in corners)][-1]
        above = shapes[places[id(cover)] + 1 :]
        for line in itertools.chain.from_iterable(map(segments, above)):
            assert not crosses(*line, text), (text.content, line)


@pytest.mark.parametrize("count", (2, 3, 4, 7))
def test_the_ring_adds_each_gradient_and_hands_out_every_sum(count):
    states = PROGRAM["ring_states"](count)
    everyone = set(range(count))
    assert len(states) == 2 * (count - 1) + 1
    assert all(row.count(everyone) == 1 for row in states[count - 1]), "after reduce-scatter each holds one sum"
    assert states[-1] == [[everyone] * count] * count


def test_what_each_gpu_holds_is_what_the_paper_says():
    gigabytes = [PROGRAM["BILLIONS"] * sum(PROGRAM["bytes_of"](sharded, PROGRAM["GPUS"])) for sharded in range(4)]
    assert gigabytes == pytest.approx([120, 31.4, 16.6, 1.9], abs=0.05)  # arXiv 1910.02054, figure 1
    shown = [text.content for text in texts("zero")]
    assert {"120 GB", "31.4 GB", "16.6 GB", "1.9 GB"} <= set(shown)


@pytest.mark.parametrize("name, exponent, fraction", PROGRAM["FORMATS"])
def test_number_formats_are_those_of_pytorch(name, exponent, fraction):
    info = torch.finfo(getattr(torch, name))
    assert PROGRAM["limits_of"](exponent, fraction) == (info.smallest_normal, info.max, info.eps)
    assert 1 + exponent + fraction == info.bits


def test_contrast_is_that_of_the_guidelines():
    assert PROGRAM["contrast"]("#FFFFFF", "#000000") == pytest.approx(21)
    assert PROGRAM["contrast"]("#767676", "#FFFFFF") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_drawing_that_a_lesson_shows_exists(path: Path):
    for cell in nbformat.read(path, as_version=4).cells:
        for name in re.findall(r"figures/([\w.-]+)", cell.source if cell.cell_type == "markdown" else ""):
            assert (FIGURES / name).is_file(), f"{cell.id}: {name}"
