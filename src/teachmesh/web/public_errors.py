"""Errors whose messages name the caller's files instead of the server's copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from teachmesh.errors import TeachmeshError


@contextmanager
def with_public_text(public: Callable[[str], str]) -> Iterator[None]:
    """Change the message of an error that is raised within the block.

    Args:
        public: function that replaces paths of the server in a message.

    Raises:
        TeachmeshError: the error with its new message.
    """
    try:
        yield
    except TeachmeshError as error:
        error.args = (public(str(error)), *error.args[1:])
        raise
