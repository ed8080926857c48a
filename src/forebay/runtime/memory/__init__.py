"""Memory of the machine: how much there is, and fresh memory for decompressed payloads."""
