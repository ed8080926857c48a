"""The page in headless Chromium, driven from here."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The network is off but for what the tests serve themselves.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
PATIENCE_S = 150


class SitePage:
    """One open page, and everything that it asked of any network."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.url = url
        self.context: BrowserContext = browser.new_context(
            viewport={"width": 1400, "height": 900}, accept_downloads=True
        )
        self.page: Page = self.context.new_page()
        self.requests: list[str] = []
        self.console: list[str] = []
        self.errors: list[str] = []
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.console.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(url)

    def run(self, script: str, argument: Any = None) -> Any:
        """Evaluate a function in the page."""
        return self.page.evaluate(script, argument)

    def until(
        self,
        script: str,
        argument: Any = None,
        timeout_s: float = PATIENCE_S,
        poll_ms: float = 20,
    ) -> Any:
        """Wait until a function in the page gives something true; asking costs the page time."""
        end_s = time.monotonic() + timeout_s
        while not (found := self.run(script, argument)):
            assert time.monotonic() < end_s, f"{script}: {self.states()} {self.console[-5:]}"
            self.page.wait_for_timeout(poll_ms)
        return found

    def wait_ready(self) -> None:
        """Until the first interpreter is up."""
        self.until("() => document.documentElement.dataset.engine")
        assert self.run("() => document.documentElement.dataset.engine") == "ready", self.console

    def open(self, paths: Sequence[Path]) -> list[int]:
        """Choose files; returns the numbers of their recordings."""
        before = int(self.run("() => forebay.recordings.length"))
        self.page.set_input_files("#files", [str(path) for path in paths])
        # A file of several recordings may have more at once.
        self.until(f"() => forebay.recordings.length >= {before + len(paths)}")
        return list(range(before, before + len(paths)))

    def wait_state(self, number: int, *states: str) -> str:
        """Until a recording is in one of these states."""
        self.until(
            "([number, states]) => states.includes(forebay.recordings[number].state)",
            [number, states],
        )
        return self.state(number)

    def state(self, number: int) -> str:
        """The state of a recording."""
        return str(self.run("(number) => forebay.recordings[number].state", number))

    def states(self) -> Any:
        """All recordings, for messages."""
        return self.run("() => forebay.recordings.map((r) => [r.name, r.state, r.problems])")

    def overview(self, number: int) -> dict[str, Any]:
        """What the page knows of a recording."""
        found: dict[str, Any] = self.run("(number) => forebay.recordings[number].overview", number)
        return found

    def ask(self, number: int, questions: Sequence[dict[str, Any]]) -> list[bytes]:
        """Ask a recording's worker, as the page does."""
        return self._ask("(n) => forebay.recordings[n].engine", number, questions)

    def read_alone(self, path: Path) -> dict[str, Any]:
        """Have one worker read a file, and then the next: an interpreter is dear to start.

        Returns:
            The overview of the recording, which `ask_alone` asks until the next file is read.
        """
        self.run(
            """() => {
              if (document.querySelector("#alone")) return;
              const input = Object.assign(document.createElement("input"), { type: "file" });
              input.id = "alone";
              document.body.append(input);
              window.alone = forebay.spares.take();
            }"""
        )
        self.page.set_input_files("#alone", str(path))
        found: dict[str, Any] = self.run(
            """async () => {
              await alone.ready;
              const [file] = document.querySelector("#alone").files;
              const finished = new Promise((resolve, reject) => {
                alone.onFinished = (progress, overview) => resolve(overview);
                alone.onFailed = reject;
              });
              alone.open(file.name);
              alone.read(file);
              return await finished;
            }"""
        )
        return found

    def ask_alone(self, questions: Sequence[dict[str, Any]]) -> list[bytes]:
        """Ask the worker of `read_alone`."""
        return self._ask("() => alone", 0, questions)

    def end_alone(self) -> None:
        """Have the worker of `read_alone` end."""
        self.run("() => { alone.close(); document.querySelector('#alone').remove(); }")

    def _ask(self, engine: str, number: int, questions: Sequence[dict[str, Any]]) -> list[bytes]:
        found = self.run(
            f"""async ([number, questions]) => {{
              const answers = [];
              for (const question of questions) {{
                const buffer = await ({engine})(number).ask(question);
                let text = "";
                for (const byte of new Uint8Array(buffer)) text += String.fromCharCode(byte);
                answers.push(btoa(text));
              }}
              return answers;
            }}""",
            [number, list(questions)],
        )
        return [base64.b64decode(answer) for answer in found]

    def close_all(self) -> None:
        """Close every recording."""
        self.run("() => document.querySelectorAll('#recordings .close').forEach((b) => b.click())")
        assert self.run("() => forebay.recordings.length") == 0

    def text(self, selector: str) -> str:
        """What a person reads there."""
        return self.page.inner_text(selector)


def questions_about(overview: dict[str, Any]) -> list[dict[str, Any]]:
    """Everything that the page could ask of these stores."""
    found: list[dict[str, Any]] = []
    for number, store in enumerate(overview["stores"]):
        static = {"store": number, "timeline": None}
        found.append({"kind": "dataframe", **static})
        for entity in store["entities"]:
            on = {**static, "entity": entity["path"]}
            found += [{"kind": "latest_at", "time": "0", **on}, {"kind": "range", **on}]
        for timeline, about in store["timelines"].items():
            first, last = about["range"]
            at = {"store": number, "timeline": timeline}
            middle = str((int(first) + int(last)) // 2)
            for entity in store["entities"]:
                on = {**at, "entity": entity["path"]}
                found += [
                    {"kind": "latest_at", "time": time, **on} for time in (first, middle, last)
                ]
                found.append({"kind": "range", "start": first, "end": last, **on})
                plottable = [c["name"] for c in entity["components"] if c["is_plottable"]]
                found.append(
                    {"kind": "plot", "components": plottable, "start": first, "end": last, **on}
                )
            found.append({"kind": "rows", "start": middle, "contents": "/**", **at})
            for fill in (False, True):
                found.append({"kind": "dataframe", "fill_latest_at": fill, **at})
            found.append({"kind": "csv", **at})
    return [json.loads(json.dumps(question)) for question in found]
