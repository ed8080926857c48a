"""The runtime on threads: `runtime` puts it together, `ready` says whose turn it is."""
