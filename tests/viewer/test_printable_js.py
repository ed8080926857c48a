"""The page escapes what `forebay.printable` escapes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest

from forebay.printable import printable

ASSETS = Path(str(resources.files("forebay.viewer"))) / "assets"
TEXTS = [
    "plain é 日本\u3000🙂 [red] <b>",
    "a\tb\r\nc\x1b]0;owned\x07\x7f\x85\x9b",
    "\u202egnp\u2066\u200b\u2028\u2029\ufeff\ue000\U000e0041\u061c\u00ad",
]
SCRIPT = """
const { named, printable } = await import(process.argv[1]);
const texts = JSON.parse(process.argv[2]);
console.log(JSON.stringify([texts.map(printable), named("x".repeat(1e7) + "1")]));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js runs the page's script")
def test_the_page_escapes_the_same() -> None:
    command = ["node", "--input-type=module", "-e", SCRIPT, str(ASSETS / "printable.js")]
    done = subprocess.run(
        [*command, json.dumps(TEXTS)], capture_output=True, check=True, timeout=60, text=True
    )
    escaped, long = json.loads(done.stdout)
    assert escaped == [printable(text) for text in TEXTS]
    assert len(long) == 120
    assert long.endswith("x1")


def test_no_name_becomes_markup() -> None:
    """Only constants are parsed as HTML; all else is text."""
    for path in ASSETS.glob("*.js"):
        source = path.read_text()
        assert not re.search(r"insertAdjacentHTML|outerHTML|document\.write|\beval\(", source)
        for html in re.findall(r"innerHTML\s*=\s*(`[^`]*`|.)", source):
            assert html.startswith("`"), path.name
            assert "${" not in html, path.name
