"""Forebay: a Python-native, Rerun-compatible live store."""
