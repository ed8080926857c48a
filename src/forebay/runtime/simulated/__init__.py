"""The runtime of tests: a seed picks the order of everything, and time is virtual."""
