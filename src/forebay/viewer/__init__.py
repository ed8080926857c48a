"""The page: one recording's engine in a Web Worker (`session`), and the site around it (`site`)."""

from forebay.viewer.session import Session

__all__ = ["Session"]
