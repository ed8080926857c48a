"""Memory of the machine: how much is available, and fresh memory for decompressed payloads."""
