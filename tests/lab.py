"""A real JupyterLab for tests: started as `make lab` starts it, on a copy of the notebooks, looked at in a browser.

All that JupyterLab writes lies in one temporary folder; whoever runs the tests may have settings of their own.
"""

import contextlib
import json
import math
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from browser import SERIOUS, STARTED_WITHIN, Browser

import torchnlp

RUN_WITHIN = 1800.0  # seconds, for a whole lesson on a slow and busy machine
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
FOLDERS = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
FOLDERS += ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")

# JupyterLab's server may ask another host itself, and so may a kernel: no browser sees that. Python imports this module
# in both, and it notes every host that is asked for.
NOTE_HOSTS = """
import os, sys

def note(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):  # a socket that is a file has a path
        host = arguments[1][0]
    else:
        return
    with open(os.environ["COURSE_HOSTS"], "a", encoding="utf-8") as file:
        file.write(f"{host.decode() if isinstance(host, bytes) else host}\\n")

sys.addaudithook(note)
"""
ITSELF = {"localhost", "127.0.0.1", "::1", "0.0.0.0", "::", "", "None"}

# What a reader has on the screen, cell by cell. `shown` is the text of Markdown that is neither code nor a formula.
LOOK = """panel.content.widgets.map(cell => {
    const text = cell.node.querySelector('.jp-RenderedMarkdown')?.cloneNode(true);
    text?.querySelectorAll('mjx-container, code').forEach(part => part.remove());
    const outputs = cell.model.type === 'code' ? cell.model.outputs.toJSON() : [];
    return {
        id: cell.model.id,
        drawn: cell.node.isConnected,
        hidden: !cell.node.checkVisibility(),
        count: cell.model.executionCount ?? null,
        errors: outputs.filter(output => output.output_type === 'error')
            .map(error => `${error.ename}: ${error.evalue}`),
        images: [...cell.node.querySelectorAll('.jp-RenderedMarkdown img, .jp-OutputArea-output img')].map(image =>
            ({alt: image.alt, loaded: image.complete && image.naturalWidth > 0})),
        formulas: cell.node.querySelectorAll('mjx-container').length,
        wrong: [...cell.node.querySelectorAll('mjx-merror, [data-mjx-error]')].map(formula => formula.textContent),
        shown: text?.textContent ?? '',
    };
})"""
OPENED = """(() => {
    window.panel = window.jupyterapp && [...jupyterapp.shell.widgets('main')].find(widget => widget.sessionContext);
    return Boolean(panel) && panel.sessionContext.isReady && panel.sessionContext.kernelDisplayStatus === 'idle'
        && panel.content.widgets.length > 0;
})()"""
# What JupyterLab's debugger, which nobody has opened, may say of a kernel that is restarted soon after its start.
DEBUGGER = "Could not restore the debugger state"
# JupyterLab's own command, as its menu calls it. It asks first, and is answered by a click.
RESTART_AND_RUN = """(() => {
    window.course = {counts: [], done: false};
    panel.sessionContext.iopubMessage.connect((_, message) => {
        if (message.header.msg_type === 'execute_input') course.counts.push(message.content.execution_count);
    });
    jupyterapp.commands.execute('notebook:restart-run-all').finally(() => { course.done = true; });
})()"""
# Ours are the texts and the outputs. Menus, side bars, toolbar, prompts, and the editors in which the code stands are
# JupyterLab's own, and so is what is wrong with them: how a link looks, too, which it does not underline. No setting
# changes that. What axe-core could not judge, because something lies over it, would hide a fault, so it is one.
FIND_FAULTS = f"""axe.run({{include: [['.jp-RenderedMarkdown'], ['.jp-OutputArea-output']]}},
    {{rules: {{'link-in-text-block': {{enabled: false}}}}, resultTypes: ['violations', 'incomplete']}}).then(found =>
    [...found.violations, ...found.incomplete.filter(fault => fault.id === 'color-contrast')]
    {SERIOUS})"""
# axe-core takes what lies in a body of no height for hidden, and JupyterLab's has none:
# https://github.com/dequelabs/axe-core/issues/3996.
UNFOLD = """(() => {
    document.querySelectorAll('.jp-RenderedMarkdown details').forEach(details => { details.open = true; });
    document.body.style.height = '100vh';
    return jupyterapp.commands.execute('notebook:expand-all-headings').then(() => true);
})()"""
HEIGHT = """panel.content.widgets.at(-1).node.getBoundingClientRect().bottom
    - panel.content.widgets[0].node.getBoundingClientRect().top"""


class Visit(NamedTuple):
    """What a reader meets who opens a notebook, restarts its kernel and runs all cells."""

    notebook: nbformat.NotebookNode
    opened: list[dict[str, Any]]  # the cells on the screen, as LOOK describes them
    ran: list[dict[str, Any]]
    counts: list[int]  # of the cells that the kernel has executed
    hosts: list[str]  # that browser, server or kernel asked, other than the server itself
    errors: list[str]  # in the browser's console
    faults: dict[str, list]  # what axe-core found after the run, by theme


class Lab:
    """One JupyterLab on a free port of this machine, with a token, closed at the end of the ``with`` block."""

    def __init__(self, folder: Path) -> None:
        self.course, self.hosts, self.log = folder / "course", folder / "hosts.txt", folder / "log.txt"
        left_out = shutil.ignore_patterns("solutions", "slides", "__pycache__", ".ipynb_checkpoints")
        shutil.copytree(torchnlp.ROOT / "notebooks", self.course / "notebooks", ignore=left_out)
        shutil.copytree(torchnlp.ROOT / "scripts" / "jupyterlab", self.course / "scripts" / "jupyterlab")
        unlike = ("MPLBACKEND", *(name for name in os.environ if name.lower().endswith("_proxy")))
        environment = {name: value for name, value in os.environ.items() if name not in unlike}
        for name in FOLDERS:
            (folder / name).mkdir()
            environment[name] = str(folder / name)
        (folder / "python").mkdir()
        (folder / "python" / "sitecustomize.py").write_text(NOTE_HOSTS, encoding="utf-8")
        paths = [str(folder / "python"), os.environ.get("PYTHONPATH", "")]
        environment |= {"COURSE_HOSTS": str(self.hosts), "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        self.hosts.touch()
        self.token = secrets.token_hex()
        settings = re.search(r"^LAB_SETTINGS := (.+)$", (torchnlp.ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
        flags = ["--no-browser", "--port=0", f"--IdentityProvider.token={self.token}", "--expose-app-in-browser"]
        if os.geteuid() == 0:
            flags.append("--allow-root")
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyterlab", *settings[1].split(), *flags],
                cwd=self.course,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self.address = f"http://127.0.0.1:{self._port(folder / 'JUPYTER_RUNTIME_DIR')}"
        except BaseException:
            self.__exit__()
            raise

    def _port(self, folder: Path) -> int:
        """The port that JupyterLab chose; it writes it to a file."""
        end = time.monotonic() + STARTED_WITHIN
        while time.monotonic() < end and self.process.poll() is None:
            for file in folder.glob("jpserver-*.json"):
                with contextlib.suppress(json.JSONDecodeError):  # it is being written
                    return json.loads(file.read_text(encoding="utf-8"))["port"]
            time.sleep(0.1)
        raise RuntimeError(f"JupyterLab did not start:\n{self.log.read_text(encoding='utf-8')}")

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()  # it ends its kernels
        self.process.wait(timeout=STARTED_WITHIN)

    def visit(self, browser: Browser, axe: str, name: str, patience: float = 60.0) -> Visit:
        """Open a notebook, look at it, restart its kernel, run all cells, and look again.

        Args:
            browser: where.
            axe: axe-core, the program.
            name: the notebook's name, without its ending.
            patience: how many seconds figures and formulas may take until they are drawn.
        """
        notebook = nbformat.read(self.course / "notebooks" / f"{name}.ipynb", as_version=4)
        known = len(self._asked())
        # A reader's window has the focus. JupyterLab waits for it before it looks for the headings that fold others.
        browser.call("Emulation.setFocusEmulationEnabled", enabled=True)
        # A workspace for each notebook: JupyterLab would open those of the last visit as well.
        browser.open(f"{self.address}/lab/workspaces/{name}/tree/notebooks/{name}.ipynb?token={self.token}")
        if not until(lambda: browser.run(OPENED), STARTED_WITHIN):
            raise RuntimeError(f"{name} did not open in {STARTED_WITHIN:.0f} seconds")
        opened = self._look(browser, patience)
        keep_picture(browser, f"{name}-opened")
        browser.run(RESTART_AND_RUN)
        browser.wait_for("document.querySelector('.jp-Dialog .jp-mod-accept')")
        browser.run("document.querySelector('.jp-Dialog .jp-mod-accept').click()")
        if not until(lambda: browser.run("course.done"), RUN_WITHIN):
            raise RuntimeError(f"{name} runs for more than {RUN_WITHIN:.0f} seconds")
        ran, counts = self._look(browser, patience), browser.run("course.counts")
        keep_picture(browser, f"{name}-ran")
        faults = find_faults(browser, axe, name)
        own = (self.address, self.address.replace("http:", "ws:"), "blob:")
        others = [address for address in browser.requests_of_others() if not address.startswith(own)]
        hosts, errors = others + self._asked()[known:], [error for error in browser.errors() if DEBUGGER not in error]
        browser.run("panel.context.save().then(() => panel.sessionContext.shutdown()).then(() => true)")
        return Visit(notebook, opened, ran, counts, hosts, errors, faults)

    def _asked(self) -> list[str]:
        """The other hosts that the server and its kernels have asked for."""
        noted = self.hosts.read_text(encoding="utf-8").splitlines()
        return [host for host in noted if host not in ITSELF]

    def _look(self, browser: Browser, patience: float) -> list[dict[str, Any]]:
        """The cells on the screen, as soon as they are drawn."""

        def drawn() -> bool:
            cells = browser.run(LOOK)
            figures = [image["loaded"] for cell in cells for image in cell["images"]]
            return all(figures) and all(cell["drawn"] and "$" not in cell["shown"] for cell in cells)

        until(drawn, patience)
        return browser.run(LOOK)


def keep_picture(browser: Browser, name: str) -> None:
    """Write what the window shows to a file, where someone wants to see it."""
    if folder := os.environ.get("COURSE_PICTURES"):
        browser.screenshot(Path(folder) / f"{name}.png")


def find_faults(browser: Browser, axe: str, notebook: str) -> dict[str, list]:
    """What axe-core finds in the whole notebook, unfolded, in both themes."""
    browser.run(f"{axe}; 0")
    browser.run(UNFOLD)
    assert not any(cell["hidden"] for cell in browser.run(LOOK))
    # The colours of what is scrolled out of the window cannot be judged, so the window is as high as the notebook.
    height = 0
    while (higher := math.ceil(browser.run(HEIGHT)) + 300) > height:
        height = higher
        browser.resize(1280, height)
        time.sleep(1)
    faults = {}
    for theme, name in reversed(THEMES.items()):
        browser.run(f"jupyterapp.commands.execute('apputils:change-theme', {{theme: {name!r}}})")
        shown = f"document.body.dataset.jpThemeName === {name!r}"
        browser.wait_for(f"{shown} && !document.getElementById('jupyterlab-splash')")  # which covers all meanwhile
        faults[theme] = browser.run(FIND_FAULTS)
        keep_picture(browser, f"{notebook}-{theme}")
    return faults


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until something is so; after some seconds, say that it is not."""
    end = time.monotonic() + seconds
    while not (so := condition()) and time.monotonic() < end:
        time.sleep(0.5)
    return so
