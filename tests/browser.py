"""A real browser for tests: Debian's chromium without a window, by its DevTools protocol.

Jupyter brings the package websocket-client, so nothing is installed for it, and no driver is downloaded. The protocol:
https://chromedevtools.github.io/devtools-protocol/.
"""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import websocket

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# Of a list of axe-core's, what is serious or critical, what keeps people out of a page: its name and where it stands.
SERIOUS = """.filter(fault => ['serious', 'critical'].includes(fault.impact))
    .map(fault => [fault.id, ...fault.nodes.slice(0, 3).map(node => node.html.slice(0, 200))])"""
FIND_FAULTS = f"axe.run(document, {{resultTypes: ['violations']}}).then(found => found.violations{SERIOUS})"
STARTED_WITHIN = ANSWERED_WITHIN = 300.0  # seconds, on a busy machine


class Browser:
    """One chromium with one page, closed at the end of the ``with`` block."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        flags = ["--headless=new", "--remote-debugging-port=0", "--remote-allow-origins=*", "--disable-gpu"]
        flags += ["--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage", "--hide-scrollbars"]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")  # chromium refuses to start as root otherwise; it opens our own pages only
        self.process = subprocess.Popen(
            [CHROMIUM, *flags, f"--user-data-dir={self.folder.name}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            address = f"http://127.0.0.1:{self._port()}/json/list"
            with urllib.request.urlopen(address, timeout=STARTED_WITHIN) as answer:
                page = next(target for target in json.load(answer) if target["type"] == "page")
            self.socket = websocket.create_connection(page["webSocketDebuggerUrl"], timeout=ANSWERED_WITHIN)
        except BaseException:
            self.__exit__()
            raise
        self.calls = 0
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def _port(self) -> int:
        """The port that chromium chose; it writes it to a file."""
        file, end = Path(self.folder.name) / "DevToolsActivePort", time.monotonic() + STARTED_WITHIN
        while time.monotonic() < end and self.process.poll() is None:
            if file.exists() and (lines := file.read_text().splitlines()):
                return int(lines[0])
            time.sleep(0.05)
        raise RuntimeError("chromium did not start")

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=STARTED_WITHIN)
        self.folder.cleanup()

    def _receive(self) -> dict[str, Any]:
        message = json.loads(self.socket.recv())
        if "method" in message:
            self.events.append(message)
        return message

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol; return its result."""
        self.calls += 1
        self.socket.send(json.dumps({"id": self.calls, "method": method, "params": parameters}))
        while (message := self._receive()).get("id") != self.calls:
            pass
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']['message']}")
        return message["result"]

    def open(self, address: str, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Open a page in a window of a size, and wait until it is loaded."""
        self.resize(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self.call("Page.navigate", url=address)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._receive()

    def resize(self, width: int, height: int) -> None:
        """Give the window a size."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; of a promise, what it promises."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"].get("exception", {}).get("description", "error in script"))
        return answer["result"].get("value")

    def requests(self) -> list[str]:
        """The addresses of all that the page asked for since it was opened."""
        asked = []
        for event in self.events:
            if event["method"] == "Network.requestWillBeSent":
                asked.append(event["params"]["request"]["url"])
            elif event["method"] == "Network.webSocketCreated":
                asked.append(event["params"]["url"])
        return asked

    def requests_of_others(self) -> list[str]:
        """Of these, the ones that go to a host."""
        return [address for address in self.requests() if not address.startswith(("file:", "data:", "about:"))]

    def errors(self) -> list[str]:
        """What the console has shown in red since the page was opened."""
        shown = []
        for event in self.events:
            given = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                shown.append(given["exceptionDetails"].get("exception", {}).get("description", "error in a script"))
            elif event["method"] == "Runtime.consoleAPICalled" and given["type"] in ("error", "assert"):
                shown.append(str([part.get("value") for part in given["args"]]))
            elif event["method"] == "Log.entryAdded" and given["entry"]["level"] == "error":
                shown.append(f"{given['entry']['text']} {given['entry'].get('url', '')}")
        return shown

    def wait_for(self, expression: str) -> Any:
        """The value of a JavaScript expression as soon as it has one."""
        return self.run(f"""new Promise((done, failed) => {{
            const end = Date.now() + 120000;
            const look = () => {{
                const value = {expression};
                if (value) done(value);
                else if (Date.now() > end) failed(new Error('nothing came'));
                else setTimeout(look, 50);
            }};
            look();
        }})""")

    def screenshot(self, file: Path, whole_page: bool = False) -> None:
        image = self.call("Page.captureScreenshot", captureBeyondViewport=whole_page)
        file.write_bytes(base64.b64decode(image["data"]))
