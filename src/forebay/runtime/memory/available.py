"""How much memory is available on the machine or in the container."""

from __future__ import annotations

from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUP_V2 = Path("/sys/fs/cgroup")
_CGROUP_V1 = Path("/sys/fs/cgroup/memory")


def memory_available_bytes(
    meminfo: Path = _MEMINFO, cgroup_v2: Path = _CGROUP_V2, cgroup_v1: Path = _CGROUP_V1
) -> int | None:
    """Return the bytes that can be allocated without swapping.

    The smaller of the estimate of Linux (`MemAvailable` in `/proc/meminfo`) and of the bytes that
    are left below the limit of the control group (version 2 or 1). The file cache counts as free in
    both.

    Args:
        meminfo: Path of the kernel's memory information.
        cgroup_v2: Directory of the control group, version 2.
        cgroup_v1: Directory of the control group, version 1.

    Returns:
        A number of bytes. None if none of these files can be read (for example in WebAssembly).
    """
    known = [_meminfo_bytes(meminfo)]
    known.append(_cgroup_bytes(cgroup_v2, "memory.max", "memory.current", "inactive_file"))
    known.append(
        _cgroup_bytes(
            cgroup_v1, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        )
    )
    return min((max(0, size) for size in known if size is not None), default=None)


def _meminfo_bytes(path: Path) -> int | None:
    kib = _field(path, "MemAvailable:")
    return None if kib is None else kib * 1024


def _cgroup_bytes(group: Path, limit: str, usage: str, cache: str) -> int | None:
    limit_bytes, used_bytes = _number(group / limit), _number(group / usage)
    if limit_bytes is None or used_bytes is None:
        return None  # "max" is no limit
    cached_bytes = _field(group / "memory.stat", cache) or 0
    return limit_bytes - max(0, used_bytes - cached_bytes)


def _field(path: Path, name: str) -> int | None:
    try:
        for line in path.read_text().splitlines():
            words = line.split()
            if words and words[0] == name and words[1].isdigit():
                return int(words[1])
    except (OSError, ValueError, IndexError):
        return None
    return None


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except (OSError, ValueError):
        return None
    return int(text) if text.isdigit() else None
