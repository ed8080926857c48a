"""Message classes from compiled descriptors, in a descriptor pool of our own."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pool, message_factory

POOL: Final = descriptor_pool.DescriptorPool()
"""Not the process-wide pool: two packages may each bring `rerun.log_msg.v1alpha1`."""


def add_file(module: str, names: dict[str, Any], serialized: bytes) -> None:
    """Fill a generated module's names with the messages, enums and services of one file."""
    file = POOL.AddSerializedFile(serialized)
    names["DESCRIPTOR"] = file
    for name, message in file.message_types_by_name.items():
        message_class = message_factory.GetMessageClass(message)
        message_class.__module__ = module
        names[name] = message_class
    for enum in file.enum_types_by_name.values():
        for value in enum.values:
            names[value.name] = value.number
