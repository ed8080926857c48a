"""Regenerate `forebay.codec.proto` from its `.proto` files: `make proto`.

protoc's own Python output is not used, for two reasons. It enters every message into the
process-wide descriptor pool, where another program's copy of Rerun's messages may already be; and
it demands a protobuf runtime at least as new as the protoc that wrote it. What is committed is
the compiled descriptors, which `forebay.codec.proto.pool` makes into classes through protobuf's
public interface, and protoc's type stubs.
"""

from __future__ import annotations

import argparse
import tempfile
from importlib import resources
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src"
PACKAGE = Path("forebay/codec/proto")

TEMPLATE = '''"""Generated from {source} by tools/generate_proto.py: do not edit."""

{imports}from forebay.codec.proto.pool import add_file

add_file(
    __name__,
    globals(),
{data},
)
'''


def compile_protos(source: Path, stubs: Path) -> bytes:
    """Run protoc; the stubs go to a directory, the `FileDescriptorSet` is returned."""
    from grpc_tools import protoc  # noqa: PLC0415 - of the dev extra

    descriptors = stubs / "descriptors.bin"
    arguments = [
        "protoc",
        f"-I{source}",
        f"-I{resources.files('grpc_tools') / '_proto'}",
        f"--pyi_out={stubs}",
        f"--descriptor_set_out={descriptors}",
        *(str(path) for path in sorted((source / PACKAGE).glob("*.proto"))),
    ]
    if protoc.main(arguments) != 0:
        msg = "protoc refused the .proto files; its complaint is above"
        raise SystemExit(msg)
    return descriptors.read_bytes()


def generated(source: Path) -> dict[Path, str]:
    """Every generated file by its path below `source`."""
    from google.protobuf.descriptor_pb2 import FileDescriptorSet  # noqa: PLC0415

    files: dict[Path, str] = {}
    with tempfile.TemporaryDirectory() as name:
        stubs = Path(name)
        for file in FileDescriptorSet.FromString(compile_protos(source, stubs)).file:
            target = Path(file.name).with_name(Path(file.name).stem + "_pb2.py")
            files[target] = _module(file.name, file.dependency, file.SerializeToString())
            stub = target.with_suffix(".pyi")
            files[stub] = (stubs / stub).read_text()
    return files


def _module(name: str, dependencies: list[str], data: bytes) -> str:
    imports = "".join(
        f"from forebay.codec.proto import {Path(dependency).stem}_pb2 as "
        f"_{Path(dependency).stem}_pb2  # noqa: F401\n"
        for dependency in sorted(dependencies)
    )
    lines = "\n".join(f"    {data[at : at + 60]!r}" for at in range(0, len(data), 60))
    return TEMPLATE.format(source=Path(name).name, imports=imports, data=lines)


def main() -> None:
    """Write the files, or with `--check` only say whether they are up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if out of date")
    check = parser.parse_args().check
    for path, text in generated(SOURCE).items():
        target = SOURCE / path
        if check and (not target.exists() or target.read_text() != text):
            msg = f"{target} is out of date; run `make proto`"
            raise SystemExit(msg)
        if not check:
            target.write_text(text)


if __name__ == "__main__":
    main()
