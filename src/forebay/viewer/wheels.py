"""Removes from wheels what a page never loads: half of what a browser would fetch and compile.

Pyodide compiles every shared library of a wheel when it loads the wheel, whether or not the library
is imported. The files that are left out are listed here; files that a newer release adds are kept.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import PurePosixPath
from typing import Final

_UNUSED_SUFFIXES: Final = frozenset(
    {
        ".a",
        ".c",
        ".cc",
        ".cmake",
        ".cpp",
        ".f90",
        ".h",
        ".hpp",
        ".inc",
        ".lib",
        ".pc",
        ".pxd",
        ".pxi",
        ".pyi",
        ".pyx",
    }
)
"""Files for compilers and type checkers."""

_UNUSED_FOLDERS: Final = frozenset(
    {
        "numpy/f2py",
        "numpy/distutils",
        "numpy/doc",
        "pyarrow/include",
        "pyarrow/src",
        "pyarrow/vendored/docscrape",
    }
)

_UNUSED_LIBRARIES: Final = frozenset(
    {
        "_acero",
        "_azurefs",
        "_dataset",
        "_dataset_orc",
        "_dataset_parquet",
        "_dataset_parquet_encryption",
        "_feather",
        "_flight",
        "_fs",
        "_gcsfs",
        "_hdfs",
        "_json",
        "_orc",
        "_parquet",
        "_parquet_encryption",
        "_pyarrow_cpp_tests",
        "_s3fs",
        "_substrait",
        "_operand_flag_tests",
        "_rational_tests",
        "_struct_ufunc_tests",
        "_umath_tests",
        "_simd",
        "lapack_lite",
        "_pocketfft_umath",
        "_bounded_integers",
        "_common",
        "_generator",
        "_mt19937",
        "_pcg64",
        "_philox",
        "_sfc64",
        "bit_generator",
        "mtrand",
    }
)
"""By module name: Arrow's file formats, and NumPy's random numbers and Fourier transforms."""


def without_unused(wheel: bytes) -> bytes:
    """Return the wheel with only the files needed to compute with arrays and tables."""
    smaller = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(wheel)) as source,
        zipfile.ZipFile(smaller, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target,
    ):
        for entry in source.infolist():
            if not entry.is_dir() and not _is_unused(PurePosixPath(entry.filename)):
                target.writestr(entry, source.read(entry), zipfile.ZIP_DEFLATED)
    return smaller.getvalue()


def _is_unused(path: PurePosixPath) -> bool:
    if path.suffix == ".so":
        return path.name.split(".")[0] in _UNUSED_LIBRARIES
    return (
        path.suffix in _UNUSED_SUFFIXES
        or "tests" in path.parts
        or any(str(parent) in _UNUSED_FOLDERS for parent in path.parents)
    )
