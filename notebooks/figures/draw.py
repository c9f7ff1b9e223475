"""Draw the big figures of the lessons as SVG files beside this program: python notebooks/figures/draw.py

Each drawing is one function. It places boxes, arrows, text and cells of grids on a white page, 1200 wide and 675 high,
which is the shape of a projector. Text is written as in the lessons: what stands between dollars is a formula, with
``_`` and ``^`` for what is below and above the line. The colours are those of Okabe and Ito, which people who
are colour-blind can tell apart; wherever a colour says something, a label, a pattern or a size says it, too.
"""

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
WIDTH, HEIGHT = 1200, 675
Point = tuple[float, float]
FONTS = "'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"

INK, WHITE, GREY, PALE, DIM = "#1A1A1A", "#FFFFFF", "#DDDDDD", "#F4F4F4", "#777777"
BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
SIGNS = {"alpha": "\u03b1", "sum": "\u03a3", "cdot": "\u00b7", "times": "\u00d7", "sqrt": "\u221a", "dots": "\u2026"}

# ------------------------------------------------------------------------------------------------------------- text


def number(value: float) -> str:
    return f"{round(value, 2):g}"


def formula_runs(formula: str, level: int = 0) -> Iterator[tuple[str, int, bool]]:
    """Cut a formula into (text, level, italic); level -1 is below the line, 1 above.

    Single letters and indices are italic; words such as tanh are not.
    """
    for sign, group, single, command, letters, other in re.findall(
        r"([_^])(?:\{([^}]*)\}|(.))|\\([a-z]+)(?:\{\})?|([A-Za-z]+)|(.)", formula
    ):
        if sign:
            yield from formula_runs(group or single, -1 if sign == "_" else 1)
        elif command:
            yield SIGNS[command], level, command == "alpha"
        else:
            yield letters or other, level, bool(letters) and (len(letters) == 1 or level != 0)


def runs(content: str) -> list[tuple[str, int, bool]]:
    """Cut text with formulas between dollars into (text, level, italic), as few as possible."""
    found: list[tuple[str, int, bool]] = []
    for i, part in enumerate(content.split("$")):
        for text, level, italic in formula_runs(part) if i % 2 else [(part, 0, False)]:
            if found and found[-1][1:] == (level, italic):
                found[-1] = (found[-1][0] + text, level, italic)
            elif text:
                found.append((text, level, italic))
    return found


# ---------------------------------------------------------------------------------------------------------- colours


def luminance(colour: str) -> float:
    """How bright a colour #RRGGBB is, from 0 to 1: WCAG 2.2, relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, from 1 to 21; text needs 4.5: WCAG 2.2, contrast ratio."""
    dark, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dark + 0.05)


def ink_on(fill: str) -> str:
    return max(INK, WHITE, key=lambda ink: contrast(ink, fill))


def tint(colour: str, share: float) -> str:
    """A colour mixed with white: share 1 is the colour, 0 is white."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 - share * (255 - part)):02X}" for part in parts)


# ------------------------------------------------------------------------------------------------------- primitives


class Drawing:
    """A white page with a title and a description for those who cannot see it."""

    def __init__(self, name: str, title: str, description: str):
        self.name = name
        self.svg = ET.Element(
            "svg",
            {
                "xmlns": "http://www.w3.org/2000/svg",
                "viewBox": f"0 0 {WIDTH} {HEIGHT}",
                "role": "img",
                "aria-labelledby": f"{name}-title {name}-desc",
                "font-family": FONTS,
            },
        )
        ET.SubElement(self.svg, "title", {"id": f"{name}-title"}).text = title
        ET.SubElement(self.svg, "desc", {"id": f"{name}-desc"}).text = description
        self.rectangle(0, 0, WIDTH, HEIGHT, WHITE, edge=None, radius=16)

    def add(self, tag: str, **attributes: str | float) -> ET.Element:
        """Add an element; numbers are rounded, and an underscore in a name stands for a hyphen."""
        texts = {
            name.replace("_", "-"): value if isinstance(value, str) else number(value)
            for name, value in attributes.items()
        }
        return ET.SubElement(self.svg, tag, texts)

    def rectangle(
        self,
        left: float,
        top: float,
        width: float,
        height: float,
        fill: str,
        edge: str | None = INK,
        line: float = 1.5,
        radius: float = 7,
        dash: str | None = None,
    ) -> None:
        """Draw a rectangle with round corners from its left upper corner."""
        look = {"stroke": edge, "stroke_width": line} if edge else {}
        if dash:
            look["stroke_dasharray"] = dash
        self.add("rect", x=left, y=top, width=width, height=height, rx=radius, fill=fill, **look)

    def text(
        self,
        x: float,
        y: float,
        content: str,
        size: float = 20,
        anchor: str = "middle",
        bold: bool = False,
        colour: str = INK,
        struck: bool = False,
    ) -> None:
        """Write one line whose middle is at height y; what is below or above the line is smaller, but at least 18."""
        look = {"font_weight": "bold"} if bold else {}
        if struck:
            look["text_decoration"] = "line-through"
        line = self.add("text", x=x, y=y + 0.36 * size, font_size=size, text_anchor=anchor, fill=colour, **look)
        height = 0
        for part, level, italic in runs(content):
            span = ET.SubElement(line, "tspan")
            span.text = part
            wanted = {-1: 0.24, 0: 0, 1: -0.36}[level] * size
            if wanted != height:
                span.set("dy", number(wanted - height))
                height = wanted
            if level:
                span.set("font-size", number(max(18, 0.7 * size)))
            if italic:
                span.set("font-style", "italic")

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        content: str,
        fill: str = WHITE,
        size: float = 22,
        bold: bool = False,
        **look: str | float,
    ) -> None:
        """Draw a box with its middle at (x, y), and text in it that can be read on its colour."""
        self.rectangle(x - width / 2, y - height / 2, width, height, fill, **look)
        if content:
            self.text(x, y, content, size, bold=bold, colour=ink_on(fill))

    def label(
        self,
        x: float,
        y: float,
        content: str,
        size: float = 20,
        anchor: str = "middle",
        bold: bool = False,
    ) -> None:
        """Write a line on a pale plate of its own, over lines that are there already."""
        width = 0.6 * size * len(content) + 4
        left = x - {"start": 2, "middle": width / 2, "end": width - 2}[anchor]
        self.rectangle(left, y - 0.5 * size, width, 1.1 * size, PALE, edge=None, radius=3)
        self.text(x, y, content, size, anchor, bold)

    def line(self, *points: Point, colour: str = INK, width: float = 2, dash: str | None = None) -> None:
        """Draw a line through some points."""
        look = {"stroke_dasharray": dash} if dash else {}
        path = " ".join(f"{number(x)},{number(y)}" for x, y in points)
        self.add("polyline", points=path, fill="none", stroke=colour, stroke_width=width, **look)

    def arrow(self, *points: Point, colour: str = INK, width: float = 2, dash: str | None = None) -> None:
        """Draw an arrow through some points; its head ends at the last one."""
        (x0, y0), (x1, y1) = points[-2:]
        length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
        along_x, along_y = (x1 - x0) / length, (y1 - y0) / length
        long, half = 7 + 2 * width, 4 + 1.1 * width
        neck_x, neck_y = x1 - long * along_x, y1 - long * along_y
        self.line(*points[:-1], (neck_x + 0.5 * along_x, neck_y + 0.5 * along_y), colour=colour, width=width, dash=dash)
        corners = [(x1, y1), (neck_x - half * along_y, neck_y + half * along_x)]
        corners.append((neck_x + half * along_y, neck_y - half * along_x))
        self.add("polygon", points=" ".join(f"{number(x)},{number(y)}" for x, y in corners), fill=colour)

    def bracket(self, left: float, right: float, y: float, foot: float) -> None:
        """Draw a bracket over (foot above 0) or under (foot below 0) what lies between left and right."""
        self.line((left, y + foot), (left, y), (right, y), (right, y + foot))

    def frame(
        self, left: float, top: float, width: float, height: float, colour: str, line: float, dash: str | None = None
    ) -> None:
        """Draw a frame around something, inside of the rectangle that is given."""
        near, far_x, far_y = line / 2, left + width - line / 2, top + height - line / 2
        corners = ((left + near, top + near), (far_x, top + near), (far_x, far_y), (left + near, far_y))
        self.line(*corners, (left + near, top), colour=colour, width=line, dash=dash)

    def crossed_box(self, x: float, y: float, width: float, height: float, *lines: str) -> None:
        """Draw a grey, dashed box that is crossed out, with some lines of text on a plate over the cross."""
        left, right, top, bottom = x - width / 2, x + width / 2, y - height / 2, y + height / 2
        self.rectangle(left, top, width, height, GREY, edge=DIM, dash="6 4")
        self.strokes([((left, top), (right, bottom)), ((left, bottom), (right, top))], VERMILLION, 4)
        plate_width, plate_height = 12 * max(map(len, lines)) + 8, 25 * len(lines) + 4
        self.rectangle(x - plate_width / 2, y - plate_height / 2, plate_width, plate_height, GREY, edge=None)
        for i, line in enumerate(lines):
            self.text(x, y + 25 * (i - (len(lines) - 1) / 2) - 1, line)

    def plus(self, x: float, y: float) -> None:
        """Draw the sign for a sum: a plus in a circle."""
        self.add("circle", cx=x, cy=y, r=11, fill=WHITE, stroke=INK, stroke_width=2)
        self.line((x - 6, y), (x + 6, y))
        self.line((x, y - 6), (x, y + 6))

    def grid(self, left: float, top: float, size: float, rows: int, columns: int, fill: str = WHITE) -> None:
        """Draw a rectangle of cells."""
        right, bottom = left + columns * size, top + rows * size
        self.rectangle(left, top, right - left, bottom - top, fill, line=1.2, radius=0)
        lines = [((left, top + i * size), (right, top + i * size)) for i in range(1, rows)]
        lines += [((left + j * size, top), (left + j * size, bottom)) for j in range(1, columns)]
        self.strokes(lines, INK, 1.2)

    def strokes(self, lines: Sequence[tuple[Point, Point]], colour: str, width: float) -> None:
        """Draw some straight lines, each from a point to a point, as one element."""
        path = " ".join(f"M{number(a)} {number(b)}L{number(c)} {number(d)}" for (a, b), (c, d) in lines)
        if path:
            self.add("path", d=path, fill="none", stroke=colour, stroke_width=width)

    def hatched(self, left: float, top: float, size: float) -> None:
        """Draw a cell that is hatched."""
        self.grid(left, top, size, 1, 1)
        stripes = max(2, round(size / 8))
        ways = [size * i / stripes for i in range(1, 2 * stripes)]
        ends = [(max(0, way - size), min(way, size)) for way in ways]
        self.strokes([((left + near, top + far), (left + far, top + near)) for near, far in ends], DIM, 1.5)

    def striped(self, left: float, top: float, width: float, height: float, fill: str = WHITE) -> None:
        """Draw a rectangle that is hatched."""
        self.rectangle(left, top, width, height, fill, line=1.2, radius=0)
        ways = [9 * i for i in range(1, int((width + height) / 9) + 1) if 9 * i < width + height]
        ends = [(max(0, w - height), min(w, height), min(w, width), max(0, w - width)) for w in ways]
        self.strokes([((left + a, top + b), (left + c, top + d)) for a, b, c, d in ends], DIM, 1.5)

    def mask(
        self, left: float, top: float, size: float, rows: int, columns: int, seen: Callable[[int, int], bool]
    ) -> None:
        """Draw a mask: filled with a dot where query i sees key j, hatched where it does not."""
        for i in range(rows):
            for j in range(columns):
                x, y = left + j * size, top + i * size
                if seen(i, j):
                    self.grid(x, y, size, 1, 1, SKY)
                    self.add("circle", cx=x + size / 2, cy=y + size / 2, r=size / 7, fill=INK)
                else:
                    self.hatched(x, y, size)

    def file(self) -> str:
        """The drawing as the text of an SVG file, one element a line."""
        self.svg.text = "\n"
        for element in self.svg:
            element.tail = "\n"
        return ET.tostring(self.svg, encoding="unicode") + "\n"


# --------------------------------------------------------------------------------------------- lesson 1: attention

SOURCE, ANSWER = "14 Jun 2031", "2031"
WEIGHTS = (0.01, 0.01, 0.01, 0.01, 0.02, 0.02, 0.03, 0.10, 0.12, 0.55, 0.12)  # what the third step looks at
STEP = 130  # from one step of the decoder to the next
PITCH = 47  # from one character to the next


def places_of(left: float) -> list[float]:
    """The x of each character."""
    return [left + PITCH * (i + 0.5) for i in range(len(SOURCE))]


def draw_encoder(page: Drawing, left: float) -> None:
    """Draw the characters, the recurrent network and its hidden states."""
    page.box(left + 258, 449, 516, 36, "GRU, in both directions", tint(BLUE, 0.25))
    page.arrow((left + 20, 449), (left + 110, 449))
    page.arrow((left + 496, 449), (left + 406, 449))
    for i, (x, character) in enumerate(zip(places_of(left), SOURCE, strict=True), start=1):
        page.box(x, 508, 40, 38, character if character != " " else "\u2423", size=24)
        page.box(x, 386, 43, 40, f"$h_{{{i}}}$", BLUE, size=20)
        page.arrow((x, 489), (x, 468))
        page.arrow((x, 431), (x, 407))


def draw_decoder(page: Drawing, left: float, contexts: list[str], active: int | None) -> list[float]:
    """Draw the decoder's states, their contexts, and the characters written; return the x of each step."""
    places = [left + STEP * (t + 0.5) for t in range(len(ANSWER))]
    for t, (x, character, context) in enumerate(zip(places, ANSWER, contexts, strict=True)):
        line = 4 if t == active else 1.5
        page.box(x, 84, 44, 40, character, size=26, bold=True, line=line)
        page.box(x, 152, 66, 40, f"$s_{t + 1}$", ORANGE, size=26, line=line)
        page.box(x, 192, 66, 40, context, GREEN, size=26, line=line)
        page.arrow((x, 131), (x, 106))
        if t:
            page.arrow((places[t - 1] + 34, 146), (x - 34, 146))
            page.arrow((places[t - 1] + 23, 92), (x - 22, 130), width=1.6, dash="2 5")
    return places


def draw_formulas(page: Drawing) -> None:
    """Write the three formulas of attention at the foot of the page."""
    for left, width, name in (
        (10, 452, "1. score: $s_t$ asks, $h_i$ answers"),
        (478, 338, "2. softmax: weights, sum 1"),
        (832, 358, "3. context: weighted mean"),
    ):
        page.rectangle(left, 544, width, 121, tint(SKY, 0.25), edge=None, radius=12)
        page.text(left + 16, 565, name, 20, "start", bold=True)
    page.text(236, 618, r"$e_{ti} = v \cdot tanh(W s_t + U h_i)$", 28)
    page.text(588, 618, r"$\alpha_{ti} =$", 28, "end")
    page.text(692, 598, r"$exp(e_{ti})$", 26)
    page.line((600, 618), (784, 618))
    page.text(692, 637, r"$\sum_j exp(e_{tj})$", 26)
    page.text(1011, 618, r"$c_t = \sum_i \alpha_{ti} h_i$", 30)


def two_translators() -> Drawing:
    page = Drawing(
        "two-translators",
        "Two translators: without attention and with attention",
        "Both read the date 14 Jun 2031 with a GRU in both directions, which keeps a hidden state h for each of the "
        "eleven characters, and both write 2031 with decoder states s1 to s4. Left, without attention: a funnel "
        "leads from the last hidden states into one vector c, the bottleneck, which is handed to every step. Right, "
        "with attention: state s3 asks, arrows as wide as their weights lead from all hidden states to their "
        "weighted mean, the context c3, and s3 and c3 give the character 3; every step has a context of its own. "
        "Below, three formulas: the score e of step t and place i is v times tanh of W s plus U h; softmax over the "
        "places makes weights alpha; the context c is the sum of alpha times h.",
    )
    left, right = 22, 661
    for edge in (10, 649):
        page.rectangle(edge, 10, 541, 524, PALE, edge=None, radius=12)
    page.text(280, 38, "Without attention: one context", 26, bold=True)
    page.text(920, 38, "With attention: a context per step", 26, bold=True)
    rows = {"output": 84, "decoder": 152, "context": 192, "hidden": 374, "states": 398, "encoder": 449, "input": 508}
    for name, y in rows.items():
        page.text(600, y, name)

    places = places_of(left)
    draw_encoder(page, left)
    funnel = f"{places[0] - 20},366 238,288 322,288 {places[-1] + 20},366"
    page.add("polygon", points=funnel, fill=tint(VERMILLION, 0.3))
    page.arrow((places[0], 365), (236, 284), width=3)
    page.arrow((places[-1], 365), (324, 284), width=3)
    page.box(280, 266, 84, 46, "$c$", GREEN, size=30, edge=VERMILLION, line=5)
    page.text(280, 346, "all characters in one vector", 20)
    page.text(226, 246, "the last", 20, "end")
    page.text(226, 269, "hidden states", 20, "end")
    page.text(340, 266, "the bottleneck", 22, "start", bold=True)
    steps = draw_decoder(page, left, ["$c$"] * 4, None)
    page.line((280, 242), (280, 230), width=2.5)
    page.line((steps[0], 230), (steps[-1], 230), width=2.5)
    for x in steps:
        page.arrow((x, 231), (x, 213), width=2.5)

    steps = draw_decoder(page, right, [f"$c_{t}$" for t in (1, 2, 3, 4)], active=2)
    x = steps[2]
    for place, weight in zip(places_of(right), WEIGHTS, strict=True):
        page.arrow((place, 370), (x + 0.42 * (place - 920), 289), width=1.2 + 14 * weight, colour="#444444")
    draw_encoder(page, right)
    page.box(x, 266, 230, 42, "3. weighted mean", tint(GREEN, 0.3))
    page.arrow((x, 245), (x, 213), width=3)
    page.arrow((x - 34, 161), (x - 52, 161), (x - 52, 244), width=2.5, dash="7 4")
    page.text(x - 62, 229, "1. $s_3$ asks", 22, "end")
    page.text(661, 260, r"2. weights $\alpha_{3i}$:", 20, "start")
    page.text(661, 287, "width of arrows", 20, "start")
    draw_formulas(page)
    return page


# ------------------------------------------------------------------------------------------- lesson 2: transformers

COLOURS = {"feed-forward": ORANGE, "cross-attention": GREEN}  # all other parts are blue


def draw_part(page: Drawing, x: float, bottom: float, width: float, name: str, side: int, size: int = 24) -> float:
    """Draw a norm, a part of a block and the sum behind it, upwards; return the height where the next part begins.

    The residual line leaves at the bottom and goes round on the left side (-1) or on the right side (1).
    """
    norm, middle, total = bottom - 30, bottom - 60, bottom - 106
    edge = x + side * (width / 2 + 22)
    page.arrow((x, bottom), (edge, bottom), (edge, total), (x + side * 12, total))
    page.arrow((x, bottom), (x, norm + 13))
    page.box(x, norm, width, 24, "norm", GREY, size=20)
    page.box(x, middle, width, 36, name, COLOURS.get(name, BLUE), size=size)
    page.arrow((x, middle - 18), (x, total + 12))
    page.plus(x, total)
    page.line((x, total - 11), (x, total - 20))
    return total - 20


def transformer() -> Drawing:
    page = Drawing(
        "transformer",
        "The whole transformer: encoder and decoder",
        "Left, the encoder, read from bottom to top: the date 14 Jun 2031 becomes embeddings plus positions of "
        "shape B, T, D; N blocks of self-attention and feed-forward, each behind a norm and each added to its "
        "input; a last norm. Right, the decoder: the characters written so far become embeddings plus positions of "
        "shape B, S, D; N blocks of causal self-attention, cross-attention and feed-forward, again behind norms and "
        "with sums; a last norm and a linear layer give logits of shape B, S, V. The encoder's output goes to every "
        "cross-attention as keys K and values V; the queries Q come from the decoder. In each block x becomes x "
        "plus attention of norm of x, then x plus feed-forward of norm of x.",
    )
    width, encoder, decoder = 310, 242, 958
    page.rectangle(encoder - 197, 280, 372, 272, tint(BLUE, 0.1), radius=12)
    page.rectangle(decoder - 175, 154, 372, 398, tint(ORANGE, 0.15), radius=12)
    for x, side, shape, tokens, parts in (
        (encoder, -1, "$(B, T, D)$", "14 Jun 2031", ("self-attention", "feed-forward")),
        (decoder, 1, "$(B, S, D)$", "<bos>2031-06-14", ("causal self-attention", "cross-attention", "feed-forward")),
    ):
        page.text(x, 656, tokens, 22)
        page.arrow((x, 643), (x, 622))
        page.box(x, 602, width, 38, "embeddings + positions", tint(PURPLE, 0.6))
        page.line((x, 583), (x, 540))
        page.text(x + 12, 568, shape, 20, "start")
        height = 540
        for part in parts:
            height = draw_part(page, x, height, width, part, side)
        page.arrow((x, height), (x, height - 36))
        page.box(x, height - 49, width, 24, "norm", GREY, size=20)
        page.text(x + 12, height - 22, shape, 20, "start")

    page.box(decoder, 83, width, 36, "linear", tint(PURPLE, 0.6), size=24)
    page.arrow((decoder, 65), (decoder, 42))
    page.text(decoder, 26, "logits $(B, S, V)$", 22)
    page.line((encoder, 227), (encoder, 200), (596, 200), (596, 354), (634, 354), colour=GREEN, width=5)
    page.text(434, 181, "$(B, T, D)$", 20)
    for name, y, beside in (("keys $K$", 345, 325), ("values $V$", 363, 384)):
        page.arrow((634, 354), (634, y), (801, y), colour=GREEN, width=3)
        page.text(708, beside, name, 22)
    page.text(decoder - 20, 412, "queries $Q$", 22, "end")
    page.text(434, 372, "encoder", 26, "start", bold=True)
    page.text(434, 410, r"$\times N$", 34, "start", bold=True)
    page.text(766, 216, "decoder", 26, "end", bold=True)
    page.text(766, 254, r"$\times N$", 34, "end", bold=True)
    page.rectangle(45, 16, 513, 144, PALE, edge=None, radius=12)
    page.text(69, 44, "In each block", 24, "start", bold=True)
    page.text(69, 86, "$x = x + attention(norm(x))$", 26, "start")
    page.text(69, 128, "$x = x + feed-forward(norm(x))$", 26, "start")
    page.rectangle(476, 464, 248, 194, PALE, edge=None, radius=12)
    letters = {"B": "batch", "T": "source length", "S": "target length", "D": "width", "V": "vocabulary"}
    for i, (letter, meaning) in enumerate(letters.items()):
        page.text(500, 493 + 34 * i, f"${letter}$", 22, "start", bold=True)
        page.text(532, 493 + 34 * i, meaning, 22, "start")
    return page


def draw_mask(page: Drawing, x: float, y: float, size: float, rows: int, columns: int, causal: bool = False) -> None:
    """Draw a mask around (x, y); without causal, the last key is padding."""
    seen = (lambda i, j: j <= i) if causal else (lambda i, j: j < columns - 1)
    page.mask(x - columns * size / 2, y - rows * size / 2, size, rows, columns, seen)


def three_masks() -> Drawing:
    page = Drawing(
        "three-masks",
        "One block, three masks: encoder, decoder, and both",
        "Left, one block: norm, attention with a mask, sum, norm, feed-forward, sum. Right, what the mask may be; "
        "rows are queries, columns are keys, hidden places are hatched. Encoder, as in BERT: all rows see all "
        "columns but the last, which is padding. Decoder, as in GPT: each row sees its own column and those before "
        "it, and the triangle above, the future, is hidden. Encoder-decoder, as in T5 and the first transformer: "
        "three masks, one for the encoder that hides padding, a causal one for the decoder, and one for "
        "cross-attention, where the decoder's four queries see the encoder's five keys but for the padding.",
    )
    page.rectangle(20, 20, 320, 635, PALE, edge=None, radius=12)
    page.text(180, 50, "One block", 26, bold=True)
    page.text(180, 82, "the mask changes", 20)
    page.text(150, 552, "$(B, T, D)$", 22)
    page.line((150, 534), (150, 480))
    height = draw_part(page, 150, 480, 176, "attention", -1, size=22)
    height = draw_part(page, 150, height, 176, "feed-forward", -1, size=22)
    page.arrow((150, height), (150, 156))
    page.text(150, 136, "$(B, T, D)$", 22)
    page.mask(274, 396, 16, 3, 3, lambda i, j: j <= i)
    page.text(298, 376, "mask", 22, bold=True)
    page.arrow((272, 420), (241, 420), width=4)
    for x, name, seen in ((54, "seen", True), (176, "hidden", False)):
        page.mask(x, 597, 28, 1, 1, lambda i, j, seen=seen: seen)
        page.text(x + 38, 611, name, 22, "start")

    for left, name, causal, hidden, y, caption in (
        (360, "Encoder: BERT", False, "padding", 190, "all see all, padding hidden"),
        (780, "Decoder: GPT", True, "future", 136, "no query sees a later key"),
    ):
        page.rectangle(left, 20, 400, 300, PALE, edge=None, radius=12)
        page.text(left + 195, 50, name, 26, bold=True)
        page.text(left + 195, 82, "keys", 20)
        page.text(left + 95, 190, "queries", 20, "end")
        draw_mask(page, left + 195, 190, 36, 5, 5, causal)
        page.arrow((left + 309, y), (left + 288, y))
        page.text(left + 314, y, hidden, 20, "start")
        page.text(left + 195, 301, caption, 20)

    page.rectangle(360, 340, 820, 315, PALE, edge=None, radius=12)
    page.text(770, 370, "Encoder-decoder: first transformer, T5", 26, bold=True)
    for x, rows, columns, causal, name, queries, keys in (
        (490, 5, 5, False, "self-attention", "encoder", "encoder"),
        (770, 4, 4, True, "causal self-attention", "decoder", "decoder"),
        (1050, 4, 5, False, "+ cross-attention", "decoder", "encoder"),
    ):
        page.text(x, 406, name, 20, bold=True)
        draw_mask(page, x, 506, 32, rows, columns, causal)
        page.text(x, 608, f"queries: {queries}", 20)
        page.text(x, 634, f"keys: {keys}", 20)
    return page


HEADS = (BLUE, ORANGE, GREEN, PURPLE)
LOOKS = (  # made-up weights of each head, from query i to key j of five tokens
    lambda i, j: 1.0 if j == max(i - 1, 0) else 0.15,
    lambda i, j: 0.9 if j == 0 else 0.25,
    lambda i, j: 0.6,
    lambda i, j: max(0.15, 0.9 - 0.3 * abs(i - j)),
)


def draw_vectors(page: Drawing, left: float, y: float, size: float, fills: Sequence[str]) -> None:
    """Draw a matrix of five tokens, two columns for each colour, with its middle at height y."""
    for i, fill in enumerate(fills):
        page.grid(left + 2 * i * size, y - 2.5 * size, size, 5, 2, fill)


def heads() -> Drawing:
    page = Drawing(
        "heads",
        "Multi-head attention: split in heads, attend, join",
        "From left to right. The matrix X of T tokens and width D is multiplied by three matrices, which gives "
        "queries Q, keys K and values V of the same shape. Their columns are cut into H = 4 slices of size d = D / "
        "H, one for each head. Each head computes softmax of Q times K transposed over the root of d, a T times T "
        "map of its own, and multiplies it by its V; four maps with different patterns are drawn. The four results "
        "of T by d are joined side by side to T by D, and a last matrix W makes the output, T by D.",
    )
    size = 16
    page.text(94, 276, "$X$", 30)
    draw_vectors(page, 30, 340, size, [GREY] * 4)
    page.text(94, 402, "$(T, D)$", 20)
    rows = [120, 265, 410, 555]
    page.line((160, 340), (176, 340))
    page.line((176, 150), (176, 530), width=3)
    for y, name, word in ((150, "Q", "queries"), (340, "K", "keys"), (530, "V", "values")):
        page.arrow((176, y), (198, y))
        page.box(236, y, 72, 52, f"$W_{name}$", size=26)
        page.arrow((273, y), (312, y))
        draw_vectors(page, 318, y, size, HEADS)
        page.text(382, y - 78, f"{word} ${name}$", 22)
        for h in range(4):
            page.text(334 + 32 * h, y - 52, str(h + 1), 20)
        page.text(382, y + 58, "$(T, D)$", 20)
        page.line((450, y), (482, y))
    page.line((482, rows[0]), (482, rows[-1]), width=3)
    page.text(250, 28, "1. project", 24, bold=True)
    page.text(740, 28, "2. $H$ = 4 heads of size $d = D / H$", 24, bold=True)
    page.text(1078, 28, "3. join", 24, bold=True)
    page.line((928, rows[0]), (928, rows[-1]), width=3)
    for h, (y, colour, look) in enumerate(zip(rows, HEADS, LOOKS, strict=True), start=1):
        page.arrow((482, y), (536, y))
        for x, name in ((545, "Q"), (592, "K"), (639, "V")):
            draw_vectors(page, x, y, 14, [colour])
            page.text(x + 14, y + 52, f"${name}_{h}$", 22)
        page.arrow((676, y), (712, y))
        page.grid(720, y - 45, 18, 5, 5)
        for i in range(5):
            for j in range(5):
                side = 16 * look(i, j) ** 0.5
                middle_x, middle_y = 729 + 18 * j, y + 18 * (i - 2)
                page.rectangle(middle_x - side / 2, middle_y - side / 2, side, side, colour, edge=None, radius=0)
        page.text(765, y + 60, r"$T \times T$", 20)
        page.arrow((814, y), (850, y))
        draw_vectors(page, 858, y, 14, [colour])
        page.text(872, y + 52, f"$O_{h}$", 22)
        page.line((890, y), (928, y))
    page.text(740, 646, r"$O_h = softmax(Q_h K_h^T / \sqrt{}d) V_h$", 24)
    page.text(1078, 98, "joined", 22)
    for h in range(4):
        page.text(1030 + 32 * h, 124, str(h + 1), 20)
    page.arrow((928, 178), (1006, 178))
    draw_vectors(page, 1014, 178, size, HEADS)
    page.text(1078, 236, "$(T, D)$", 20)
    page.arrow((1078, 252), (1078, 298))
    page.box(1078, 326, 72, 52, "$W_O$", size=26)
    page.arrow((1078, 353), (1078, 404))
    draw_vectors(page, 1014, 450, size, [GREY] * 4)
    page.text(1078, 508, "$(T, D)$", 20)
    page.text(1078, 536, "output", 22)
    return page


def draw_step(page: Drawing, left: float, top: float, t: int, cached: bool) -> None:
    """Draw step t of decoding: keys and values above, queries on the left, and the pairs that are scored."""
    size = 36
    for j in range(1, t + 1):
        x = left + 46 + size * (j - 0.5)
        old = cached and j < t
        look = {"fill": WHITE, "edge": GREEN, "dash": "6 3", "line": 2.5} if old else {"fill": ORANGE}
        for y, name in ((top, "v"), (top + 38, "k")):
            page.box(x, y, 33, 34, f"${name}_{j}$", size=20, **look)
    corner = top + 61
    queries = [t] if cached else range(1, t + 1)
    for row, i in enumerate(queries):
        page.box(left + 18, corner + size * (row + 0.5), 36, 33, f"$q_{i}$", ORANGE, size=20)
        for j in range(t):
            if i == t:
                page.mask(left + 46 + j * size, corner + row * size, size, 1, 1, lambda i, j: True)
            else:
                page.grid(left + 46 + j * size, corner + row * size, size, 1, 1, tint(SKY, 0.3))
    pairs = f"{t} pairs" if cached else f"${t}^2$ = {t * t} pairs"
    page.text(left + 46 + t * size / 2, corner + size * len(queries) + 19, pairs, 22, bold=True)


def kv_cache() -> Drawing:
    page = Drawing(
        "kv-cache",
        "Step-by-step decoding without and with cached keys and values",
        "Three steps of decoding, with three, four and five tokens. Above, without a cache: at each step the "
        "queries, keys and values of all tokens are computed anew, and all pairs are scored, 9, 16 and 25, though "
        "only the row of the last query is used. Below, with a cache: the keys and values of the earlier tokens are "
        "read from the cache, only the new token's query, key and value are computed, and one row of pairs is "
        "scored: 3, 4 and 5.",
    )
    page.rectangle(20, 52, 1160, 338, PALE, edge=None, radius=12)
    page.rectangle(20, 400, 1160, 196, PALE, edge=None, radius=12)
    page.text(40, 76, "Without a cache: all queries, keys and values anew, $t^2$ pairs", 24, "start", bold=True)
    page.text(40, 424, "With a cache: one new query, key and value, $t$ pairs", 24, "start", bold=True)
    for t, left in ((3, 150), (4, 510), (5, 870)):
        page.text(left + 46 + 18 * t, 28, f"step $t$ = {t}", 24, bold=True)
        draw_step(page, left, 114, t, cached=False)
        draw_step(page, left, 462, t, cached=True)
    for y, name in ((114, "values"), (152, "keys"), (229, "queries"), (462, "values"), (500, "keys"), (541, "query")):
        page.text(138, y, name, 20, "end")
    page.box(58, 634, 36, 33, "$k_5$", ORANGE, size=20)
    page.text(86, 634, "computed now", 20, "start")
    page.box(300, 634, 36, 33, "$k_1$", WHITE, size=20, edge=GREEN, dash="6 3", line=2.5)
    page.text(328, 634, "read from the cache", 20, "start")
    page.mask(600, 616, 36, 1, 1, lambda i, j: True)
    page.text(646, 634, "pair in use", 20, "start")
    page.grid(820, 616, 36, 1, 1, tint(SKY, 0.3))
    page.text(866, 634, "pair scored again", 20, "start")
    return page


# ------------------------------------------------------------------------------------------------ lesson 3: BERT

SENTENCE = ("[CLS]", "the", "[MASK]", "minister", "resigned", "on", "tuesday", ".", "[SEP]")


def number_text(value: float) -> str:
    """A number with a real minus."""
    return number(value).replace("-", "\u2212")


def softmax(scores: Sequence[float]) -> list[float]:
    powers = [math.exp(score) for score in scores]
    return [power / sum(powers) for power in powers]


def token_places(
    tokens: Sequence[str], left: float, size: float, padding: float, gap: float
) -> list[tuple[float, float]]:
    """The middle and the width of each token's box, one beside the other."""
    places = []
    for token in tokens:
        width = 0.6 * size * len(token) + padding
        places.append((left + width / 2, width))
        left += width + gap
    return places


def draw_side(page: Drawing, top: float, both: bool) -> None:
    """Draw the sentence, what is seen of it, the guess, and the mask."""
    tokens = SENTENCE if both else ("\u2026", "the", "?", *SENTENCE[3:-1])
    places = token_places(SENTENCE, 36, size=22, padding=16, gap=8)
    asked, row, guess = 2 if both else 1, top + 240, top + 92
    x_asked = places[asked][0]
    left, right = 70, 590

    def target(x: float) -> float:
        """Where the arrow from a token ends: the fan is narrower than the sentence."""
        return x_asked + 0.58 * (x - x_asked)

    for i, (token, (x, width)) in enumerate(zip(tokens, places, strict=False)):
        if i == asked:
            page.box(x, row, width, 44, token, ORANGE, bold=True, line=3)
            page.arrow((x, row - 22), (x, guess + 24), colour=VERMILLION, width=4)
        elif both or i < asked:
            page.box(x, row, width, 44, token, tint(SKY, 0.5))
            page.arrow((x, row - 22), (target(x), guess + 24))
        else:
            page.box(x, row, width, 44, token, GREY, edge=DIM, dash="6 4")
    page.box((left + right) / 2, guess, right - left, 46, "", WHITE, line=3)
    page.text(x_asked, guess, "prime" if both else "?", 26, bold=True)
    edges = [(x - width / 2, x + width / 2) for x, width in places]
    if both:
        spans = [(edges[0][0], edges[1][1], "seen"), (edges[3][0], edges[-1][1], "seen, too")]
    else:
        page.arrow((places[2][0], guess + 23), (places[2][0], row - 22), dash="6 4")
        page.text(places[2][0] + 14, (guess + row) / 2, "is written here", 20, "start")
        spans = [(edges[0][0], edges[1][1], "seen"), (edges[3][0], edges[7][1], "not written yet")]
    for first, last, words in spans:
        page.bracket(first, last, row + 38, -10)
        page.text((first + last) / 2, row + 56, words, 22)
    size, count, left = 22, 9 if both else 8, 970
    page.text(left + count / 2 * size, top + 38, "keys")
    page.mask(left, top + 58, size, count, count, lambda i, j: both or j <= i)
    corner = top + 58 + asked * size
    page.frame(left - 4, corner - 4, count * size + 8, size + 8, VERMILLION, 5)
    page.text(left - 14, corner + 11, "[MASK]" if both else "the", 20, "end", bold=True)
    page.text(left - 14, top + 205, "queries", 20, "end")
    page.text(left + count / 2 * size, top + 284, "no causal mask" if both else "causal mask", 22)


def two_sides() -> Drawing:
    page = Drawing(
        "two-sides",
        "One place, two models: from the left only, and from both sides",
        "A sentence twice, one row below the other. Above, left-to-right, as in GPT, which has no MASK: arrows lead to "
        "the guess from the and from what precedes it; the guess will be written after the; minister, resigned, on, "
        "tuesday and the full stop are grey and dashed, not written yet; the mask is a lower triangle, and the row of "
        "the is framed; many words fit. Below, bidirectional, as in BERT, the tokens CLS, the, MASK, minister, "
        "resigned, on, tuesday, full stop, SEP: arrows lead to the guess from all tokens on both sides; every field of "
        "the mask is seen, and the row of MASK is framed; few words fit, and the guess is prime.",
    )
    for top, both in ((10, False), (343, True)):
        page.rectangle(10, top, 1180, 322, PALE, edge=None, radius=12)
        draw_side(page, top, both)
    page.text(36, 42, "Left-to-right (GPT)", 28, "start", bold=True)
    page.text(36, 375, "Bidirectional (BERT)", 28, "start", bold=True)
    for y, number_of, words in ((89, "many", "new, first, other \u2026"), (422, "few", "prime, foreign \u2026")):
        page.text(606, y, f"{number_of} words fit:", 22, "start")
        page.text(606, y + 26, words, 22, "start")
    return page


PAIR = ("[CLS]", "who", "resigned", "?", "[SEP]", "the", "[MASK]", "\u2026", "[SEP]")
PAIR_IDS = ("101", "2040", "5295", "1029", "102", "1996", "103", "\u2026", "102")
PAIR_PLACES = ("0", "1", "2", "3", "4", "5", "6", "\u2026", "$T\u22121$")
PAIR_SEGMENTS = ("0",) * 5 + ("1",) * 2 + ("\u2026", "1")


def draw_inputs(page: Drawing) -> None:
    """Draw the tokens of BERT's input, the three vectors of each, their sum, and the blocks."""
    widest = [max(texts, key=len) for texts in zip(PAIR, PAIR_IDS, strict=True)]
    places = token_places(widest, 312, size=20, padding=20, gap=7)
    left, right = 312, places[-1][0] + places[-1][1] / 2
    rows = (
        (586, "word piece $(V, D)$", PAIR_IDS, tint(ORANGE, 0.55)),
        (551, "position $(P, D)$", PAIR_PLACES, tint(GREEN, 0.4)),
        (516, "segment $(2, D)$", PAIR_SEGMENTS, tint(PURPLE, 0.6)),
    )
    page.text(298, 647, "tokens", 20, "end")
    page.text(298, 615, "ids $(B, T)$", 20, "end")
    for i, (x, width) in enumerate(places):
        page.box(x, 648, width, 32, PAIR[i], ORANGE if PAIR[i] == "[MASK]" else WHITE, size=20)
        page.arrow((x, 632), (x, 603))
        for y, _, numbers, fill in rows:
            page.box(x, y, width, 31, numbers[i], fill, size=20)
        page.arrow((x, 500), (x, 487))
    for y, name, _, fill in rows:
        page.box(186, y, 228, 31, name, fill, size=20, radius=0)
    middle = (left + right) / 2
    page.box(middle, 470, right - left, 32, "sum and LayerNorm", GREY, size=20)
    page.text(298, 470, "$x$", 24, "end")
    page.arrow((middle, 454), (middle, 424))
    page.text(middle + 14, 439, "$(B, T, D)$", 20, "start")
    page.box(middle, 393, right - left, 60, "", BLUE)
    page.text(left + 20, 393, r"blocks $\times L$", 26, "start", bold=True, colour=WHITE)
    page.text(right - 20, 393, "every token looks at all others", 22, "end", colour=WHITE)
    page.line((right + 14, 363), (right + 26, 363), (right + 26, 602), (right + 14, 602))
    page.text(right + 38, 470, "body:", 24, "start")
    page.text(right + 38, 500, "kept", 26, "start", bold=True)
    page.text(right + 14, 628, "$V$ pieces", 20, "start")
    page.text(right + 14, 653, "$P$ positions", 20, "start")


def bert() -> Drawing:
    page = Drawing(
        "bert",
        "BERT, from bottom to top: one body, with the heads of pre-training or a new one",
        "Below, the tokens CLS who resigned ? SEP the MASK ... SEP as ids of shape B, T. For each token three vectors "
        "are looked up, of the word piece in a table V, D, of the position in P, D, and of the segment in 2, D; their "
        "sum is normalised: B, T, D. L blocks follow, in which every token looks at all others: B, T, D. All this is "
        "the body and is kept. On top there are two frames. Left, pre-training: over each of N chosen places a dense "
        "layer with GELU and LayerNorm, then the product with the word vectors, the same table as below (dashed line), "
        "plus a bias, N, V; over CLS the pooler and the next-sentence layer, B, 2. Right, fine-tuning: both heads are "
        "crossed out and thrown away; the pooler is kept, and on it stands one new, random layer, B, C.",
    )
    page.rectangle(10, 10, 602, 304, PALE, edge=None, radius=12)
    page.rectangle(632, 10, 558, 304, PALE, edge=None, radius=12)
    page.text(311, 38, "Pre-training: two heads", 26, bold=True)
    page.text(911, 38, "Fine-tuning: one new layer", 26, bold=True)
    draw_inputs(page)

    cls, blank, task = 150, 436, 762
    page.line((670, 363), (670, 330))
    page.line((cls, 330), (task, 330))
    page.text(684, 345, "$(B, T, D)$", 20, "start")
    for x in (cls, blank, task):
        page.arrow((x, 330), (x, 268))
    for x in (cls, task):
        page.text(x + 12, 298, "over [CLS]", 20, "start")
    page.text(blank + 12, 284, "over each", 20, "start")
    page.text(blank + 12, 308, "chosen place", 20, "start")
    for x, name in ((cls, "pooler"), (task, "pooler, kept")):
        page.box(x, 248, 190, 38, name, BLUE)
        page.arrow((x, 229), (x, 188))
        page.text(x + 12, 210, "$(B, D)$", 20, "start")
    page.box(blank, 248, 322, 38, "dense + GELU + LayerNorm", GREEN, size=20)
    page.arrow((blank, 229), (blank, 188))
    page.text(blank + 12, 210, "$(N, D)$", 20, "start")
    page.box(cls, 168, 190, 38, "next sentence", GREEN, size=20)
    page.box(blank, 168, 322, 38, r"$\times$ word vectors + bias", GREEN, size=20)
    page.box(task, 168, 190, 38, "new layer", ORANGE, bold=True, line=4)
    for x, shape in ((cls, "$(B, 2)$"), (blank, "$(N, V)$, $N$ chosen"), (task, "$(B, C)$, $C$ classes")):
        page.arrow((x, 149), (x, 122))
        page.text(x, 106, shape, 22)
    page.text(762, 80, "new, random", 22, bold=True)
    page.arrow((288, 149), (288, 72), (28, 72), (28, 586), (70, 586), colour=VERMILLION, width=3, dash="8 5")
    page.text(44, 420, "tied: the head uses", 20, "start")
    page.text(44, 446, "the same table", 20, "start")
    page.text(1030, 80, "thrown away", 22, bold=True)
    page.crossed_box(1030, 145, 290, 70, "next-sentence head")
    page.crossed_box(1030, 236, 290, 70, "masked-word head")
    return page


WORDS = {
    "prices": (2.0, -1.0),
    "profit": (1.5, -0.5),
    "rose": (1.0, 1.5),
    "goal": (-1.5, -0.5),
    "team": (-2.0, -1.0),
    "kicked": (-1.0, 1.5),
}
BLANK = (1.5, -1.0)


def toy_blank() -> Drawing:
    page = Drawing(
        "toy-blank",
        "Reading a vector as a word: six words and a blank in a plane",
        "Left, a plane: sport lies to the left, economy to the right, movement above, thing below. Arrows from the "
        "origin lead to prices (2, -1), profit (1.5, -0.5), rose (1, 1.5), goal (-1.5, -0.5), team (-2, -1) and "
        "kicked (-1, 1.5). A thick orange arrow is the blank, (1.5, -1); prices points nearly the same way. Right, a "
        "table of logits, the dot products of the blank with each word, and their softmax: prices 4 and 0.763, profit "
        "2.75 and 0.218, rose 0 and 0.014, goal -1.75, team -2 and kicked -3 with next to nothing.",
    )
    logits = [sum(h * e for h, e in zip(BLANK, vector, strict=True)) for vector in WORDS.values()]
    shares = softmax(logits)
    page.rectangle(10, 10, 690, 655, PALE, edge=None, radius=12)
    unit, x0, y0 = 125, 355, 335
    for i in (-2, -1, 1, 2):
        page.line((x0 + unit * i, 70), (x0 + unit * i, 600), colour=GREY, width=1.5)
        page.line((35, y0 + unit * i), (675, y0 + unit * i), colour=GREY, width=1.5)
    page.arrow((30, y0), (680, y0), colour=DIM)
    page.arrow((x0, 610), (x0, 56), colour=DIM)
    for x, y, anchor, name in (
        (684, y0 - 22, "end", "economy"),
        (26, y0 - 22, "start", "sport"),
        (x0, 36, "middle", "movement"),
        (x0, 632, "middle", "thing"),
    ):
        page.label(x, y, name, 22, anchor)
    for i in (-2, -1, 1, 2):
        page.label(x0 + unit * i, y0 + 18, number_text(i), 20)
        page.label(x0 - 10, y0 - unit * i, number_text(i), 20, "end")
    labels = {
        "prices": (10, 4, "start"),
        "profit": (12, -20, "start"),
        "rose": (0, -22, "middle"),
        "goal": (-4, -30, "middle"),
        "team": (0, 24, "middle"),
        "kicked": (0, -22, "middle"),
    }
    end = (x0 + unit * BLANK[0], y0 - unit * BLANK[1])
    page.arrow((x0, y0), end, colour=ORANGE, width=8)
    for right, up in WORDS.values():
        page.arrow((x0, y0), (x0 + unit * right, y0 - unit * up), colour=BLUE, width=3)
    for word, (right, up) in WORDS.items():
        dx, dy, anchor = labels[word]
        page.label(x0 + unit * right + dx, y0 - unit * up + dy, word, 22, anchor, bold=True)
    page.label(end[0] - 24, end[1] + 34, "the blank", 22, "end", bold=True)

    page.rectangle(720, 10, 470, 655, PALE, edge=None, radius=12)
    page.text(744, 44, "The blank asks each word", 26, "start", bold=True)
    page.text(958, 96, "logit", 22, "end")
    page.text(1170, 96, "probability", 22, "end")
    for i, (word, logit, share) in enumerate(zip(WORDS, logits, shares, strict=True)):
        y = 142 + 50 * i
        if i == 0:
            page.rectangle(732, y - 22, 446, 46, tint(ORANGE, 0.35), edge=ORANGE, line=3)
        page.text(744, y, word, 24, "start", bold=i == 0)
        page.text(958, y, number_text(logit), 24, "end", bold=i == 0)
        page.rectangle(980, y - 13, max(2, 110 * share), 26, ORANGE, radius=0)
        page.text(1170, y, f"{share:.3f}", 24, "end", bold=i == 0)
    page.line((732, 450), (1178, 450), colour=DIM)
    page.text(744, 478, "logit: the dot product", 20, "start")
    page.text(744, 514, r"$z_w = \sum_k h_k e_{wk}$", 28, "start")
    page.text(744, 552, "prices: 1.5 \u00b7 2 + (\u22121)(\u22121) = 4", 22, "start")
    page.text(744, 594, "probability: softmax", 20, "start")
    page.text(744, 632, r"$p_w = exp(z_w) / \sum_v exp(z_v)$", 28, "start")
    return page


# ---------------------------------------------------------------------------------------- lesson 4: classification

HEADLINE = ("Goalkeeper", "saves two", "penalties", "in Maputo", "final")
PIECES = {
    "[CLS]": 101,
    "goalkeeper": 9653,
    "saves": 13169,
    "two": 2048,
    "penalties": 12408,
    "in": 1999,
    "map": 4949,
    "##uto": 16161,
    "final": 2345,
    "[SEP]": 102,
}
CLASSES = ("World", "Sports", "Business", "Sci/Tech")
LOGITS = (0.4, 3.1, -0.9, -1.2)  # made up


def draw_rows(page: Drawing, left: float, top: float, pitch: float, fill: str) -> None:
    """Draw a matrix of ten rows, one beside each word piece; the first, that of [CLS], is marked."""
    for i in range(len(PIECES)):
        page.rectangle(left, top + pitch * i, 60, pitch, ORANGE if i == 0 else fill, line=1.2, radius=0)
    ways = [left + 15, left + 30, left + 45]
    page.strokes([((x, top), (x, top + pitch * len(PIECES))) for x in ways], INK, 1.2)
    page.frame(left - 2, top - 2, 64, pitch + 4, INK, 4)


def text_to_logits() -> Drawing:
    page = Drawing(
        "text-to-logits",
        "A headline on its way through BERT, from text to logits, probabilities and loss",
        "From left to right. The text Goalkeeper saves two penalties in Maputo final becomes ten word pieces with "
        "their ids: CLS 101, goalkeeper 9653, saves 13169, two 2048, penalties 12408, in 1999, map 4949, ##uto 16161, "
        "final 2345, SEP 102. Each id picks an embedding: 10, 384. Six blocks make hidden states of the same shape. "
        "The first of them, of CLS, 384 numbers, goes through the pooler, linear and tanh, 384, and the head, linear "
        "384 to 4, to four logits, drawn as bars: World, Sports, Business, Sci/Tech; Sports is the largest. A bracket "
        "over embeddings, blocks and pooler says pre-trained, one over the head says new. A grey box beside the head, "
        "which guesses blanked words, is crossed out. Below, softmax makes probabilities of the logits, and the loss "
        "is minus the logarithm of the probability of the right class.",
    )
    top, pitch = 112, 40
    first, centre, bottom = top + pitch / 2, top + 5 * pitch, top + 10 * pitch
    page.bracket(412, 880, 60, 14)
    page.text(646, 38, "pre-trained", 24, bold=True)
    page.bracket(946, 1050, 60, 14)
    page.text(998, 38, "new", 24, bold=True)

    page.box(78, centre, 136, 170, "", WHITE)
    for i, line in enumerate(HEADLINE):
        page.text(78, centre - 60 + 30 * i, line)
    for x in (147, 378, 474, 610):
        page.arrow((x, centre), (x + 32, centre))
    for i, (piece, piece_id) in enumerate(PIECES.items()):
        y = first + pitch * i
        page.rectangle(181, y - 18, 195, 36, ORANGE if i == 0 else WHITE, line=3 if i == 0 else 1.5)
        page.text(190, y, piece, 20, "start", bold=i == 0)
        page.text(368, y, str(piece_id), 20, "end")
    draw_rows(page, 412, top, pitch, tint(BLUE, 0.25))
    for i in range(6):
        page.rectangle(508 + 17 * i, top, 15, 10 * pitch, BLUE, radius=3)
    draw_rows(page, 644, top, pitch, tint(BLUE, 0.5))
    for x, *names in (
        (78, "text"),
        (278, "word pieces", "(10)"),
        (442, "embeddings", "(10, 384)"),
        (558, "6 blocks"),
        (674, "hidden", "states", "(10, 384)"),
    ):
        for i, name in enumerate(names):
            page.text(x, bottom + 24 + 26 * i, name)

    page.arrow((706, first), (786, first), width=3)
    page.text(745, first - 22, "[CLS]", 20, bold=True)
    page.text(745, first + 24, "(384)")
    for x, width, fill, *lines in (
        (835, 92, BLUE, "pooler", "linear", "+ tanh"),
        (998, 100, ORANGE, "head", "linear", "384 to 4"),
    ):
        page.box(x, first + 5, width, 94, "", fill)
        for i, line in enumerate(lines):
            page.text(x, first - 22 + 27 * i, line, 20, bold=i == 0, colour=ink_on(fill))
    page.arrow((882, first), (944, first), width=3)
    page.text(913, first + 24, "(384)")
    page.arrow((1049, first), (1084, first), width=3)
    page.text(1130, 84, "logits (4)", 20, bold=True)
    for i, (name, logit) in enumerate(zip(CLASSES, LOGITS, strict=True)):
        y = 116 + 50 * i
        zero = 1120
        page.text(1092, y, name, 20, "start")
        page.rectangle(min(zero, zero + 21 * logit), y + 13, 21 * abs(logit), 16, GREEN, radius=0)
        page.line((zero, y + 12), (zero, y + 31))
    page.text(985, 206, "thrown away", 20, bold=True)
    page.crossed_box(985, 276, 176, 106, "guesses", "blanked", "words")

    shares = softmax(LOGITS)
    page.arrow((1140, 304), (1140, 366))
    page.text(1128, 346, "softmax", 20, "end", bold=True)
    page.text(780, 382, "probabilities (4), made up", 20, "start", bold=True)
    for i, (name, share) in enumerate(zip(CLASSES, shares, strict=True)):
        y = 414 + 30 * i
        page.text(876, y, name, 20, "end")
        page.rectangle(886, y - 11, max(3, 220 * share), 22, GREEN, radius=0)
        page.text(1184, y, f"{share:.2f}", 20, "end", bold=i == 1)
    page.arrow((985, 522), (985, 552))
    page.rectangle(780, 556, 410, 109, tint(SKY, 0.25), edge=None, radius=12)
    page.text(985, 586, "loss = \u2212log $p$ of the right class", 20, bold=True)
    page.text(985, 632, f"\u2212log {shares[1]:.2f} = {-math.log(shares[1]):.2f}, if it is Sports", 20)
    page.rectangle(10, 608, 750, 57, PALE, edge=None, radius=12)
    page.text(26, 636, "A batch of $B$ texts: shapes $(B, T)$, $(B, T, D)$, $(B, D)$, $(B, C)$", 20, "start")
    return page


def draw_lock(page: Drawing, x: float, y: float, colour: str) -> None:
    """Draw a lock: these weights stay as they are."""
    page.add("path", d=f"M{x - 7} {y}v-6a7 7 0 0 1 14 0v6", fill="none", stroke=colour, stroke_width=3.5)
    page.rectangle(x - 11, y - 1, 22, 16, colour, edge=None, radius=3)


def draw_pencil(page: Drawing, x: float, y: float, colour: str) -> None:
    """Draw a pencil: these weights are trained."""
    for corners in (((4, -14), (13, -5), (-3, 11), (-12, 2)), ((-14, 5), (-6, 13), (-16, 15))):
        page.add("polygon", points=" ".join(f"{number(x + a)},{number(y + b)}" for a, b in corners), fill=colour)


def draw_die(page: Drawing, x: float, y: float) -> None:
    """Draw a die: these weights begin at random."""
    page.rectangle(x - 15, y - 15, 30, 30, WHITE, line=2, radius=6)
    for dx, dy in ((-7, -7), (7, -7), (0, 0), (-7, 7), (7, 7)):
        page.add("circle", cx=x + dx, cy=y + dy, r=3, fill=INK)


# a part of a method: its name, how it begins, and what happens to it
LINEAR, HEAD, MEAN = ("linear", "", "trained"), ("head", "random", "trained"), ("mean over the mask", "", "")
COUNTS, FROZEN_BLOCKS = ("word counts", "", "stays"), ("blocks", "pre-trained", "stays")
WAYS = {
    "TF-IDF": (COUNTS, None, LINEAR),
    "Random body": (("blocks", "random", "trained"), ("pooler", "random", "trained"), HEAD),
    "Frozen, [CLS]": (FROZEN_BLOCKS, ("pooler", "pre-trained", "stays"), LINEAR),
    "Frozen, mean": (FROZEN_BLOCKS, MEAN, LINEAR),
    "Fine-tuned": (("blocks", "pre-trained", "trained"), ("pooler", "pre-trained", "trained"), HEAD),
}


def draw_part_of_way(page: Drawing, x: float, y: float, name: str, start: str, fate: str) -> None:
    """Draw a part of a method: what it is called, how it begins, and whether it is trained."""
    fill = {"stays": BLUE, "trained": ORANGE, "": GREY}[fate]
    page.box(x, y, 232, 74, "", fill)
    ink = ink_on(fill)
    middle = x + (18 if fate else 0) - (16 if start == "random" else 0)
    if fate == "stays":
        draw_lock(page, x - 92, y, ink)
    elif fate == "trained":
        draw_pencil(page, x - 92, y, ink)
    if start == "random":
        draw_die(page, x + 92, y)
    page.text(middle, y - (14 if start else 0), name, 22 if fate else 20, bold=bool(fate), colour=ink)
    if start:
        page.text(middle, y + 16, start, 20, colour=ink)


def five_ways() -> Drawing:
    page = Drawing(
        "five-ways",
        "Five ways to use the same labelled texts: what stays and what is trained",
        "Five rows, each from text to class. Blue with a lock: stays as it is; orange with a pencil: trained; a die: "
        "begins at random. TF-IDF: word counts, which stay, and a trained linear layer. Random body: blocks, pooler "
        "and head begin at random and are all trained. Frozen, CLS: pre-trained blocks and pooler stay, a linear "
        "layer is trained. Frozen, mean: pre-trained blocks stay, the mean over the mask takes the pooler's place, a "
        "linear layer is trained. Fine-tuned: blocks and pooler begin pre-trained, the head at random, and all are "
        "trained.",
    )
    columns = (434, 698, 962)
    for row, (way, parts) in enumerate(WAYS.items()):
        y = 62 + 112 * row
        page.rectangle(10, y - 52, 1180, 104, PALE, edge=None, radius=12)
        page.text(28, y, way, 24, "start", bold=True)
        page.text(252, y, "text", 22)
        page.text(1152, y, "class", 22)
        begin = 284
        for x, part in zip(columns, parts, strict=True):
            if part:
                page.arrow((begin, y), (x - 116, y))
                draw_part_of_way(page, x, y, *part)
                begin = x + 116
        page.arrow((begin, y), (1120, y))
    page.box(86, 636, 60, 50, "", BLUE)
    draw_lock(page, 86, 636, WHITE)
    page.text(128, 636, "stays as it is", 22, "start")
    page.box(450, 636, 60, 50, "", ORANGE)
    draw_pencil(page, 450, 636, INK)
    page.text(492, 636, "trained", 22, "start")
    draw_die(page, 800, 636)
    page.text(828, 636, "begins at random", 22, "start")
    return page


# -------------------------------------------------------------------------------------- lesson 5: names and answers

PANELS = ((4, 232), (240, 452), (696, 500))  # left and width of each head's column


def draw_column(
    page: Drawing,
    panel: tuple[float, float],
    title: str,
    colour: str,
    loss: Sequence[str],
    tokens: Sequence[str],
    widths: Sequence[float],
) -> list[tuple[float, float]]:
    """Draw a head's column: title and loss above, tokens and hidden states below; return each token's x and width."""
    left, width = panel
    page.rectangle(left, 8, width, 456, tint(colour, 0.15), edge=None, radius=12)
    page.text(left + width / 2, 34, title, 24, bold=True)
    for i, line in enumerate(loss):
        page.text(left + width / 2, 68 + 25 * i, line)
    places = []
    edge = left + (width - sum(widths) - 2 * (len(widths) - 1)) / 2
    for token, box_width in zip(tokens, widths, strict=True):
        x = edge + box_width / 2
        edge += box_width + 2
        places.append((x, box_width))
        if token == "\u2026":
            page.text(x, 578, token)
            continue
        page.box(x, 578, box_width, 34, token, size=20)
        page.arrow((x, 560), (x, 541))
        page.rectangle(x - min(box_width, 30) / 2, 424, min(box_width, 30), 30, BLUE, radius=3)
        page.line((x, 482), (x, 454))
    return places


def widths_of(tokens: Sequence[str], padding: float) -> list[float]:
    """How wide the box of each token is; dots have none."""
    return [20 if token == "\u2026" else 12 * len(token) + padding for token in tokens]


def three_heads() -> Drawing:
    page = Drawing(
        "three-heads",
        "One body, three heads: class, names, answers",
        "At the bottom, word pieces; above them one wide box over the whole width, the body, six layers of BERT, the "
        "same weights at the start; out of it comes one hidden state for each piece, B, T, D. On top stand three "
        "heads side by side. Class, lesson 4: the hidden state of CLS alone goes through the pooler and a linear "
        "layer, D to 4; logits B, 4; the third bar, Business, is the longest; loss: cross-entropy over 4 classes. "
        "Names: every hidden state goes into a linear layer, D to 9; logits B, T, 9; the labels are O for founder "
        "and for the comma, B-PER for lu, I-PER for ting, and nothing, hatched, for CLS, ##o and ##bai; result Luo "
        "Tingbai, PER; loss: cross-entropy over 9 tags, for pieces that count. Answers: question and text enter as "
        "one input with segments 0 and 1; every hidden state goes into a linear layer, D to 2; start logits and end "
        "logits, B, T each; one finger points at lu, the start, one at ##bai, the end; result Luo Tingbai; loss: "
        "cross-entropy over T places, twice.",
    )
    page.box(600, 511, 1184, 58, "", BLUE)
    page.text(30, 511, "body: 6 layers of BERT", 26, "start", bold=True, colour=WHITE)
    page.text(1170, 511, "the same weights at the start of all three", 22, "end", colour=WHITE)
    classes, names, answers = PANELS

    loss = ("loss: cross-entropy", "over 4 classes")
    tokens = ("[CLS]", "\u2026", "ting", "##bai")
    (x_cls, _), *_ = draw_column(page, classes, "Class (lesson 4)", ORANGE, loss, tokens, widths_of(tokens, 6))
    for i, (name, share) in enumerate(zip(CLASSES, (0.3, 0.15, 1, 0.4), strict=True)):
        page.text(114, 136 + 28 * i, name, 20, "end", bold=i == 2)
        page.rectangle(122, 126 + 28 * i, 106 * share, 20, ORANGE, line=3 if i == 2 else 1.2, radius=0)
    page.text(120, 254, "logits $(B, 4)$", 20)
    page.box(120, 292, 220, 38, "linear, $D$ to 4", ORANGE, size=22)
    page.arrow((x_cls, 332), (x_cls, 313))
    page.box(120, 348, 220, 32, "pooler", GREY, size=22)
    page.arrow((x_cls, 424), (x_cls, 366))
    page.text(142, 382, "hidden states", 20)
    page.text(142, 406, "$(B, T, D)$", 20)

    loss = ("loss: cross-entropy over 9 tags,", "for the pieces that count")
    tokens = ("[CLS]", "\u2026", "founder", ",", "lu", "##o", "ting", "##bai")
    tags = ("", "", "O", "O", "B-PER", "", "I-PER", "")
    widths = widths_of(tokens, 4)
    widths[3:7] = 24, 70, 44, 60  # as wide as their tags, and room for ##o
    places = draw_column(page, names, "Names", GREEN, loss, tokens, widths)
    for token, tag, (x, width) in zip(tokens, tags, places, strict=True):
        if token == "\u2026":
            page.text(x, 210, token)
            continue
        page.arrow((x, 424), (x, 313))
        if tag:
            page.box(x, 210, width, 32, tag, GREEN, size=20)
        else:
            page.striped(x - width / 2, 194, width, 32)
    page.box(466, 292, 440, 38, "linear, $D$ to 9", GREEN, size=22)
    page.text(466, 254, "logits $(B, T, 9)$", 20)
    page.striped(254, 122, 44, 26)
    page.text(308, 135, "\u2212100: does not count", 20, "start")
    page.bracket(places[4][0] - 34, places[7][0] + 30, 186, 6)
    page.text((places[4][0] + places[7][0]) / 2, 168, "Luo Tingbai, PER", 22, bold=True)

    loss = ("loss: cross-entropy over $T$ places,", "twice: for start and for end")
    tokens = ("[CLS]", "who", "\u2026", "?", "[SEP]", "\u2026", "lu", "##o", "ting", "##bai", "[SEP]")
    widths = widths_of(tokens, 3)
    widths[1] = widths[7] = 45  # room for wide letters
    boxes = draw_column(page, answers, "Answers", PURPLE, loss, tokens, widths)
    places = [x for x, _ in boxes]
    for i, (x, width) in enumerate(boxes):
        if tokens[i] == "\u2026":
            page.text(x, 215, tokens[i])
            continue
        page.arrow((x, 424), (x, 313))
        page.rectangle(x - width / 2, 202, width, 26, PURPLE if i in (6, 9) else WHITE, line=3 if i in (6, 9) else 1.2)
    page.box(946, 292, 488, 38, "linear, $D$ to 2", PURPLE, size=22)
    page.text(946, 254, "start logits $(B, T)$, end logits $(B, T)$", 20)
    for i, name in ((6, "start"), (9, "end")):
        page.arrow((places[i], 168), (places[i], 198), width=4)
        page.text(places[i], 152, name, 22, bold=True)
    page.text(710, 138, "the labels are", 20, "start")
    page.text(710, 163, "two positions", 20, "start")
    page.text((places[6] + places[9]) / 2, 124, "Luo Tingbai", 22, bold=True)
    for first, last, segment in ((0, 4, 0), (5, 10, 1)):
        ends = boxes[first][0] - boxes[first][1] / 2, boxes[last][0] + boxes[last][1] / 2
        page.bracket(ends[0] + 1, ends[1] - 1, 608, -8)
        page.text(sum(ends) / 2, 626, f"segment {segment}", 20)
    captions = (("a text", 620), ("a text", 620), ("question and text as one input", 654))
    for (left, width), (caption, y) in zip(PANELS, captions, strict=True):
        page.text(left + width / 2, y, caption, 22, bold=True)
    return page


SPAN_WORDS = ("In", "Lagos", "Ada", "Obi", "beat", "Ben")
STARTS = (0.1, 0.5, 2.0, 0.3, 0.1, 2.2)
ENDS = (0.1, 0.8, 0.5, 2.4, 0.2, 1.5)


def draw_score(page: Drawing, x: float, y: float, score: float, largest: bool) -> None:
    """Write a score; the largest has a ring."""
    if largest:
        page.add("circle", cx=x, cy=y, r=25, fill=WHITE, stroke=VERMILLION, stroke_width=4)
    page.text(x, y, f"{score:.1f}", 22, bold=largest)


def span_grid() -> Drawing:
    page = Drawing(
        "span-grid",
        "Start and end of an answer, chosen together: the sums of all pairs",
        "A grid of six by six words: In, Lagos, Ada, Obi, beat, Ben. Rows are first words with start scores 0.1, 0.5, "
        "2.0, 0.3, 0.1, 2.2; columns are last words with end scores 0.1, 0.8, 0.5, 2.4, 0.2, 1.5. The largest start, "
        "Ben, and the largest end, Obi, are ringed. Each field on and above the diagonal holds the sum, darker for a "
        "larger one. The fields below the diagonal are grey and struck through, since there the end lies before the "
        "start. One of them, row Ben, column Obi, has the largest sum of all, 4.6, in a dashed frame. The best valid "
        "span is framed in orange: row Ada, column Obi, 4.4.",
    )
    size, left, top = 84, 246, 140
    page.text(left + 3 * size, 24, "last word, with its end score $e_j$", 22, bold=True)
    page.text(24, 70, "first word,", 22, "start", bold=True)
    page.text(24, 100, "with its start", 22, "start", bold=True)
    page.text(24, 130, "score $s_i$", 22, "start", bold=True)
    best = max(s + e for i, s in enumerate(STARTS) for e in ENDS[i:])
    for k, word in enumerate(SPAN_WORDS):
        middle = size * (k + 0.5)
        page.text(left + middle, 63, word, 24)
        draw_score(page, left + middle, 108, ENDS[k], ENDS[k] == max(ENDS))
        page.text(148, top + middle, word, 24, "end")
        draw_score(page, 205, top + middle, STARTS[k], STARTS[k] == max(STARTS))
    for i, start in enumerate(STARTS):
        for j, end in enumerate(ENDS):
            x, y, total = left + size * (j + 0.5), top + size * (i + 0.5), start + end
            fill = tint(BLUE, 0.04 + 0.96 * (total / best) ** 2) if i <= j else GREY
            page.rectangle(x - size / 2, y - size / 2, size, size, fill, line=1.2, radius=0)
            page.text(x, y, f"{total:.1f}", 24, colour=ink_on(fill), struck=i > j)
    page.frame(left + 3 * size, top + 2 * size, size, size, ORANGE, 8)
    page.frame(left + 3 * size, top + 5 * size, size, size, VERMILLION, 5, dash="10 6")

    page.rectangle(780, 140, 410, 504, PALE, edge=None, radius=12)
    page.text(985, 180, "sum = $s_i + e_j$", 30, bold=True)
    page.box(840, 262, 66, 66, "4.4", BLUE, size=24, radius=0)
    page.frame(807, 229, 66, 66, ORANGE, 8)
    page.text(896, 248, "the best valid span:", 22, "start")
    page.text(896, 278, "Ada Obi", 24, "start", bold=True)
    page.rectangle(807, 345, 66, 66, GREY, edge=None, radius=0)
    page.text(840, 378, "4.6", 24, struck=True)
    page.frame(807, 345, 66, 66, VERMILLION, 5, dash="10 6")
    page.text(896, 350, "the largest of all:", 22, "start")
    page.text(896, 380, "the end lies", 22, "start")
    page.text(896, 410, "before the start", 22, "start")
    page.add("circle", cx=840, cy=494, r=25, fill=WHITE, stroke=VERMILLION, stroke_width=4)
    page.text(896, 479, "the largest start,", 22, "start")
    page.text(896, 509, "the largest end", 22, "start")
    for i in range(4):
        page.rectangle(807 + 17 * i, 578, 17, 34, tint(BLUE, (0.1, 0.4, 0.7, 1.0)[i]), line=1.2, radius=0)
    page.text(896, 595, "darker: a larger sum", 22, "start")
    return page


TEXT_PIECES, QUESTION_PIECES, WINDOW_PIECES, OVERLAP = 393, 11, 128, 48
ANSWER_AT = (150, 172)  # in the overlap of the second window and the third
WINDOW_SCORES = ((7.1, 0.90), (4.0, 0.80), (3.2, 0.30), (5.5, 0.95), (4.6, 0.40))  # made up


def windows() -> Drawing:
    page = Drawing(
        "windows",
        "A long text read in windows that overlap, and why their scores are hard to compare",
        "On top, a long bar, the text, with a short orange piece, the answer. Below, five windows, "
        "each with the question in front, each a stretch of the text, 128 pieces with the question, shifted so that "
        "neighbours share 48 pieces, which are hatched. The answer stands whole in the second window and in the "
        "third. Beside each window two made-up numbers: the best span's sum, 7.1, 4.0, 3.2, 5.5 and 4.6, and its "
        "probability in this window, 0.90, 0.80, 0.30, 0.95 and 0.40. The largest of each are ringed: the first window "
        "and the fourth, and neither holds the answer. Below: within a window differences mean something; between "
        "windows they do not, because each window shares out a whole 1, and adding 5 to all start "
        "logits of a window changes nothing in it.",
    )
    start, scale, high = 250, 1.42, 38
    stretch = WINDOW_PIECES - QUESTION_PIECES
    step = stretch - OVERLAP

    def place(piece: float) -> float:
        return start + scale * piece

    page.box(place(TEXT_PIECES / 2), 62, scale * TEXT_PIECES, high, "", tint(BLUE, 0.25), radius=0)
    page.text(place(0) + 8, 62, "the text", 20, "start")
    page.rectangle(place(ANSWER_AT[0]), 43, scale * (ANSWER_AT[1] - ANSWER_AT[0]), high, ORANGE, line=3, radius=0)
    page.text(place(sum(ANSWER_AT) / 2), 24, "answer", 22, bold=True)
    page.text(146, 118, "128 pieces with the question", 20, "start")
    page.bracket(146, place(stretch), 136, 8)
    for x, *lines in ((938, "best span", "$s + e$"), (1090, "probability", "in this window")):
        for i, line in enumerate(lines):
            page.text(x, 56 + 28 * i, line, 22 if i == 0 else 20, bold=i == 0)
    page.text(1014, 120, "numbers made up", 20)
    for k, scores in enumerate(WINDOW_SCORES):
        y, first = 168 + 66 * k, k * step
        last = first + stretch
        page.text(20, y, f"window {k + 1}", 22, "start")
        page.box(place(first) - 54, y, 100, high, "question", tint(PURPLE, 0.6), size=20, radius=0)
        page.rectangle(place(first), y - high / 2, scale * stretch, high, tint(BLUE, 0.25), radius=0)
        if k > 0:
            page.striped(place(first), y - high / 2, scale * OVERLAP, high, tint(BLUE, 0.25))
        if k < len(WINDOW_SCORES) - 1:
            page.striped(place(last - OVERLAP), y - high / 2, scale * OVERLAP, high, tint(BLUE, 0.25))
        if first <= ANSWER_AT[0] and ANSWER_AT[1] <= last:
            long = scale * (ANSWER_AT[1] - ANSWER_AT[0])
            page.rectangle(place(ANSWER_AT[0]), y - high / 2, long, high, ORANGE, line=3, radius=0)
        for x, score, column, digits in ((938, scores[0], 0, 1), (1090, scores[1], 1, 2)):
            largest = score == max(row[column] for row in WINDOW_SCORES)
            if largest:
                page.box(x, y, 78, 46, "", WHITE, edge=VERMILLION, line=4, radius=23)
            page.text(x, y, f"{score:.{digits}f}", 24, bold=largest)
    page.text(place(stretch) + 12, 168, f"overlap {OVERLAP}", 20, "start")
    page.text(1014, 478, "ringed: the largest, and both", 20)
    page.text(1014, 504, "windows lack the answer", 20)

    page.rectangle(10, 528, 480, 137, tint(GREEN, 0.2), edge=None, radius=12)
    page.text(30, 556, "Within a window", 24, "start", bold=True)
    page.text(30, 592, "differences mean something:", 22, "start")
    page.text(30, 624, "one softmax over all its places", 22, "start")
    page.rectangle(506, 528, 684, 137, tint(VERMILLION, 0.2), edge=None, radius=12)
    page.text(526, 556, "Between windows", 24, "start", bold=True)
    page.text(526, 592, "each shares out a whole 1, and adding 5 to all", 22, "start")
    page.text(526, 624, "start logits of a window changes nothing in it", 22, "start")
    return page


# -------------------------------------------------------------------------------------- lesson 6: faster and bigger

PROCESSES = (BLUE, ORANGE, GREEN, PURPLE)
CHUNK, HIGH, APART = 52, 32, 18  # width and height of a chunk, and what lies between two processes
Held = list[list[set[int]]]  # for each process, and each of its chunks, whose gradients are in the sum


def ring_states(count: int) -> list[Held]:
    """What each process holds before each turn of a ring all-reduce, and at the end."""
    states = [[[{p} for _ in range(count)] for p in range(count)]]
    for turn in range(2 * (count - 1)):
        held = [[set(chunk) for chunk in row] for row in states[-1]]
        for p in range(count):
            chunk = (p - turn) % count
            held[(p + 1) % count][chunk] |= states[-1][p][chunk]
        states.append(held)
    return states


def draw_chunks(page: Drawing, left: float, top: float, held: Held) -> None:
    """Draw the chunks of some processes, one row each: stripe k is filled where process k's gradient is in the sum."""
    wide = CHUNK / len(PROCESSES)
    for p, row in enumerate(held):
        page.rectangle(left, top + (HIGH + APART) * p, CHUNK * len(row), HIGH, WHITE, edge=None, radius=0)
    for k, colour in enumerate(PROCESSES):
        places = [
            (left + CHUNK * c + wide * k, top + (HIGH + APART) * p)
            for p, row in enumerate(held)
            for c, chunk in enumerate(row)
            if k in chunk
        ]
        path = "".join(f"M{number(x)} {number(y)}h{number(wide)}v{HIGH}h-{number(wide)}z" for x, y in places)
        if path:
            page.add("path", d=path, fill=colour)
    for p, row in enumerate(held):
        y = top + (HIGH + APART) * p
        edges = [((left + CHUNK * c, y), (left + CHUNK * c, y + HIGH)) for c in range(len(row) + 1)]
        ends = [((left, y + d), (left + CHUNK * len(row), y + d)) for d in (0, HIGH)]
        page.strokes(edges + ends, INK, 1.5)


def draw_turn(page: Drawing, left: float, top: float, turn: int, held: Held) -> None:
    """Draw what the processes hold before a turn, and which chunk each of them sends in it."""
    page.text(left + 2 * CHUNK, top - 33, f"turn {turn % 3 + 1}", 22, bold=True)
    draw_chunks(page, left, top, held)
    for p in range(4):
        chunk = (p - turn) % 4
        x, y = left + CHUNK * (chunk + 0.5), top + (HIGH + APART) * p
        page.frame(left + CHUNK * chunk - 2, y - 2, CHUNK + 4, HIGH + 4, INK, 5)
        page.arrow((x, y + HIGH), (x, y + HIGH + APART), width=3)
        if p == 3:
            page.arrow((x, top - APART), (x, top), width=3)


def ring() -> Drawing:
    page = Drawing(
        "ring",
        "The ring all-reduce with four processes: three turns that add, three turns that hand out",
        "Four processes, 0 to 3, one row each; each cuts its gradient into four chunks and sends one chunk a turn to "
        "the next process, the last one to the first. A chunk has four stripes, and stripe k is filled where the "
        "gradient of process k is in the sum. In turn 1 of reduce-scatter process 0 sends chunk 1, process 1 chunk 2, "
        "and so on; the next process adds it to its own. After three turns each process holds one finished sum: "
        "process 0 chunk 2, process 1 chunk 3, process 2 chunk 4, process 3 chunk 1. In the three turns of all-gather "
        "the finished sums travel on in the same way, each in the place of an unfinished one. At the end all hold all "
        "four sums, and each sent 3 + 3 chunks of 4: 2 (N - 1) / N of its gradient.",
    )
    states = ring_states(4)
    for top, title, first in (
        (10, "1. Reduce-scatter: the next one adds what it gets", 0),
        (310, "2. All-gather: the next one keeps the finished sum", 3),
    ):
        page.rectangle(10, top, 905, 292, PALE, edge=None, radius=12)
        page.text(30, top + 26, title, 26, "start", bold=True)
        page.text(84, top + 55, "process", 20)
        for p, colour in enumerate(PROCESSES):
            page.box(84, top + 88 + HIGH / 2 + (HIGH + APART) * p, 56, HIGH, str(p), colour, bold=True)
        for i in range(3):
            draw_turn(page, 160 + 262 * i, top + 88, first + i, states[first + i])
    page.rectangle(925, 10, 265, 292, tint(SKY, 0.25), edge=None, radius=12)
    page.text(1057, 36, "The ring", 26, bold=True)
    places = ((958, 82), (1020, 82), (1020, 146), (958, 146))
    for p, (x, y) in enumerate(places):
        page.box(x, y, 34, HIGH, str(p), PROCESSES[p], bold=True)
    page.arrow((976, 82), (1002, 82))
    page.arrow((1020, 99), (1020, 129))
    page.arrow((1002, 146), (976, 146))
    page.arrow((958, 129), (958, 99))
    page.text(1048, 100, "each sends", 20, "start")
    page.text(1048, 128, "to the next", 20, "start")
    for y, chunk, name in (
        (182, {0, 1}, "sum of 0 and 1"),
        (222, {0, 1, 2, 3}, "finished sum"),
        (262, {0}, "moves now"),
    ):
        draw_chunks(page, 938, y, [[chunk]])
        page.text(1004, y + HIGH / 2, name, 20, "start")
    page.frame(936, 260, CHUNK + 4, HIGH + 4, INK, 5)
    page.rectangle(925, 310, 265, 292, tint(GREEN, 0.2), edge=None, radius=12)
    page.text(1057, 336, "The end", 26, bold=True)
    page.text(1057, 368, "all hold all sums", 20)
    draw_chunks(page, 953, 398, states[-1])
    page.text(
        600, 622, "A row: one process, its gradient in 4 chunks, before the turn. After process 3 comes process 0.", 20
    )
    page.text(600, 653, "Each sent 3 + 3 chunks of 4: $2 (N \u2212 1) / N$ of its gradient", 24, bold=True)
    return page


# What training keeps for each parameter: its name, its bytes, its colour
ADAM_STATE = (("parameters", 2, BLUE), ("gradients", 2, ORANGE), ("optimizer state", 12, GREEN))
SHARDINGS = (  # name, what is sharded, formula, and how many of the three are sharded
    ("DDP", "nothing sharded", "$2 + 2 + 12$", 0),
    ("ZeRO-1", "optimizer state sharded", "$2 + 2 + 12 / N$", 1),
    ("ZeRO-2", "gradients, too", "$2 + (2 + 12) / N$", 2),
    ("ZeRO-3 = FSDP", "parameters, too", "$(2 + 2 + 12) / N$", 3),
)
BILLIONS, GPUS = 7.5, 64


def bytes_of(sharded: int, gpus: int) -> list[float]:
    """The bytes for each parameter on one GPU where the last ``sharded`` of the three are cut into ``gpus`` parts."""
    return [size / (gpus if 3 - i <= sharded else 1) for i, (_, size, _) in enumerate(ADAM_STATE)]


def zero() -> Drawing:
    page = Drawing(
        "zero",
        "What each of N GPUs holds in data parallel training, from DDP to ZeRO-3",
        "Four rows of bars, to scale for N = 64 GPUs: the bytes that one GPU holds for each parameter in mixed "
        "precision with Adam. DDP: 2 for the parameter, 2 for its gradient, 12 for the optimizer state; with 7.5 "
        "billion parameters 120 GB. ZeRO-1 shards the optimizer state: 2 + 2 + 12 / N, 31.4 GB. ZeRO-2 shards the "
        "gradients, too: 2 + (2 + 12) / N, 16.6 GB. ZeRO-3, which is FSDP, shards the parameters, too: (2 + 2 + 12) / "
        "N, 1.9 GB. What a GPU does not hold lies on the others. Below, the 16 bytes in large: the parameter and its "
        "gradient in 16 bits, 2 bytes each, and the optimizer state, a copy of the parameter in float32 and Adam's two "
        "averages m and v, 4 bytes each. Activations are not counted. Numbers: Rajbhandari and others 2020, figure 1.",
    )
    start, unit = 318, 29.5
    page.text(start, 34, "Bytes for each parameter, on one GPU", 22, "start", bold=True)
    page.text(1180, 22, "7.5 billion parameters,", 20, "end")
    page.text(1180, 48, "$N$ = 64 GPUs", 20, "end")
    for row, (name, what, formula, sharded) in enumerate(SHARDINGS):
        y = 104 + 84 * row
        page.rectangle(10, y - 38, 1180, 76, PALE, edge=None, radius=12)
        page.text(28, y - 15, name, 24, "start", bold=True)
        page.text(28, y + 17, what, 20, "start")
        left, sizes = start, bytes_of(sharded, GPUS)
        for (_, whole, colour), size in zip(ADAM_STATE, sizes, strict=True):
            if size == whole:
                page.box(left + unit * size / 2, y, unit * size, 48, str(whole), colour, size=24, bold=True, radius=0)
            else:
                page.rectangle(left, y - 24, unit * size, 48, colour, edge=None, radius=0)
            left += unit * size
        if sharded:
            right = start + 16 * unit
            page.rectangle(left + 3, y - 24, right - left - 3, 48, WHITE, edge=DIM, radius=0, dash="6 4")
            page.text((left + right) / 2, y, "on the other GPUs", 20)
        page.text(812, y, formula, 22, "start")
        page.text(1180, y, f"{round(BILLIONS * sum(sizes), 1):g} GB", 28, "end", bold=True)
    left, unit = 40, 70
    page.rectangle(10, 402, 1180, 172, tint(SKY, 0.25), edge=None, radius=12)
    page.text(40, 428, "The 16 bytes of mixed precision with Adam", 22, "start", bold=True)
    for name, size, colour in (
        ("parameter", 2, BLUE),
        ("gradient", 2, ORANGE),
        ("float32 parameter", 4, GREEN),
        ("average $m$", 4, GREEN),
        ("average $v$", 4, GREEN),
    ):
        x = left + unit * size / 2
        page.box(x, 482, unit * size, 68, "", colour, radius=0)
        page.text(x, 467, name, 20, colour=ink_on(colour))
        page.text(x, 497, f"{size} bytes", 20, colour=ink_on(colour))
        left += unit * size
    page.bracket(40, 318, 526, -6)
    page.text(179, 549, "in 16 bits", 20)
    page.bracket(322, 1160, 526, -6)
    page.text(741, 549, "optimizer state: 12 bytes, in float32", 20)
    page.text(28, 606, "sharded: cut into $N$ parts, one on each GPU. Not counted: activations.", 22, "start")
    page.text(28, 644, "Numbers as in Rajbhandari et al. 2020, arXiv 1910.02054, figure 1", 20, "start")
    return page


FORWARD, BACKWARD, LAST_SENT, UPDATE = (342, 520), (524, 906), (906, 1026), (1030, 1172)  # from x to x


def step_timeline() -> Drawing:
    page = Drawing(
        "step-timeline",
        "One training step as a timeline, and what each change of the lesson shortens",
        "Three rows from left to right. CPU: tokenise, copy. GPU: forward, then backward through layers 6 and 5, 4 and "
        "3, 2 and 1, and the word vectors, then the optimizer. Network: as soon as a part of the backward pass is "
        "done, its gradients are exchanged as one bucket; buckets 1 to 3 travel during the rest of the backward pass "
        "and cost little time; for the last bucket, the word vectors, the GPU waits; then comes the optimizer. Below, "
        "five changes and what they shorten. Group by length: forward and backward, less padding. Larger batch: the "
        "exchange that is waited for and the optimizer come once for more texts, and a GPU is better used in forward "
        "and backward. bfloat16: the products in forward and backward, where the hardware has it. Fused optimizer: "
        "the optimizer. Only words that occur: the last part of the backward pass, the last bucket and the optimizer, "
        "as there are fewer word vectors. The widths are made up.",
    )
    for y, name, width in ((58, "CPU", 194), (134, "GPU", 1040), (218, "network", 1040)):
        page.text(30, y, name, 24, "start", bold=True)
        page.rectangle(150, y - 30, width, 60, PALE, edge=None, radius=6)
    for left, right, y, name, fill in (
        (160, 270, 58, "tokenise", GREY),
        (274, 334, 58, "copy", GREY),
        (*FORWARD, 134, "forward", SKY),
        (*UPDATE, 134, "optimizer", GREEN),
    ):
        page.box((left + right) / 2, y, right - left, 46, name, fill, size=20, bold=name == "optimizer")
    page.arrow((304, 82), (304, 134), (340, 134))
    page.text(715, 56, "backward: layers, then word vectors", 20)
    page.bracket(*BACKWARD, 80, 12)
    parts = (("6, 5", 524, 624, 700), ("4, 3", 624, 724, 800), ("2, 1", 724, 824, 900), ("words", 824, 906, 1026))
    for i, (name, left, right, sent) in enumerate(parts, start=1):
        page.box((left + right) / 2, 134, right - left, 46, name, BLUE, size=20)
        page.arrow((right - 14, 158), (right + 16, 194), width=2.5)
        page.box((right + sent) / 2, 218, sent - right, 46, "4: words" if i == 4 else str(i), ORANGE, size=20)
    page.arrow((1027, 218), (1054, 218), (1054, 159), width=2.5)
    page.text(968, 134, "waits", 20)
    page.text(606, 218, "gradients, in buckets", 20, "end")
    page.bracket(624, 900, 256, -6)
    page.text(762, 275, "cost little time", 20)
    page.bracket(*LAST_SENT, 256, -6)
    page.text(966, 275, "waited for", 20)
    page.arrow((150, 302), (1186, 302), width=2.5)
    page.text(138, 302, "time", 20, "end")

    page.text(30, 336, "What gets shorter", 24, "start", bold=True)
    rows = {
        "group by length": (FORWARD[0], BACKWARD[1], "less padding", SKY),
        "larger batch": (LAST_SENT[0], UPDATE[1], "once for more texts", GREEN),
        "bfloat16": (FORWARD[0], BACKWARD[1], "matrix products, where the hardware has it", SKY),
        "fused optimizer": (*UPDATE, "one pass", GREEN),
        "only words that occur": (824, UPDATE[1], "fewer word vectors", GREEN),
    }
    middles = [382 + 52 * i for i in range(len(rows))]
    for y in middles:
        page.rectangle(10, y - 23, 1180, 46, PALE, edge=None, radius=6)
    guides = (FORWARD[0], FORWARD[1] + 2, BACKWARD[1], LAST_SENT[1] + 2, UPDATE[1])
    page.strokes([((x, 303), (x, middles[-1] + 23)) for x in guides], DIM, 1.2)
    for y, (name, (left, right, how, colour)) in zip(middles, rows.items(), strict=True):
        page.text(30, y, name, 20, "start", bold=True)
        page.box((left + right) / 2, y, right - left - 6, 36, how, colour, size=20)
        if name == "larger batch":
            width = BACKWARD[1] - FORWARD[0] - 6
            page.box((FORWARD[0] + BACKWARD[1]) / 2, y, width, 36, "a GPU is better used", size=20, dash="6 4")
    page.text(600, 646, "Widths are made up. One process alone has no exchange.", 20)
    return page


def memory_bar() -> Drawing:
    page = Drawing(
        "memory-bar",
        "What memory holds in training: plain, with gradient accumulation, with recomputing",
        "Three bars. In each, the first four parts are of the same size, one number for each weight: parameters, "
        "gradients, and AdamW's averages m and v; they stay as they are whatever the batch. Then come the activations, "
        "which grow with the batch. Plain: a long part, the activations of 32 texts. With gradient accumulation: the "
        "activations of 8 texts at a time, a quarter; the rest of the place is free, and the same work is done in four "
        "pieces. With recomputing: the inputs of all layers and the inside of one layer at a time; the rest is free, "
        "and the forward pass is done twice, about a third more work. The sizes of the activations are made up.",
    )
    start, unit, long = 30, 132, 610
    border = start + 4 * unit
    page.bracket(start, border - 3, 66, 8)
    page.text((start + border) / 2, 22, "four numbers for each weight:", 20, bold=True)
    page.text((start + border) / 2, 48, "the same for every batch", 20)
    page.bracket(border + 3, border + long, 66, 8)
    page.text(border + long / 2, 22, "activations:", 20, bold=True)
    page.text(border + long / 2, 48, "grow with the batch and the length of the texts", 20)
    layers = tint(PURPLE, 0.6)
    for top, title, parts, gone in (
        (84, "Plain: 32 texts at once", (("activations of 32 texts", long, PURPLE),), ()),
        (
            *(262, "Gradient accumulation: 4 times 8 texts", (("8 texts", long / 4, PURPLE),)),
            ("free: the gradients of the four", "parts add up, then comes the step"),
        ),
        (
            *(
                440,
                "Recomputing (activation checkpointing): 32 texts",
                (("layer inputs", 154, PURPLE), ("one layer", 118, layers)),
            ),
            ("free: inner results", "are computed once more"),
        ),
    ):
        page.rectangle(10, top, 1180, 168, PALE, edge=None, radius=12)
        page.text(start, top + 26, title, 24, "start", bold=True)
        left, y = start, top + 86
        state = (("parameters", unit, BLUE), ("gradients", unit, ORANGE), ("$m$", unit, GREEN), ("$v$", unit, GREEN))
        for name, width, fill in (*state, *parts):
            page.box(
                left + width / 2, y, width, 72, name, fill, size=24 if width == long or "$" in name else 20, radius=0
            )
            left += width
        if gone:
            width = border + long - left
            page.rectangle(left + 3, y - 36, width - 3, 72, WHITE, edge=DIM, radius=0, dash="6 4")
            for i, line in enumerate(gone):
                page.text(left + width / 2, y - 14 + 28 * i, line, 20)
        page.bracket(start + 2 * unit + 2, border - 2, y + 46, -6)
        page.text(start + 3 * unit, y + 62, "averages of AdamW", 20)
    for y, line in (
        (84 + 148, "kept in the forward pass, used in the backward pass"),
        (262 + 148, "the same work, in smaller pieces"),
        (440 + 148, "forward twice: about a third more work"),
    ):
        page.text(border + long / 2, y, line, 20)
    page.text(600, 640, "Sizes of the activations are made up; the lesson measures them.", 20)
    return page


FORMATS = (("float32", 8, 23), ("bfloat16", 8, 7), ("float16", 5, 10))  # bits of exponent and fraction


def limits_of(exponent: int, fraction: int) -> tuple[float, float, float]:
    """The smallest normal number, the largest number, and the step from 1 to the next number."""
    bias = 2 ** (exponent - 1) - 1
    return 2.0 ** (1 - bias), (2 - 2.0**-fraction) * 2.0**bias, 2.0**-fraction


def short(value: float) -> str:
    """A number as programs write it, with two digits: 3.4e38."""
    mantissa, power = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(power)}"


def number_formats() -> Drawing:
    page = Drawing(
        "number-formats",
        "Three number formats, bit by bit: float32, bfloat16 and float16",
        "Above, the bits, one square each. float32, 4 bytes: 1 sign, 8 exponent, 23 fraction. bfloat16, 2 bytes: 1 "
        "sign, 8 exponent, 7 fraction, the upper half of float32. float16, 2 bytes: 1 sign, 5 exponent, 10 fraction. "
        "A value is plus or minus 1.fraction times 2 to the power of the exponent minus a bias. Below, bars on a "
        "logarithmic scale from the smallest normal number to the largest: float32 1.2e-38 to 3.4e38, bfloat16 1.2e-38 "
        "to 3.4e38, float16 6.1e-5 to 65,504; and the step from 1 to the next number: 1.2e-7, 7.8e-3, 9.8e-4. So "
        "bfloat16 has the range of float32 and a coarse step; float16 has a finer step and a small range.",
    )
    start, size = 190, 31
    page.text(start, 28, "value = \u00b1 1.fraction $\\times 2^{exponent \u2212 bias}$", 24, "start")
    page.text(1180, 28, "one square is one bit", 20, "end")
    notes = ("", "the upper half of float32", "shorter exponent, longer fraction")
    for row, ((name, exponent, fraction), note) in enumerate(zip(FORMATS, notes, strict=True)):
        top = 78 + 88 * row
        bits = 1 + exponent + fraction
        page.text(24, top + 4, name, 26, "start", bold=True)
        page.text(24, top + 34, f"{bits // 8} bytes", 20, "start")
        page.grid(start, top, size, 1, 1, GREY)
        page.grid(start + size, top, size, 1, exponent, SKY)
        page.grid(start + size * (1 + exponent), top, size, 1, fraction, ORANGE)
        page.text(start + size, top - 16, "sign", 20, "end")
        page.text(start + size * (1 + exponent / 2), top - 16, f"exponent: {exponent}", 20)
        page.text(start + size * (1 + exponent + fraction / 2), top - 16, f"fraction: {fraction}", 20)
        if note:
            page.text(start + size * bits + 24, top + size / 2, note, 20, "start")

    page.rectangle(10, 320, 1180, 252, PALE, edge=None, radius=12)
    page.text(574, 346, "from the smallest normal number to the largest", 22, bold=True)
    page.text(1088, 346, "step above 1", 22, bold=True)
    decade = 6.9

    def place(value: float) -> float:
        return 574 + decade * math.log10(value)

    for row, (name, exponent, fraction) in enumerate(FORMATS):
        y = 394 + 54 * row
        smallest, largest, step = limits_of(exponent, fraction)
        left, right = place(smallest), place(largest)
        page.text(24, y, name, 24, "start", bold=True)
        page.rectangle(left, y - 16, right - left, 32, SKY, radius=0)
        page.text(left - 10, y, short(smallest), 24, "end")
        page.text(right + 10, y, short(largest) if largest > 1e6 else f"{largest:,.0f}", 24, "start")
        page.text(1088, y, short(step), 26, bold=True)
    page.strokes([((place(1), 372), (place(1), 530))], INK, 2)
    page.text(place(1), 546, "1", 22)
    page.text(place(1e-38), 546, "logarithmic scale", 20, "start")
    page.text(24, 602, "bfloat16: the range of float32, and a coarse step", 22, "start")
    page.text(
        24, 642, "float16: a finer step, but above 65,504 it overflows, below 6.1e-5 it loses digits", 22, "start"
    )
    return page


DRAWINGS = (
    *(two_translators, transformer, three_masks, heads, kv_cache),
    *(two_sides, bert, toy_blank),
    *(text_to_logits, five_ways),
    *(three_heads, span_grid, windows),
    *(ring, zero, step_timeline, memory_bar, number_formats),
)

if __name__ == "__main__":
    for draw in DRAWINGS:
        drawing = draw()
        (FOLDER / f"{drawing.name}.svg").write_text(drawing.file(), encoding="utf-8", newline="\n")
        print(f"{drawing.name}.svg")
