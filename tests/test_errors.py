from __future__ import annotations

import gc
import pickle
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay import errors
from forebay.errors import (
    CorruptError,
    ForebayError,
    InvalidChunkError,
    LimitError,
    LoadError,
    UnknownTimelineError,
    copy_of,
    cut,
    lighten,
)
from forebay.hub import StoreHub
from forebay.limits import ERROR_TEXT_CHARS_MAX
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


class TestBounds:
    """However long what an error tells of is, the error stays small, and so does what it keeps."""

    @given(st.text(max_size=300), st.integers(1, 100))
    def test_a_text_is_cut_in_the_middle(self, text: str, chars_max: int) -> None:
        short = cut(text, chars_max)
        assert len(short) <= chars_max
        if len(text) <= chars_max:
            assert short == text
        else:
            begin, end = short.split("…") if short.count("…") == 1 else ("", "")
            assert text.startswith(begin)
            assert text.endswith(end)

    @pytest.mark.parametrize("kind", tree())
    def test_every_message_is_cut(self, kind: type[ForebayError]) -> None:
        path = {"path": "a.rrd"} if issubclass(kind, LoadError) else {}
        error = kind("begin" + "x" * 10_000_000 + "end", **path)
        assert len(str(error)) == len(error.args[0]) == ERROR_TEXT_CHARS_MAX
        assert str(error).startswith("beginx")
        assert str(error).endswith("xend")

    def test_very_long_ids_are_cut_in_texts_alone(self) -> None:
        ids = [StoreId.recording("app" * 1000, "x" * 1000 + end) for end in "ab"]
        assert len(str(ids[0])) < 300
        assert str(ids[0]) != str(ids[1]), "the end tells them apart"
        assert ids[0] != ids[1]
        assert len({ids[0], ids[1]}) == 2

    def test_what_is_kept_of_an_error_holds_no_frames_and_no_payload(self) -> None:
        class Payload:
            pass

        payload = Payload()
        alive = weakref.ref(payload)

        def decode(data: Payload) -> None:
            try:
                msg = "the name is " + "n" * 10_000_000
                raise ValueError(msg, data, 10**1000, 7)
            except ValueError as error:
                error.data = data  # type: ignore[attr-defined]
                error.add_note(msg)
                raise InvalidChunkError(msg) from error

        with pytest.raises(InvalidChunkError) as caught:
            decode(payload)
        error = caught.value
        del caught
        lighten(error)
        del payload
        gc.collect()
        assert alive() is None
        cause = error.__cause__
        assert isinstance(cause, ValueError)
        assert cause.__traceback__ is error.__traceback__ is None
        assert len(str(cause)) < 3 * ERROR_TEXT_CHARS_MAX
        assert cause.args[3] == 7

    @pytest.mark.parametrize(
        "text", ["\ud800" * 1_000_000, pytest.param(b"\xff" * 1_000_000, id="bytes")]
    )
    def test_undecodable_data_is_cut(self, text: str | bytes) -> None:
        with pytest.raises(UnicodeError) as caught:
            text.encode() if isinstance(text, str) else text.decode()
        lighten(caught.value)
        assert len(caught.value.object) <= 32  # type: ignore[attr-defined]
        assert len(str(caught.value)) < 1000

    def test_a_missing_attribute_lets_go_of_its_object(self) -> None:
        class Large:
            pass

        large = Large()
        with pytest.raises(AttributeError) as caught:
            large.missing  # type: ignore[attr-defined]  # noqa: B018
        error = caught.value
        lighten(error)
        assert error.obj is None

    def test_a_copy_is_equal_and_apart(self) -> None:
        error = LimitError("no", limit="memory_limit", **FIELDS)
        error.__cause__ = KeyError("k")
        copied = copy_of(error)
        assert (type(copied), str(copied), copied.__cause__) == (type(error), "no", error.__cause__)
        assert vars(copied) == vars(error)
        assert copied is not error
