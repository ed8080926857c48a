"""The runtime on threads: `runtime` is the public part, `ready` decides which task runs next."""
