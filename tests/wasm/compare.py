"""Answers from here and from there, compared value by value."""

from __future__ import annotations

import json

import pyarrow as pa


def assert_same_answers(theirs: dict[str, bytes], ours: dict[str, bytes]) -> None:
    assert list(theirs) == list(ours), "the same questions, in the same order"
    for question, answer in ours.items():
        assert_same_answer(question, theirs[question], answer)


def assert_same_answer(question: str, theirs: bytes, ours: bytes) -> None:
    """Tables with their schemas and metadata, or texts."""
    if ours[:1] in {b"{", b"[", b'"', b"n"}:
        assert json.loads(theirs) == json.loads(ours), question
        return
    there, here = _table(theirs), _table(ours)
    assert there.schema.equals(here.schema, check_metadata=True), question
    if not there.equals(here):
        # NaN is not equal to itself, but it is written alike.
        assert repr(there.to_pylist()) == repr(here.to_pylist()), question


def _table(answer: bytes) -> pa.Table:
    return pa.ipc.open_stream(answer).read_all()
