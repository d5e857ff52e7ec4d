"""Text of a visitor, a model or a file -> HTML that can do nothing but be read.

Every character that could mean something to HTML or Markdown becomes a numeric entity.
"""

from __future__ import annotations


def inert(text: str) -> str:
    """Make text that is shown literally: letters, digits and spaces stay, the rest is entities."""
    lines = (" ".join(line.split()) for line in text.strip().splitlines())
    return "<br>".join(
        "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in line) for line in lines
    )


def inert_between(text: str) -> str:
    """Like `inert`, but keep one space at either end, where something else touches it."""
    before = " " if text[:1].isspace() else ""
    after = " " if text[-1:].isspace() and text.strip() else ""
    return before + inert(text) + after
