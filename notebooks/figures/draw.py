"""Draw the big figures of the lessons as SVG files beside this program: python notebooks/figures/draw.py

Each drawing is one function. It places boxes, arrows, text and cells of grids on a white page, 1200 wide and 675 high,
which is the shape of a projector. Text is written as in the lessons: what stands between dollars is a formula, with
``_`` and ``^`` for what is below and above the line. The colours are those of Okabe and Ito, which people who
are colour-blind can tell apart; wherever a colour says something, a label, a pattern or a size says it, too.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
WIDTH, HEIGHT = 1200, 675
Point = tuple[float, float]
FONTS = "'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"

INK, WHITE, GREY, PALE = "#1A1A1A", "#FFFFFF", "#DDDDDD", "#F4F4F4"
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
    ) -> None:
        """Write one line whose middle is at height y; what is below or above the line is smaller, but at least 18."""
        look = {"font_weight": "bold"} if bold else {}
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
        self.text(x, y, content, size, bold=bold, colour=ink_on(fill))

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
        self.strokes([((left + near, top + far), (left + far, top + near)) for near, far in ends], "#777777", 1.5)

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


DRAWINGS = (two_translators, transformer, three_masks, heads, kv_cache)

if __name__ == "__main__":
    for draw in DRAWINGS:
        drawing = draw()
        (FOLDER / f"{drawing.name}.svg").write_text(drawing.file(), encoding="utf-8", newline="\n")
        print(f"{drawing.name}.svg")
