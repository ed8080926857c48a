"""What the tests in the real thing share. They run when `FOREBAY_PYODIDE` names a Pyodide.

`make test-wasm` fetches one, and a browser where there is none.
"""

from __future__ import annotations

import functools
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.viewer.site import build_site

PYODIDE = os.environ.get("FOREBAY_PYODIDE")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    return True if PYODIDE is None and collection_path.name.startswith("test_") else None


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert PYODIDE is not None
    return build_site(tmp_path_factory.mktemp("site"), Path(PYODIDE)).folder


class _Files(http.server.SimpleHTTPRequestHandler):
    extensions_map = {  # noqa: RUF012 - the base class has it so
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def log_message(self, *_: object) -> None:
        pass

    def end_headers(self) -> None:
        # Only so that tests can fetch a recording of one server from a page of another.
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()

    def copyfile(self, source: object, outputfile: object) -> None:
        try:
            super().copyfile(source, outputfile)  # type: ignore[misc]
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the page has stopped reading


def serve(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Files, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def site_url(site: Path) -> Iterator[str]:
    yield from serve(site)
