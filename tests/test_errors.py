from __future__ import annotations

import pickle

import pytest

from forebay import errors
from forebay.errors import CorruptError, ForebayError, LoadError, UnknownTimelineError
from forebay.hub import StoreHub
from forebay.model import ChunkId, StoreId

FIELDS = {
    "store_id": StoreId.recording("app", "rec"),
    "chunk_id": ChunkId.from_parts(1, 2),
    "byte_offset": 42,
}


def tree(kind: type[ForebayError] = ForebayError) -> list[type[ForebayError]]:
    """All errors that callers may meet; a module's private ones never leave it."""
    below = [one for one in kind.__subclasses__() if one.__module__ == errors.__name__]
    return [kind, *(found for one in below for found in tree(one))]


def test_the_docstring_draws_the_tree() -> None:
    drawn = [line.split("──")[1].split()[0] for line in errors.__doc__.splitlines() if "──" in line]
    assert sorted(drawn) == sorted(kind.__name__ for kind in tree()[1:])


@pytest.mark.parametrize("kind", tree())
def test_every_error_has_fields_prints_its_message_and_survives_pickling(
    kind: type[ForebayError],
) -> None:
    path = {"path": "a.rrd"} if issubclass(kind, LoadError) else {}
    error = pickle.loads(pickle.dumps(kind("what to do", **FIELDS, **path)))
    assert type(error) is kind
    assert str(error) == "what to do"
    assert {name: getattr(error, name) for name in FIELDS} == FIELDS


def test_a_hub_stays_where_it_is() -> None:
    error = LoadError("m", path="p", hub=StoreHub())
    assert isinstance(error.hub, StoreHub)
    assert pickle.loads(pickle.dumps(error)).hub is None


def test_errors_are_what_python_calls_them() -> None:
    assert issubclass(UnknownTimelineError, KeyError)
    assert str(UnknownTimelineError("no quotes around me")) == "no quotes around me"
    assert CorruptError("x").byte_offset is None
