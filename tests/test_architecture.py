"""The layers, held: imports point down, and only `forebay.runtime` knows the platform."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "forebay"

# Lower layers first; modules of one rank do not know one another.
RANKS = [
    {"limits", "version"},
    {"printable"},
    {"errors"},
    {"model"},
    {"chunk"},
    {"store", "codec", "runtime"},
    {"ingest"},
    {"hub"},
    {"server", "viewer", "cluster"},
    {"bench"},  # measures all of the above; the command line prints what it finds
    {"cli"},
]
RANK = {layer: rank for rank, layers in enumerate(RANKS) for layer in layers}
# The package itself is the public surface: it gathers, and nobody below the shell imports it.
SURFACE = {"__init__", "__main__"}

PLATFORM_MODULES = {
    "_thread",
    "asyncio",
    "concurrent",
    "js",
    "multiprocessing",
    "pyodide",
    "pyodide_js",
    "queue",
    "sched",
    "threading",
    "time",
}
PLATFORM_ATTRIBUTES = {
    ("sys", "platform"),
    ("sys", "_is_gil_enabled"),
    ("sys", "_emscripten_info"),
    ("sys", "setswitchinterval"),
    ("os", "name"),
    ("os", "cpu_count"),
    ("platform", "system"),
}
ONLY_IN = {
    "importlib": {"__init__", "cli", "viewer", "bench", "codec"},
    "select": {"server", "viewer"},
    "signal": {"cli"},
    "socket": {"server", "viewer", "cli", "bench"},
    "subprocess": {"cli", "bench", "viewer"},
    "grpc": {"server", "cluster"},
    "ray": {"cluster"},
    "click": {"cli"},
    "rich": {"cli"},
    "rerun": {"cli", "bench"},
    "matplotlib": {"bench"},
    "cramjam": {"bench"},
}
MODULES = [path for path in SOURCE.rglob("*.py") if "proto" not in path.parts]


def layer_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> list[str]:
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the layer"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def upward_imports(layer: str, tree: ast.AST) -> list[str]:
    found = []
    for name in imported(tree):
        parts = name.split(".")
        if parts[0] != "forebay" or layer in SURFACE:
            continue
        other = parts[1] if len(parts) > 1 else ""
        if other == layer or (layer, other) == ("errors", "model"):
            continue  # errors name the ids they carry, for the type checker alone
        if RANK.get(other, len(RANKS)) >= RANK[layer]:
            found.append(name)
    return found


def platform_uses(tree: ast.AST) -> list[str]:
    found = [name for name in imported(tree) if name.split(".")[0] in PLATFORM_MODULES]
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and (node.value.id, node.attr) in PLATFORM_ATTRIBUTES
        ):
            found.append(f"{node.value.id}.{node.attr}")
        if isinstance(node, ast.Constant) and node.value in {"emscripten", "Py_GIL_DISABLED"}:
            found.append(repr(node.value))
        if isinstance(node, ast.Name) and node.id == "__import__":
            found.append(node.id)
    return found


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Not for types alone either: what needs the other's names belongs below it, or with it."""
    names = {name_of(path) for path in MODULES}
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        imports = imported(ast.parse(path.read_text()))
        graph[name_of(path)] = {*imports, *(name.rpartition(".")[0] for name in imports)} & names
    assert list(TopologicalSorter(graph).static_order())  # raises a CycleError that names them


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_module_keeps_to_its_layer(path: Path) -> None:
    layer, tree = layer_of(path), ast.parse(path.read_text())
    assert layer in RANK or layer in SURFACE, "a new layer needs a rank"
    assert not upward_imports(layer, tree), "imports point down only"
    if layer != "runtime":
        assert not platform_uses(tree), "only forebay.runtime knows the platform"
    for name in imported(tree):
        top = name.split(".")[0]
        assert layer in ONLY_IN.get(top, {layer}), f"{top} has no place in {layer}"


@pytest.mark.parametrize(
    ("layer", "line"),
    [
        ("chunk", "from forebay.store import ChunkStore"),
        ("store", "from forebay.codec import ChunkDecoder"),
        ("ingest", "import forebay.hub.app"),
        ("model", "import forebay"),
        ("hub", "from forebay import load"),
    ],
)
def test_an_upward_import_is_seen(layer: str, line: str) -> None:
    assert upward_imports(layer, ast.parse(line))


@pytest.mark.parametrize(
    "line",
    [
        "import threading",
        "from queue import Queue",
        "def f():\n  import time\n  time.sleep(1)",
        "from time import sleep",
        "import sys\nif sys.platform == 'linux': pass",
        "import sys\nsys._is_gil_enabled()",
        "from concurrent.futures import ThreadPoolExecutor",
        "__import__('threading').Thread()",
        "import sys\nBROWSER = sys.platform == 'emscripten'",
        "from js import postMessage",
        "import pyodide.ffi",
    ],
)
def test_a_use_of_the_platform_is_seen(line: str) -> None:
    assert platform_uses(ast.parse(line))


def test_the_engine_alone_needs_neither_rpc_nor_command_line() -> None:
    script = "import sys, forebay; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    assert {"click", "grpc", "rerun", "rich"}.isdisjoint(done.stdout.split())


FREE_OF_CIRCLES = {"errors", "model", "chunk", "store", "codec"}


def imported_modules(path: Path, names: set[str]) -> set[str]:
    """The modules of this project that a file imports, also those for the type checker alone."""
    found = set()
    for name in imported(ast.parse(path.read_text())):
        module = name if name in names else name.rpartition(".")[0]
        if module in names:
            found.add(module)
    return found


def in_circles(graph: dict[str, set[str]]) -> set[str]:
    """What is left after repeatedly removing modules that import nothing, or are not imported."""
    left = dict(graph)
    while True:
        used = set().union(*left.values())
        ends = [name for name, needs in left.items() if name not in used or not needs & set(left)]
        if not ends:
            return set(left)
        for name in ends:
            del left[name]


def test_no_module_of_these_layers_is_in_an_import_circle() -> None:
    paths = {
        ".".join(("forebay", *path.relative_to(SOURCE).with_suffix("").parts)): path
        for path in MODULES
        if path.stem not in SURFACE or path.parent != SOURCE
    }
    modules = {name.removesuffix(".__init__"): path for name, path in paths.items()}
    graph = {
        name: imported_modules(path, set(modules)) - {name}
        for name, path in modules.items()
        if name.split(".")[1] in FREE_OF_CIRCLES
    }
    assert not in_circles(graph), "move what both need into a module below them"


def test_an_import_circle_is_seen() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a", "e"}, "e": set[str]()}
    assert in_circles(graph) == {"b", "c"}
