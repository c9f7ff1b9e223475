"""Settings of nbgrader for this course. They hold where this file lies, and in a course of yours if you copy them."""

import contextlib
import symtable
from pathlib import Path

from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets.config import get_config

# Of a lesson, only those cells are run that answers and checks need: so each submission takes seconds, not minutes.
# With True, all cells are run.
RUN_THE_WHOLE_LESSON = False

c = get_config()
c.CourseDirectory.course_id = "attention-transformers-bert"
c.CourseDirectory.root = str(Path(__file__).resolve().parent)
c.ClearSolutions.code_stub = {"python": "..."}  # as in the lessons: an open exercise stops nothing
c.Execute.timeout = 900  # seconds for a cell


def defined_and_used(source: str) -> tuple[set[str], set[str]]:
    """The global names that a cell defines, and those that it reads, in its functions, too."""
    defined: set[str] = set()
    used: set[str] = set()
    with contextlib.suppress(SyntaxError):  # what is no Python defines nothing
        tables = [symtable.symtable(source, "cell", "exec")]
        for table in tables:
            tables += table.get_children()
            for symbol in table.get_symbols():
                here = table.get_type() == "module"
                if here and (symbol.is_assigned() or symbol.is_imported()):
                    defined.add(symbol.get_name())
                if symbol.is_referenced() and (here or symbol.is_global()):
                    used.add(symbol.get_name())
    return defined, used


class LeaveOutTheLesson(NbGraderPreprocessor):
    """Leaves out the cells that no answer and no check needs, neither itself nor by what it calls."""

    def wanted(self, cell):
        return RUN_THE_WHOLE_LESSON or "nbgrader" in cell.metadata or cell.get("id") == "setup"

    def preprocess(self, nb, resources):
        cells = [cell for cell in nb.cells if cell.cell_type == "code"]
        names = {id(cell): defined_and_used(cell.source) for cell in cells}
        run = [cell for cell in cells if self.wanted(cell)]
        for cell in run:
            used = names[id(cell)][1]
            run += [other for other in cells if other not in run and names[id(other)][0] & used]
        for cell in cells:
            tags = [tag for tag in cell.metadata.pop("tags", []) if tag != "skip-execution"]  # a check is always run
            if tags or cell not in run:
                cell.metadata.tags = tags + ["skip-execution"] * (cell not in run)
        return nb, resources


c.Autograde.autograde_preprocessors = [
    LeaveOutTheLesson,
    "nbgrader.preprocessors.Execute",
    "nbgrader.preprocessors.IgnorePattern",
    "nbconvert.preprocessors.ClearMetadataPreprocessor",
    "nbgrader.preprocessors.LimitOutput",
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]
