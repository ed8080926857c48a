"""Spans of bytes, and the terms for messages that are equal except for some of their spans.

Recognizing such messages makes decoding fast. A message that was decoded and validated becomes a
*pattern*: its *free spans* are the ranges of bytes in which every value is valid (numbers, ids);
its *fixed bytes* are all others. A later message with the same fixed bytes is valid too, so it
needs only a comparison. `alike` does this for whole messages of one row, `batch_patterns` for the
record batches of messages with several rows. `schemas` finds schemas in the same way.
"""

from __future__ import annotations

from typing import TypeAlias

Span: TypeAlias = tuple[int, int]
"""Begin and end (exclusive) of a range of bytes, as positions in a message."""

ValueSpan: TypeAlias = tuple[bytes, int, int]
"""A metadata key, and begin and end of its value in a schema message."""
