"""The page: the engine in a Web Worker (`session`), and the static site around it (`site`)."""

from forebay.viewer.session import Session

__all__ = ["Session"]
