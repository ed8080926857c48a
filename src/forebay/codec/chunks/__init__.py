"""Chunks in Arrow IPC payloads: decompression, validation, conversion, and encoding."""
