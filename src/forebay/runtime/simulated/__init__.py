"""A deterministic runtime for tests: a seed decides the order of all steps, and time is virtual."""
