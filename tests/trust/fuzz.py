"""Check hostile files and messages: python -m tests.trust.fuzz FILES MESSAGES [FIRST].

Each is made from its number. Repeat a failure with `FILES=1 FIRST=NUMBER`. After an interruption,
go on from the number that was printed last.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import get_args

from teachmesh.errors import RefusalReason, SkillRefused
from teachmesh.packet.codec import decode, encode
from teachmesh.packet.part import Part, read_part
from teachmesh.packet.quarantine_list import QuarantineList, read_list
from teachmesh.packet.roster import Roster, read_roster
from teachmesh.packet.signing import verify
from teachmesh.packet.tombstone import Tombstone, read_tombstone
from teachmesh.sharing.counters import Counters
from teachmesh.sharing.id_list import decode_ids
from teachmesh.sharing.messages import decode_announcement
from teachmesh.sharing.serving import Server
from teachmesh.sharing.supervisor import Supervisor
from teachmesh.sharing.transport import is_address
from tests.sharing.inventories import BytesInventory
from tests.sharing.meshes import id_of_agent
from tests.trust.hostile_bytes import MESSAGES, skill_file

REASONS = frozenset(get_args(RefusalReason))
SLOWEST_S = 2.0
REPORT_EVERY = 20_000


def refusal(error: SkillRefused) -> str:
    """Check a refusal: a known reason, and one clean line for a person."""
    message = str(error)
    assert error.reason in REASONS, error.reason
    assert message.isprintable(), message
    assert 10 < len(message) < 400, message
    return error.reason


def check_skill(data: bytes) -> str:
    """Decode and verify a skill; return the reason of its refusal, or "admitted"."""
    try:
        verified = verify(decode(data))
    except SkillRefused as error:
        return refusal(error)
    assert encode(verified.skill, decode(data).signature) == verified.data == data
    return "admitted"


def check_statement(
    data: bytes, read: Callable[[bytes], Tombstone | Part | Roster | QuarantineList]
) -> str:
    """Read a signed statement; an accepted one has the given bytes."""
    try:
        found = read(data)
    except SkillRefused as error:
        return refusal(error)
    assert found.data == data
    return "admitted"


def check_announcement(data: bytes) -> str:
    """Read an announcement; an accepted one has values within their bounds."""
    found = decode_announcement(data)
    if found is None:
        return "dropped"
    assert found.alias.isprintable()
    assert min(found.count, found.sequence) >= 0
    assert len(found.agent_id) > 8
    return "accepted"


def check_ids(data: bytes) -> str:
    """Read a list of ids; each line of an accepted one is an id."""
    found = decode_ids(data)
    if found is None:
        return "dropped"
    assert "".join(f"{skill}\n" for skill in found).encode() == data
    return "accepted"


def check_request(data: bytes) -> str:
    """Serve a request for anything; only a plain address reaches the bank."""
    kind, _, key = data.decode("utf-8", "replace").partition("/")
    if not is_address(id_of_agent("x"), kind, key):
        return "dropped"
    supervisor = Supervisor()
    Server(BytesInventory(), Counters(), supervisor).answer(kind, key)
    assert not supervisor.faults()
    return "accepted"


CHECKS: dict[str, Callable[[bytes], str]] = {
    "tombstone": partial(check_statement, read=read_tombstone),
    "part": partial(check_statement, read=read_part),
    "roster": partial(check_statement, read=read_roster),
    "quarantine": partial(check_statement, read=read_list),
    "announcement": check_announcement,
    "ids": check_ids,
    "request": check_request,
}


def fuzz_file(number: int) -> str:
    """Make and check one skill file; return its outcome."""
    return check_skill(skill_file(random.Random(number)))


def fuzz_message(number: int) -> str:
    """Make and check one message; return its kind and outcome."""
    rng = random.Random(number)
    kind = rng.choice(sorted(MESSAGES))
    return f"{kind} {CHECKS[kind](MESSAGES[kind](rng))}"


def run(name: str, fuzz: Callable[[int], str], first: int, count: int) -> int:
    """Check many; print progress, failures and outcomes; return the number of failures."""
    outcomes: Counter[str] = Counter()
    failures, slowest_s = 0, 0.0
    for number in range(first, first + count):
        began_s = time.perf_counter()
        try:
            outcomes[fuzz(number)] += 1
        except Exception as error:  # noqa: BLE001 - every failure is reported with its number
            failures += 1
            _say(f"{name} {number} failed: {type(error).__name__}: {error}")
        slowest_s = max(slowest_s, time.perf_counter() - began_s)
        if (number + 1 - first) % REPORT_EVERY == 0:
            _say(f"{name}: {number + 1 - first} of {count} done, next is FIRST={number + 1}")
    shown = ", ".join(f"{outcome} {n}" for outcome, n in sorted(outcomes.items()))
    _say(f"{name}: {count} checked, {failures} failures, slowest {slowest_s:.2f} s; {shown}")
    return failures + (slowest_s > SLOWEST_S)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    n_files, n_messages, start = (int(text) for text in (*sys.argv[1:], "0")[:3])
    failed = run("messages", fuzz_message, start, n_messages)
    sys.exit(run("files", fuzz_file, start, n_files) + failed > 0)
