"""Ctrl-C ends a load at once, whatever its readers are at."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from forebay.codec import encode_chunk
from forebay.hub import write_messages
from forebay.model import StoreId
from tests.chunks import make_chunk
from tests.waiting import TIMEOUT_S

PROGRAM = "import sys; from forebay.cli import main; main(sys.argv[1:])"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are needed")
@pytest.mark.parametrize("others", [0, 20])
def test_a_load_that_would_never_end_ends_with_the_first_ctrl_c(
    tmp_path: Path, others: int
) -> None:
    paths = [tmp_path / f"{number}.rrd" for number in range(others)]
    for path in paths:
        ids = [StoreId.recording(path.stem, str(number)) for number in range(50)]
        chunk = make_chunk("/a", {"t": [1]}, {"S:x": [[1.0]]})
        write_messages(path, [encode_chunk(store_id, chunk) for store_id in ids])
    endless = tmp_path / "endless.rrd"
    os.mkfifo(endless)
    process = subprocess.Popen(  # noqa: S603, RUF100 - our own program
        [sys.executable, "-c", PROGRAM, "load", "--json", str(endless), *map(str, paths)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        with endless.open("wb"):  # Opens once the load reads from it, and never gives it anything.
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
    assert process.returncode == 130
    assert (out, err.strip()) == (b"", b"")


LOST = """
import os, signal
from forebay.cli.signals import raise_lost_interrupts_again

signal.signal(signal.SIGINT, signal.default_int_handler)
raise_lost_interrupts_again()

class Interrupted:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

thing = Interrupted()
del thing
print("lost", flush=True)
try:
    os.read(os.pipe()[0], 1)  # waits for ever
except KeyboardInterrupt:
    print("heard")
"""


def test_an_interrupt_inside_a_destructor_is_not_lost() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOST], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "lost\nheard\n"), done.stderr
