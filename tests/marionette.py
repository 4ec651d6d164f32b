"""Firefox by its own protocol, Marionette, because Playwright does not control Debian's Firefox."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from pathlib import Path

FIREFOX = Path("/usr/bin/firefox-esr")
START_SECONDS = 60.0
WAIT_SECONDS = 60.0  # long, for a busy machine
PREFERENCES = {
    "marionette.port": 0,  # replaced below
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "toolkit.telemetry.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}


class Firefox:
    """A Firefox without a window, in a new profile.

    Args:
        profile: an empty folder.
    """

    def __init__(self, profile: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        preferences = PREFERENCES | {"marionette.port": port}
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in preferences.items()]
        (profile / "user.js").write_text("\n".join(lines))
        command = [FIREFOX, "--headless", "--marionette", "--no-remote", "--profile", profile]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.connection = self._connect(port)
        self.messages = 0
        self._receive()  # the greeting
        self.send("WebDriver:NewSession", capabilities={"alwaysMatch": {}})

    def _connect(self, port: int) -> socket.socket:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS)
            except OSError:
                assert time.monotonic() < deadline, "Firefox does not start"
                time.sleep(0.1)

    def send(self, command: str, **parameters: object) -> object:
        """Run a command, and return its result."""
        self.messages += 1
        text = json.dumps([0, self.messages, command, parameters]).encode()
        self.connection.sendall(b"%d:%s" % (len(text), text))
        _, _, error, result = self._receive()
        assert error is None, error
        return result.get("value") if isinstance(result, dict) else result

    def _receive(self) -> list:
        """Return the next message, which is sent as its length, a colon and JSON."""
        length = b""
        while (byte := self.connection.recv(1)) != b":":
            length += byte
        content = b""
        while len(content) < int(length):
            content += self.connection.recv(int(length) - len(content))
        return json.loads(content)

    def open(self, url: str) -> None:
        self.send("WebDriver:Navigate", url=url)

    def evaluate(self, expression: str) -> object:
        return self.send("WebDriver:ExecuteScript", script=f"return ({expression});", args=[])

    def wait_until(self, expression: str) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not self.evaluate(expression):
            assert time.monotonic() < deadline, expression
            time.sleep(0.05)

    def click(self, selector: str) -> None:
        element = self.send("WebDriver:FindElement", using="css selector", value=selector)
        self.send("WebDriver:ElementClick", id=next(iter(element.values())))

    def press(self, selector: str, keys: str) -> None:
        element = self.send("WebDriver:FindElement", using="css selector", value=selector)
        self.send("WebDriver:ElementSendKeys", id=next(iter(element.values())), text=keys)

    def close(self) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.wait(timeout=START_SECONDS)
