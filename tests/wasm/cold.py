"""What a site weighs, and what a cold page costs until its first table, stage by stage:

FOREBAY_PYODIDE="$(python tools/fetch_pyodide.py)" python -m tests.wasm.cold

Prints Markdown: sizes, and for each stage the least, the middle and the greatest of some rounds.
"""

from __future__ import annotations

import gzip
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from forebay.viewer.site import Site, build_site
from tests.wasm.browser import CHROMIUM, FLAGS, SitePage
from tests.wasm.conftest import serve
from tests.wasm.recordings import write_large

ROUNDS = 3
STEPS = 43
"""Of a recording of 6.1 MB."""
STAGES = {
    "interpreter": "interpreter",
    "packages": "wheels",
    "arrow": "NumPy, Arrow",
    "engine": "engine",
}
WATCH = """() => {
  const rows = document.querySelector("#rows");
  const look = () => { if (rows.rows.length > 1) window.tableAt ??= performance.now(); };
  new MutationObserver(look).observe(rows, { childList: true });
  document.addEventListener("change", () => { window.opened = performance.now(); }, true);
}"""
BOOTS = """async () => {
  const first = forebay.spares.prepare();
  await first.ready;
  const firstMs = forebay.bootMs;
  forebay.spares.prepare(2);
  const began = performance.now();
  await forebay.spares.ready();
  const [a, b] = [forebay.spares.take(), forebay.spares.take()];
  const stagesOf = (engine) => Object.fromEntries(engine.stages.map((s) => [s.name, s.ms]));
  const found = [
    { ...stagesOf(a), total: firstMs }, { ...stagesOf(b), total: performance.now() - began },
  ];
  a.close();
  b.close();
  return found;
}"""
"""Of a first worker and, by itself, of a later one, which is given what the first has compiled."""


def sizes(site: Site) -> Iterator[tuple[str, int, int]]:
    """Parts of a site, with their bytes as they are and as a host compresses them."""
    parts: dict[str, list[Path]] = {}
    for name in site.sizes_bytes:
        parts.setdefault(_part_of(name), []).append(site.folder / name)
    for part, paths in parts.items():
        whole = [path.read_bytes() for path in paths]
        yield part, sum(map(len, whole)), sum(len(gzip.compress(each, 6)) for each in whole)


def _part_of(name: str) -> str:
    file = name.rpartition("/")[2]
    if not name.startswith("pyodide/"):
        return file if file == "engine.zip" else "the page"
    if file.endswith(".whl"):
        return file.split("-")[0]
    return file if file.endswith(".zip") else "the interpreter"


def boots(browser: Browser, url: str) -> list[dict[str, float]]:
    """Stages of a page's first worker and of a second, from an empty cache."""
    page = SitePage(browser, url)
    found: list[dict[str, float]] = page.run(BOOTS)
    page.context.close()
    return found


def first_table_ms(browser: Browser, url: str, path: Path, *, is_cold: bool) -> float:
    """From the choice of a file until its first table is there.

    Args:
        browser: Where.
        url: Of the site.
        path: The file.
        is_cold: Whether the file is chosen as soon as the page is there, not once it is ready.
    """
    page = SitePage(browser, url)
    if not is_cold:
        page.wait_ready()
    page.run(WATCH)
    page.open([path])
    page.until("() => window.tableAt")
    found: float = page.run("() => tableAt - opened")
    page.context.close()
    return found


def _line(title: str, values: list[float]) -> str:
    least, middle, most = min(values), statistics.median(values), max(values)
    return f"| {title} | {least:.0f} | {middle:.0f} | {most:.0f} |\n"


def measure(folder: Path, rounds: int = ROUNDS) -> Iterator[str]:
    """Build a site below a folder, open it some times, and tell of it line by line."""
    site = build_site(folder / "site", Path(os.environ["FOREBAY_PYODIDE"]))
    path = write_large(folder / "large.rrd", 1, STEPS)
    yield f"{site.size_bytes / 1e6:.1f} MB\n\n| part | MB | compressed |\n| --- | --- | --- |\n"
    for part, whole, compressed in sizes(site):
        yield f"| {part} | {whole / 1e6:.2f} | {compressed / 1e6:.2f} |\n"
    yield f"\nload {os.getloadavg()[0]:.1f}, {path.stat().st_size / 1e6:.1f} MB, milliseconds:\n\n"
    yield "| stage | least | middle | most |\n| --- | --- | --- | --- |\n"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for url in serve(site.folder):
            workers = list(zip(*[boots(browser, url) for _ in range(rounds)], strict=True))
            for title, of_one in zip(("first worker", "later worker"), workers, strict=True):
                for name, stage in {**STAGES, "total": "engine ready"}.items():
                    yield _line(f"{title}: {stage}", [each[name] for each in of_one])
            for is_cold in (True, False):
                times = [first_table_ms(browser, url, path, is_cold=is_cold) for _ in range(rounds)]
                yield _line(f"first table, {'cold' if is_cold else 'engine ready'}", times)
        browser.close()
    yield f"\nload {os.getloadavg()[0]:.1f}\n"


def main() -> None:
    """Print what is measured as it comes."""
    with tempfile.TemporaryDirectory() as name:
        for line in measure(Path(name)):
            sys.stdout.write(line)
            sys.stdout.flush()


if __name__ == "__main__":
    main()
