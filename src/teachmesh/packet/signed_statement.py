"""Small signed statements in canonical JSON: exactly one spelling, and a signature by the author.

The signature is Ed25519 over the schema, a zero byte, and the canonical JSON without it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from teachmesh.errors import SkillRefused
from teachmesh.packet.canonical import dump_canonical, parse_strict
from teachmesh.packet.signing import AgentKey, is_signed

MAX_WHOLE = 2**53
"""Limit of whole numbers in a statement: JSON readers with floats hold smaller ones exactly."""
HEX_64 = re.compile(r"[0-9a-f]{64}")
_SIGNATURE = re.compile(r"[0-9a-f]{128}")
_OWN_KEYS = {"author", "schema", "signature"}
MADE_HERE = object()
"""Proof that the functions of `packet` have made or checked a statement."""


class Statement:
    """Base of statements with a valid signature, which only their own functions create.

    A subclass is a frozen data class. Its last fields are `data`, the bytes, and the argument
    `origin`, which must be `MADE_HERE`.

    Attributes:
        made_by: name of the statement and of the functions that create it, for the error.
        data: canonical bytes with the signature.
    """

    made_by: ClassVar[str]
    data: bytes

    def __post_init__(self, origin: object) -> None:
        if origin is not MADE_HERE:
            raise TypeError(f"expected {self.made_by}")

    @property
    def id(self) -> str:
        """SHA-256 of the bytes, 64 hex digits."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class StatementKind:
    """A kind of signed statement.

    Attributes:
        name: name of the kind in messages, such as "tombstone".
        keys: keys of the content, without author, schema and signature.
        limit_bytes: maximum size of a statement.
        brackets: maximum number of lists and objects.
    """

    name: str
    keys: frozenset[str]
    limit_bytes: int
    brackets: int = 16

    @property
    def schema(self) -> str:
        """Value of the key `schema`."""
        return f"teachmesh.{self.name}/1"

    def sign(self, content: Mapping[str, object], key: AgentKey) -> bytes:
        """Return the bytes of a statement; equal content and keys give equal bytes."""
        body = {**content, "author": key.public_key, "schema": self.schema}
        signature = key.sign_message(self._message(body)).hex()
        return dump_canonical({**body, "signature": signature}).encode()

    def read(self, data: bytes, check: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
        """Return the values of untrusted bytes, after checking everything.

        Args:
            data: the bytes.
            check: checks the content; raises `SkillRefused` with the reason VALUE.

        Raises:
            SkillRefused: the bytes violate a rule. LIMIT is for the size, FORMAT for text that is
                not canonical JSON, and VERSION for a newer schema. SCHEMA is for wrong keys, VALUE
                for wrong values, and SIGNATURE if the author did not sign it.
        """
        if len(data) > self.limit_bytes:
            raise SkillRefused(
                "LIMIT",
                f"expected a {self.name} of at most {self.limit_bytes} bytes, got {len(data)}",
            )
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise SkillRefused("FORMAT", f"the {self.name} is not UTF-8") from error
        values = parse_strict(text, self.name, brackets=self.brackets)
        self._check_keys(values)
        check_hex(values, "author")
        check_hex(values, "signature", _SIGNATURE)
        check(values)
        if dump_canonical(values) != text:
            raise SkillRefused("FORMAT", f"the {self.name} is not canonical JSON")
        signature = values.pop("signature")
        if not is_signed(self._message(values), signature, values["author"]):
            raise SkillRefused(
                "SIGNATURE", f"the {self.name} is not signed by the author that it names"
            )
        return dict(values)

    def _message(self, body: Mapping[str, object]) -> bytes:
        return self.schema.encode() + b"\0" + dump_canonical(body).encode()

    def _check_keys(self, values: Any) -> None:
        schema = values.get("schema") if isinstance(values, dict) else None
        if schema != self.schema:
            newer = re.compile(rf"teachmesh\.{self.name}/[1-9][0-9]{{0,8}}")
            if isinstance(schema, str) and newer.fullmatch(schema):
                raise SkillRefused(
                    "VERSION", f"made by a newer teachmesh; update to read the {self.name}"
                )
            raise SkillRefused("SCHEMA", f"expected a {self.name} of schema {self.schema!r}")
        expected = self.keys | _OWN_KEYS
        if set(values) != expected:
            raise SkillRefused("SCHEMA", f"expected exactly the keys {', '.join(sorted(expected))}")


def check_hex(values: Mapping[str, Any], name: str, pattern: re.Pattern[str] = HEX_64) -> None:
    """Check that a value is lower-case hex digits of the right number.

    Raises:
        SkillRefused: VALUE.
    """
    value = values[name]
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise SkillRefused("VALUE", f"expected lower-case hex digits in {name!r}")


def check_whole(values: Mapping[str, Any], name: str) -> None:
    """Check that a value is a whole number from 0 to `MAX_WHOLE` - 1.

    Raises:
        SkillRefused: VALUE.
    """
    if type(values[name]) is not int or not 0 <= values[name] < MAX_WHOLE:
        raise SkillRefused("VALUE", f"expected a whole number in {name!r}")
