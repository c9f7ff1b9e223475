"""The glossary: the terms that the lessons set in bold, each with the sentence that defines it and a link to it.

A term is what a lesson sets in **bold** where it defines it, in a paragraph or a list item. Not every bold phrase is a
term. These are labels or emphasis:

- what stands before the first section, and from the exercises on;
- a single character, a phrase of more than three words, or one that begins with "the";
- what ends in a full stop or a question mark, and at the beginning of a paragraph what ends in a colon;
- at the beginning of a sentence, what a colon follows, and what begins a question;
- the beginnings of a list of more than three items, if all of them are bold.

"What you will learn" announces: its bold words count only if nothing below it defines them. Each lesson has one
definition of a term. What defines is the sentence, and if that begins with a word such as "this", the one before, too.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token
from nbformat import NotebookNode

ANNOUNCEMENT = "What you will learn"
MOST_WORDS, MOST_TERMS_IN_A_LIST = 3, 3
BOLD = re.compile(r"\*\*([^*]+)\*\*")
NO_PROSE = re.compile(r"`[^`]*`|\$\$.+?\$\$|\$[^$]+\$|(?<=\])\([^()\s]*\)", re.DOTALL)  # code, formulas, addresses
SENTENCE_END = re.compile(r"[.!?][)\]·]*\s+(?=[A-Z(\[*·])")
NO_SENTENCE_END = re.compile(r"(?:et al|e\.g|i\.e)\.\s*$")
POINTS_BACK = re.compile(r"\W*(?:it|its|this|that|these|those|they|their|here|then|there|such|both|so|the two)\b", re.I)


@dataclass(frozen=True)
class Definition:
    """A term of a lesson, and where it is defined."""

    term: str
    sentence: str  # in Markdown, on one line
    page: str  # the file name of the notebook
    section: str  # the heading, in Markdown
    cell: str
    place: int  # of the two stars before it, in the cell's source

    @property
    def anchor(self) -> str:
        """The name of the place, another one in each lesson: Sphinx wants names to differ between pages, too."""
        return f"term-{self.lesson}-" + re.sub(r"[^a-z0-9]+", "-", self.term.lower()).strip("-")

    @property
    def lesson(self) -> str:
        return self.page.partition("-")[0]


@dataclass(frozen=True)
class Block:
    """A paragraph or a list item."""

    text: str
    line: int  # of the cell, from 0
    section: str
    item: bool
    labels: bool  # an item of a list of labels


def items_of(tokens: list[Token], number: int) -> list[str]:
    """What the items of a list begin with; ``number`` is that of the token that opens the list."""
    level, items = tokens[number].level, []
    for place in itertools.count(number + 1):
        if tokens[place].level == level:
            return items
        if tokens[place].type == "list_item_open" and tokens[place].level == level + 1:
            items.append(tokens[place + 2].content)


def blocks_of(source: str, section: str) -> Iterator[Block]:
    """The paragraphs and list items of a cell. It begins in the section with the given heading."""
    tokens = MarkdownIt("commonmark").enable("table").parse(source)
    lists: list[bool] = []  # for each list that is open: does it hold labels?
    for number, token in enumerate(tokens):
        if token.type in ("bullet_list_open", "ordered_list_open"):
            items = items_of(tokens, number)
            lists.append(len(items) > MOST_TERMS_IN_A_LIST and all(item.startswith("**") for item in items))
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            lists.pop()
        elif token.type == "heading_open":
            section = "" if token.tag == "h1" else tokens[number + 1].content
        elif token.type == "paragraph_open":
            text = tokens[number + 1]
            yield Block(text.content, text.map[0], section, bool(lists), any(lists))


def without_code(text: str) -> str:
    """The text with dots in place of code, formulas and addresses, as many as there were characters."""
    return NO_PROSE.sub(lambda match: "·" * len(match[0]), text)


def is_term(words: str, before: str, after: str, block: Block) -> bool:
    """Whether bold words are a term, by the rule above; they stand between ``before`` and ``after`` in a block."""
    plain = words.rstrip(":")
    begins_block = not before.strip()
    begins_sentence = begins_block or re.search(r"[.!?]\s*$", before) is not None
    return not (
        len(plain) < 2
        or len(plain.split()) > MOST_WORDS
        or plain.lower().startswith("the ")
        or plain.endswith((".", "?", "!"))
        or (begins_block and not block.item and words.endswith(":"))
        or (begins_sentence and after.startswith(":"))
        or (begins_block and block.labels)
    )


def name_of(words: str, before: str) -> str:
    """A term as the glossary writes it: without a capital that is only that of a sentence."""
    term = words.rstrip(":")
    begins_sentence = not before.strip() or re.search(r"[.!?]\s*$", before)
    return term[0].lower() + term[1:] if begins_sentence and term[1].isalpha() and term[1:].islower() else term


def sentence_around(text: str, place: int) -> str:
    """The sentence of a block around a place, and the one before it, if it points back."""
    prose = without_code(text)
    ends = [end for end in SENTENCE_END.finditer(prose) if not NO_SENTENCE_END.search(prose[: end.start() + 1])]
    starts = [0, *(end.end() for end in ends)]
    number = max(i for i, start in enumerate(starts) if start <= place)
    end = starts[number + 1] if number + 1 < len(starts) else len(text)
    if number and POINTS_BACK.match(text[starts[number] :]):
        number -= 1
    sentence = " ".join(text[starts[number] : end].split()).rstrip(",;:")
    return sentence if sentence.endswith((".", "!", "?", ")")) else sentence + "."


def definitions_of(notebook: NotebookNode, page: str) -> list[Definition]:
    """The terms that a lesson defines, in the order in which it does."""
    found: dict[str, Definition] = {}
    announced: dict[str, Definition] = {}
    section = ""
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        lines = cell.source.splitlines(keepends=True)
        for block in blocks_of(cell.source, section):
            if block.section == "Exercises":
                return list((announced | found).values())
            place = len("".join(lines[: block.line]))
            for match in BOLD.finditer(without_code(block.text)):
                before, after = block.text[: match.start()], block.text[match.end() :]
                words = " ".join(block.text[match.start(1) : match.end(1)].split())
                place = cell.source.index(block.text[match.start() : match.end()].split("\n")[0], place)
                sentence = sentence_around(block.text, match.start())
                if block.section and is_term(words, before, after, block) and not sentence.endswith("?"):
                    term = name_of(words, before)
                    definition = Definition(term, sentence, page, block.section, cell.id, place)
                    which = announced if block.section == ANNOUNCEMENT else found
                    which.setdefault(term.lower(), definition)
                place += 2
            section = block.section
    return list((announced | found).values())


def mark(notebook: NotebookNode, definitions: list[Definition]) -> None:
    """Give each definition of a lesson its anchor, for links to it."""
    cells = {cell.id: cell for cell in notebook.cells}
    for definition in sorted(definitions, key=lambda definition: definition.place, reverse=True):
        source = cells[definition.cell].source
        end = source.index("**", definition.place + 2) + 2
        bold = f"[{source[definition.place : end]}]{{#{definition.anchor}}}"
        cells[definition.cell].source = source[: definition.place] + bold + source[end:]


def glossary(definitions: list[Definition]) -> str:
    """The page with all terms: each with its definitions, one a lesson, and where they stand."""
    entries: dict[str, list[Definition]] = {}
    singular = {definition.term for definition in definitions}
    for definition in definitions:
        term = definition.term.removesuffix("s")
        entries.setdefault(term if term in singular else definition.term, []).append(definition)
    text = "# Glossary\n\nThe terms of the course, each with the sentence that defines it, and where that stands.\n\n"
    text += "```{glossary}\n"
    for term in sorted(entries, key=str.lower):
        text += f"{term}\n"
        for definition in entries[term]:
            section = definition.section.removeprefix("Deeper: ")
            link = f"[lesson {definition.lesson}, {section}]({definition.page}#{definition.anchor})"
            text += f"  {definition.sentence} ({link})\n\n"
    return text + "```\n"
