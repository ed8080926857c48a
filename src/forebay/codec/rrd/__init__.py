"""RRD streams (RRF2): framing of messages, stream footers and the manifest of chunks."""
