"""Chunks in Arrow IPC payloads: decompression, validation, conversion, and encoding.

`arrow` leads: it decodes a payload with the help of `lz4` (decompression), `ipc` and `flatbuffer`
(message headers), `schemas` (cached schemas), `soundness` (validation), `conversion`, `migration`
and `plain_types` (other forms of columns), `alike` and `batch_patterns` (fast paths, see `spans`).
`outgoing` prepares chunks for encoding. `peek` and `peek_times` read only the front of a payload.
"""
