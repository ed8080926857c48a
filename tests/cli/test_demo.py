from __future__ import annotations

import signal
import subprocess
import sys

import psutil
import pytest

from forebay.cli import run
from tests.server.client import TIMEOUT_S


def demo(*args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "forebay", "demo", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def assert_answers(out: str) -> None:
    assert 'arm: latest_at("tick", ' in out
    assert 'camera: range("frame", ' in out
    assert "lidar: latest_at(" in out
    assert "20,000 points at " in out


def test_until_every_recording_has_rows() -> None:
    with demo("--until-rows", "5") as process:
        out, err = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 0, err
    assert_answers(out)
    for name in ("arm", "camera", "lidar"):
        assert f"forebay_demo/{name}: " in err
    assert "0 rejected" in err
    assert "log to queryable p50" in err
    assert "Traceback" not in err


def test_ctrl_c_ends_it_and_its_children() -> None:
    with demo() as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "forebay_demo/lidar" in line:
                break
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) == 3
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 0, err
    assert not any(child.is_running() for child in children)
    assert "Traceback" not in err
    assert 'arm: latest_at("tick", ' in out


def test_children_end_when_the_demo_is_killed() -> None:
    with demo() as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "forebay_demo/" in line:
                break
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.communicate()
    _, alive = psutil.wait_procs(children, TIMEOUT_S)
    assert not alive


def test_no_time_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--seconds", "0"]) == 0
    assert_answers(capsys.readouterr().out)  # each script logs once, whatever happens
