"""The page in a real browser, with the network off."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, sync_playwright

from forebay.limits import MIB
from forebay.viewer import Session
from forebay.viewer.site import SNAPSHOT
from tests.corpus import RECORDINGS, recording
from tests.wasm.browser import CHROMIUM, FLAGS, SitePage, questions_about
from tests.wasm.compare import assert_same_answer
from tests.wasm.conftest import serve
from tests.wasm.recordings import damaged_copies, write_large

BLOCK = MIB // 4
LONGEST_TASK_MS = 50
LARGE_STEPS = int(os.environ.get("FOREBAY_LARGE_STEPS", "400"))
"""0.14 MB each: the longer a recording, the longer its steady state is measured."""
CONTRAST_MIN = 4.5
"""WCAG 2.1, success criterion 1.4.3 (level AA)."""
FIGURES = Path(os.environ.get("FOREBAY_FIGURES", "")) if "FOREBAY_FIGURES" in os.environ else None


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def opened(browser: Browser, site_url: str) -> SitePage:
    page = SitePage(browser, site_url)
    page.wait_ready()
    page.run("() => { forebay.Engine.hangMs = 60000; }")  # a busy machine is no hung worker
    return page


@pytest.fixture
def page(opened: SitePage) -> Iterator[SitePage]:
    yield opened
    take_picture(opened, os.environ["PYTEST_CURRENT_TEST"].split("::")[-1].split(" ")[0])
    assert opened.errors == []


def take_picture(page: SitePage, name: str) -> None:
    """Into the folder that `FOREBAY_SCREENSHOTS` names, to be looked at."""
    if pictures := os.environ.get("FOREBAY_SCREENSHOTS"):
        page.page.screenshot(path=Path(pictures) / f"{name}.png")


@pytest.fixture
def indexes(page: SitePage) -> int:
    """One small recording, open in the page; an interpreter is dear, so tests share it."""
    names = page.run("() => forebay.recordings.map((r) => r.name)")
    number = names.index("indexes.rrd") if "indexes.rrd" in names else None
    if number is None:
        (number,) = page.open([recording("indexes")])
        page.wait_state(number, "whole")
    page.page.click(f"#recordings li:nth-child({number + 1}) .card")
    page.until("() => forebay.chosen.entity === '/plot/s0'")
    return int(number)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recordings")


@pytest.fixture(scope="module")
def large(folder: Path) -> list[Path]:
    return [write_large(folder / f"large-{seed}.rrd", seed, LARGE_STEPS) for seed in (1, 2)]


def native(path: Path, part: int | None = None) -> Session:
    """The same engine here."""
    session = Session(path.name, part=part)
    data = path.read_bytes()
    for at in range(0, len(data), BLOCK):
        session.feed(data[at : at + BLOCK])
        while session.run_slice():
            pass
    session.finish()
    return session


def without_made_up_ids(overview: dict[str, Any]) -> dict[str, Any]:
    """A blueprint in use is a clone under an id that is made up each time."""
    found = copy.deepcopy(overview)
    for store in found["stores"]:
        if store["kind"] == "blueprint":
            store["recording_id"] = ""
    return found


def test_every_recording_gives_the_same_answers(page: SitePage, folder: Path) -> None:
    paths = {**{name: recording(name) for name in RECORDINGS}, **damaged_copies(folder)}
    num_questions = 0
    for name, path in paths.items():
        theirs, ours = page.read_alone(path), native(path)
        overview = json.loads(ours.overview())
        assert without_made_up_ids(theirs) == without_made_up_ids(overview), name
        questions = questions_about(overview)
        num_questions += len(questions)
        for question, answer in zip(questions, page.ask_alone(questions), strict=True):
            expected = ours.ask(json.dumps(question))
            if question["kind"] == "csv":
                assert answer == expected, (name, question)
            else:
                assert_same_answer(f"{name} {question}", answer, expected)
    assert num_questions > 400
    page.end_alone()


def longest_task_ms(trace: bytes) -> float:
    """Processor time of the longest task of the page's own thread, whatever else was running.

    The page is the process that has workers.
    """
    events = json.loads(trace)["traceEvents"]
    threads = {
        (event["pid"], event["tid"]): event["args"]["name"]
        for event in events
        if event["name"] == "thread_name"
    }
    pages = {pid for (pid, _), name in threads.items() if name.startswith("DedicatedWorker")}
    tasks = [
        event["tdur"] / 1000
        for event in events
        if event["name"].endswith("RunTask")
        and event["pid"] in pages
        and threads.get((event["pid"], event["tid"])) == "CrRendererMain"
        and "tdur" in event
    ]
    assert len(tasks) > 100, len(tasks)
    return max(tasks)


PROGRESS = """() => forebay.recordings.map((r) =>
  [r.state, r.progress, r.engine.restedMs, r.engine.stages])"""
STALLS = """() => {
  const found = { longest: 0, frames: 0, longestFrame: 0, count: 0, over: 0 };
  let last = performance.now();
  found.timer = setInterval(() => {
    const now = performance.now();
    const stall = now - last - 4;
    last = now;
    found.count += 1;
    if (stall > 50) found.over += 1;
    found.longest = Math.max(found.longest, stall);
  }, 4);
  let lastFrame = null;
  const frame = (now) => {
    if (lastFrame !== null) found.longestFrame = Math.max(found.longestFrame, now - lastFrame);
    lastFrame = now;
    found.frames += 1;
    if (found.timer) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  window.stalls = found;
}"""


BYTES = "() => forebay.recordings.reduce((sum, r) => sum + r.progress.bytes, 0)"


def wait_read(page: SitePage, numbers: list[int], part: float) -> None:
    """Until so much of each is read."""
    page.until(
        "([ns, part]) => ns.every((n) => forebay.recordings[n].fraction >= part)",
        [numbers, part],
        poll_ms=200,
    )


def test_two_large_recordings_and_a_damaged_one_leave_the_page_free(
    page: SitePage, browser: Browser, large: list[Path], folder: Path
) -> None:
    damaged = folder / "damaged.rrd"
    content = bytearray(recording("one_row_chunks").read_bytes())
    half = len(content) // 2
    content[half : half + 300] = bytes(300)
    damaged.write_bytes(content)
    page.run("async () => { forebay.spares.prepare(3); await forebay.spares.ready(); }")
    # A page that does nothing says what the machine itself holds up meanwhile.
    control = page.context.new_page()
    control.goto(f"{page.url}icon.svg")
    page.page.bring_to_front()
    browser.start_tracing(page=page.page, categories=["toplevel"])
    first, second, third = page.open([*large, damaged])
    wait_read(page, [first, second], 0.3)
    own_ms = longest_task_ms(browser.stop_tracing())
    # The steady state: all are at work, what runs is compiled, and no trace is taken.
    wait_read(page, [first, second], 0.4)
    begun = page.run(BYTES)
    control.evaluate(STALLS)
    page.run(STALLS)
    page.until(
        "(numbers) => numbers.some((n) => forebay.recordings[n].state === 'whole')",
        [first, second],
        poll_ms=500,
    )
    stop = "() => { clearInterval(stalls.timer); stalls.timer = null; return stalls; }"
    stalls, idle = page.run(stop), control.evaluate(stop)
    read_mb = (page.run(BYTES) - begun) / 1e6
    take_picture(page, "page-at-work")
    control.close()
    figures = {**stalls, "read_mb": read_mb, "idle": idle, "own_ms": own_ms}
    report("stalls", {**figures, "recordings": page.run(PROGRESS)})
    for number, path in zip((first, second), large, strict=True):
        assert page.wait_state(number, "whole", "damaged", "lost") == "whole", page.states()
        ours = json.loads(native(path).overview())
        assert page.overview(number)["stores"] == ours["stores"]
    assert page.wait_state(third, "whole", "damaged", "lost") == "damaged"
    ours = json.loads(native(damaged).overview())
    theirs = page.overview(third)
    assert theirs == ours
    assert theirs["error"] or theirs["stores"][0]["rejected"]
    assert "damaged" in page.text(f"#recordings li:nth-child({third + 1})")
    page.close_all()
    # How long the longest stall was says as much of the machine as of the page: it is reported
    # beside an idle page's. What the page itself did at a stretch is its own.
    assert own_ms < LONGEST_TASK_MS, figures


def test_workers_rest_as_long_as_the_page_is_held_up(page: SitePage) -> None:
    late = "async ([rest, ms, least]) => (await import('./pace.js')).restAfter(rest, ms, least)"
    assert page.run(late, [0, 3, 0]) == 0
    assert 0 < page.run(late, [0, 30, 0]) < page.run(late, [1, 30, 0]) <= 2
    assert 0 < page.run(late, [1, 3, 0]) < 1
    assert page.run(late, [0, 3, 0.5]) == page.run(late, [0.5, 3, 0.5]) == 0.5


def test_workers_make_room_for_a_page_that_is_late(page: SitePage, large: list[Path]) -> None:
    page.run(
        """() => {
          window.busy = setInterval(() => {
            const end = performance.now() + 60;
            while (performance.now() < end);
          }, 80);
        }"""
    )
    (number,) = page.open(large[:1])
    assert page.wait_state(number, "whole", "damaged", "lost") == "whole"
    page.run("() => clearInterval(busy)")
    assert page.run("(n) => forebay.recordings[n].engine.restedMs", number) > 0
    page.page.click("#recordings li:last-child .close")


def lose(page: SitePage, number: int, how: str) -> None:
    """Do to a recording's worker what no page can prevent."""
    worker = page.page.workers[-1]
    match how:
        case "killed":
            page.run("(n) => forebay.recordings[n].engine.worker.terminate()", number)
        case "hung":
            worker.evaluate("() => { setTimeout(() => { for (;;); }, 0); }")
        case "crashed":
            worker.evaluate("() => { setTimeout(() => { throw new Error('broken'); }, 0); }")


def test_a_lost_worker_is_replaced_and_its_recording_reported(page: SitePage, indexes: int) -> None:
    (lost,) = page.open([recording("static")])
    page.wait_state(lost, "whole")
    expected = page.overview(lost)["stores"]
    for how in ("killed", "hung", "crashed"):
        page.run("() => { forebay.Engine.hangMs = 4000; }")
        lose(page, lost, how)
        page.wait_state(lost, "lost")
        page.run("() => { forebay.Engine.hangMs = 60000; }")
        page.until("() => document.querySelector('#recordings [data-state=lost]')")
        take_picture(page, f"lost-{how}")
        said = page.text("#recordings [data-state=lost]")
        assert ("broken" if how == "crashed" else "no sign of life") in said
        # Others are unharmed, and a fresh worker takes the lost one's place.
        assert page.state(indexes) == "whole"
        assert page.ask(indexes, [{"kind": "dataframe", "store": 0, "timeline": "frame"}])
        page.page.click("#recordings [data-state=lost] .again")
        page.wait_state(lost, "whole")
        assert page.overview(lost)["stores"] == expected


HAS_SNAPSHOT = """async () => {
  const engine = forebay.spares.prepare();
  await engine.ready;
  return engine.hasSnapshot;
}"""


def test_interpreters_go_on_from_a_snapshot(page: SitePage) -> None:
    assert page.run(HAS_SNAPSHOT)


def test_a_snapshot_that_is_of_no_use_is_done_without(
    browser: Browser, site: Path, folder: Path
) -> None:
    other = shutil.copytree(site, folder / "site")
    snapshot = other / "pyodide" / SNAPSHOT
    snapshot.write_bytes(snapshot.read_bytes()[:1_000_000])
    for url in serve(other):
        page = SitePage(browser, url)
        page.wait_ready()
        assert not page.run(HAS_SNAPSHOT)
        page.context.close()


def test_each_recording_of_a_file_has_a_worker_of_its_own(page: SitePage) -> None:
    (first,) = page.open([recording("several_stores")])
    page.until(f"() => forebay.recordings.length === {first + 2}")
    second = first + 1
    for part, number in enumerate((first, second)):
        assert page.wait_state(number, "whole", "damaged", "lost") == "whole"
        ours = native(recording("several_stores"), part)
        theirs = without_made_up_ids(page.overview(number))
        assert theirs == without_made_up_ids(json.loads(ours.overview()))
        page.until(
            "([nth, id]) => document"
            ".querySelector(`#recordings li:nth-child(${nth}) .which`)?.textContent === id",
            [number + 1, f"several_{part}"],
        )
    expected = page.overview(second)
    # The first one's worker goes: the other answers as before, and it comes back alone.
    page.run("() => { forebay.Engine.hangMs = 4000; }")
    lose(page, first, "killed")
    page.wait_state(first, "lost")
    page.run("() => { forebay.Engine.hangMs = 60000; }")
    assert page.state(second) == "whole"
    assert page.ask(second, [{"kind": "dataframe", "store": 0, "timeline": "frame"}])[0]
    page.until("() => document.querySelector('#recordings [data-state=lost]')")
    page.page.click("#recordings [data-state=lost] .again")
    page.wait_state(first, "whole")
    assert page.run("() => forebay.recordings.length") == first + 2
    assert page.overview(second) == expected
    for number in (second, first):
        page.page.click(f"#recordings li:nth-child({number + 1}) .close")


@pytest.mark.usefixtures("indexes")
def test_a_person_finds_entities_times_rows_and_a_plot(page: SitePage) -> None:
    assert page.text("#tree").split() == ["▾", "plot", "s0", "51", "rows", "s1", "50", "rows"]
    page.page.select_option("#timeline", "frame")
    page.page.click("#tree [data-path='/plot/s1']")
    page.until("() => document.querySelector('#latest-title').textContent === '/plot/s1'")
    page.run(
        """() => {
          const cursor = document.querySelector("#cursor");
          cursor.value = 0;
          cursor.dispatchEvent(new Event("input"));
        }"""
    )
    page.until("() => document.querySelectorAll('#rows tr').length > 20")
    assert "Scalars:scalars" in page.text("#latest")
    page.until("() => /[12] lines/.test(document.querySelector('canvas').ariaLabel)")


CONTRASTS = """() => {
  // WCAG 2: relative luminance of colours, and how far each text stands out from what is behind it.
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = channels(color).map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const { backgroundColor } = getComputedStyle(at);
      if ((channels(backgroundColor)[3] ?? 1) > 0) return backgroundColor;
    }
    return "rgb(255, 255, 255)";
  };
  const found = [];
  for (const element of document.body.querySelectorAll("*")) {
    const says = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!says || !element.checkVisibility()) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.push([ratio, element.outerHTML.slice(0, 120)]);
  }
  return found.sort((a, b) => a[0] - b[0]);
}"""
NAMELESS = """() => {
  const named = (e) => (e.labels?.length && e.labels[0].textContent.trim())
    || e.ariaLabel || e.textContent.trim() || e.getAttribute("aria-labelledby");
  const focusable = "button, input, select, canvas, [tabindex]";
  return [...document.querySelectorAll(focusable)].filter((e) => !named(e)).map((e) => e.outerHTML);
}"""


@pytest.mark.usefixtures("indexes")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_and_controls_have_names(
    page: SitePage, scheme: Literal["light", "dark"]
) -> None:
    page.page.emulate_media(color_scheme=scheme)
    try:
        contrasts = page.run(CONTRASTS)
        assert len(contrasts) > 20
        assert contrasts[0][0] >= CONTRAST_MIN, contrasts[:5]
        assert page.run(NAMELESS) == []
        take_picture(page, f"page-{scheme}")
    finally:
        page.page.emulate_media(color_scheme="light")


FOCUSED = """() => {
  const { id, className, tagName } = document.activeElement;
  return id || className || tagName;
}"""


@pytest.mark.usefixtures("indexes")
def test_all_is_reached_by_keys(page: SitePage) -> None:
    page.page.select_option("#timeline", "frame")
    page.page.focus("#url")
    reached: list[str] = []
    for _ in range(25):
        reached.append(page.run(FOCUSED))
        page.page.keyboard.press("Tab")
    wanted = {"files", "card", "close", "tree", "timeline", "cursor", "CANVAS", "fill"}
    wanted |= {"export-csv", "export-arrow"}
    assert wanted <= set(reached), reached
    page.page.focus("#tree")
    page.page.keyboard.press("ArrowDown")
    page.until("() => document.querySelector('#latest-title').textContent === '/plot/s1'")
    assert page.run("() => document.querySelector('#tree').getAttribute('aria-activedescendant')")
    page.page.keyboard.press("ArrowUp")
    page.until("() => document.querySelector('#latest-title').textContent === '/plot/s0'")
    page.page.focus("canvas")
    page.page.keyboard.press("Home")
    page.until("() => document.querySelector('#now').textContent === '0'")


@pytest.mark.usefixtures("indexes")
def test_exports_are_what_the_engine_says(page: SitePage, folder: Path) -> None:
    page.page.select_option("#timeline", "frame")
    page.page.click("#tree [data-path='/plot']")
    ours = native(recording("indexes"))
    asked = {"store": 0, "timeline": "frame", "contents": "/plot/**"}
    for button, kind in (("#export-csv", "csv"), ("#export-arrow", "dataframe")):
        with page.page.expect_download() as download:
            page.page.click(button)
        saved = folder / download.value.suggested_filename
        download.value.save_as(saved)
        expected = ours.ask(json.dumps({"kind": kind, **asked}))
        if kind == "csv":
            assert saved.read_bytes() == expected
        else:
            assert_same_answer(kind, saved.read_bytes(), expected)


def test_a_recording_comes_from_a_url_as_well(page: SitePage) -> None:
    number = page.run("() => forebay.recordings.length")
    for url in serve(recording("unsorted").parent):
        for name in ("unsorted", "nothing"):
            page.page.fill("#url", f"{url}{name}.rrd")
            page.page.click("#open-url button")
        page.wait_state(number, "whole")
        ours = json.loads(native(recording("unsorted")).overview())
        assert page.overview(number)["stores"] == ours["stores"]
        page.wait_state(number + 1, "lost")
        assert "404" in page.text("#recordings [data-state=lost]")


@pytest.mark.usefixtures("indexes")
def test_nothing_leaves_the_page(page: SitePage) -> None:
    for url in serve(recording("indexes").parent):
        attempt = f"() => fetch('{url}static.rrd').then(() => 'sent', () => 'refused')"
        assert page.run(attempt) == "refused"
        assert [worker.evaluate(attempt) for worker in page.page.workers] == ["refused"] * len(
            page.page.workers
        )
    own = [url for url in page.requests if url.startswith((page.url, "blob:", "data:"))]
    others = {url for url in page.requests if url not in own}
    assert all("/unsorted.rrd" in url or "/nothing.rrd" in url for url in others), others


def report(name: str, figures: dict[str, Any]) -> None:
    if FIGURES is not None:
        with FIGURES.open("a") as file:
            file.write(json.dumps({name: figures}) + "\n")
