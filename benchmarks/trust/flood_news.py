"""Time of honest news during floods over Zenoh, relative to normal, and growth of memory.

    python -m benchmarks.trust.flood_news [KIND ...]

A victim and an honest agent share skills, each in a process. A third process floods the victim:

- identities: announcements of 400 agents with valid signatures and growing numbers.
- replays: announcements of 400 agents, the same again and again.
- forged: announcements of 400 agents with wrong signatures.
- garbage: random bytes of the largest size.
- busy: no message at all, but two processes that compute: what a flood costs by its CPU time alone.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.sharing.inventories import BytesInventory

from teachmesh.packet.signing import AgentKey, agent_id
from teachmesh.sharing.gossip import Gossip
from teachmesh.sharing.id_list import digest_of
from teachmesh.sharing.messages import Announcement, encode_announcement
from teachmesh.sharing.zenoh_transport import PREFIX, ZenohTransport

KINDS = ("identities", "replays", "forged", "garbage", "busy")
AGENTS = 400
ROUNDS = 12
PHASES = 3
PHASE_S = 8.0
SETTLE_S = 1.5
NEWS_INTERVAL_S = 0.4
MODULE = "benchmarks.trust.flood_news"


def key_of(name: str) -> AgentKey:
    """Return the key of a name."""
    return AgentKey(name.encode().ljust(32, b"."))


def memory_mb() -> float:
    """Return the resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def messages(kind: str) -> list[tuple[str, bytes]]:
    """Return what the flooder sends, with the agent that each message names."""
    found = []
    for number, index in itertools.product(
        range(1 if kind == "replays" else ROUNDS), range(AGENTS)
    ):
        key = key_of(f"invented {index}")
        digest = digest_of([f"{index:064x}"])
        said = Announcement(key.public_key, "x", digest, digest_of(()), 1, 1, 10**12 + number)
        data = encode_announcement(said, key)
        if kind == "forged":
            data = data.replace(b'"x"', b'"y"')
        found.append((said.agent_id, os.urandom(2000) if kind == "garbage" else data))
    return found


def flood(endpoint: str, kind: str) -> None:
    """Send as fast as possible for a phase, and print the number of messages per second."""
    import zenoh

    prepared = messages(kind)
    settings = {
        "mode": "peer",
        "scouting/multicast/enabled": False,
        "listen/endpoints": [],
        "connect/endpoints": [endpoint],
    }
    config = zenoh.Config()
    for name, value in settings.items():
        config.insert_json5(name, json.dumps(value))
    with zenoh.open(config) as session:
        time.sleep(SETTLE_S / 2)
        began_s, sent = time.monotonic(), 0
        while time.monotonic() < began_s + PHASE_S:
            for name, data in prepared[sent % len(prepared) :][:100]:
                session.put(
                    f"{PREFIX}/{name}/announce",
                    data,
                    congestion_control=zenoh.CongestionControl.BLOCK,
                )
                sent += 1
        print(round(sent / (time.monotonic() - began_s)))


def keep_busy() -> None:
    """Compute in two processes for a phase."""
    time.sleep(SETTLE_S)
    os.fork()
    began_s = time.monotonic()
    while time.monotonic() < began_s + PHASE_S:
        pass
    print(0)


def tell(endpoint: str) -> None:
    """Add a skill at regular times until stdin ends; print when each was added."""
    bank = BytesInventory(b"first")
    name = agent_id(key_of("honest").public_key)
    transport = ZenohTransport(name, listen=["127.0.0.1:0"], join=[endpoint])
    gossip = Gossip(bank, transport, key_of("honest"), alias="honest")
    gossip.start()
    for number in itertools.count():
        time.sleep(NEWS_INTERVAL_S)
        bank.add(b"news %d" % number)
        gossip.notify()
        try:
            print(number, time.time(), flush=True)
        except BrokenPipeError:
            return


class TimedInventory(BytesInventory):
    """Notes when each skill arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived_s: dict[bytes, float] = {}

    def admit(self, skill_id: str, data: bytes) -> None:
        """Save a skill and note the time."""
        super().admit(skill_id, data)
        self.arrived_s[data] = time.time()


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start another process of this program."""
    command = [sys.executable, "-m", MODULE, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def measure(kind: str) -> dict[str, Any]:
    """Alternate quiet and flooded phases; return medians, their ratio, and the growth of memory."""
    bank = TimedInventory()
    key = key_of("victim")
    transport = ZenohTransport(agent_id(key.public_key), listen=["127.0.0.1:0"])
    gossip = Gossip(bank, transport, key, alias="victim")
    gossip.start()
    (endpoint,) = transport.endpoints()
    honest = start("tell", endpoint)
    time.sleep(2 * SETTLE_S)
    began_mb = largest_mb = memory_mb()
    spans: list[tuple[str, float, float]] = []
    rates = []
    for _ in range(PHASES):
        began_s = time.time()
        time.sleep(PHASE_S / 2)
        spans.append(("quiet", began_s, time.time()))
        flooder = start("flood", endpoint, kind)
        began_s = time.time() + 2 * SETTLE_S
        while flooder.poll() is None:
            largest_mb = max(largest_mb, memory_mb())
            time.sleep(0.1)
        spans.append(("flooded", began_s, time.time() - SETTLE_S / 2))
        rates.append(int((flooder.communicate()[0] or "0").split()[-1]))
        time.sleep(2 * SETTLE_S)
    honest.kill()
    told = [line.split() for line in honest.communicate()[0].splitlines() if line.count(" ") == 1]
    gossip.close()
    waits: dict[str, list[float]] = {"quiet": [], "flooded": []}
    for number, text in told[:-5]:
        told_s = float(text)
        wait_s = bank.arrived_s.get(b"news %s" % number.encode(), time.time()) - told_s
        for name, first_s, last_s in spans:
            if first_s <= told_s <= last_s:
                waits[name].append(wait_s)
    normal_s, flooded_s = (statistics.median(waits[name]) for name in ("quiet", "flooded"))
    return {
        "kind": kind,
        "messages_per_s": statistics.median(rates),
        "normal_s": round(normal_s, 3),
        "flooded_s": round(flooded_s, 3),
        "slowest_s": round(max(waits["flooded"]), 3),
        "ratio": round(flooded_s / normal_s, 2),
        "memory_growth_mb": round(largest_mb - began_mb, 1),
    }


def main(arguments: list[str]) -> None:
    """Run one part of the drill, or all kinds of floods."""
    if arguments[:1] == ["flood"] and arguments[2] == "busy":
        keep_busy()
    elif arguments[:1] == ["flood"]:
        flood(*arguments[1:])
    elif arguments[:1] == ["tell"]:
        tell(*arguments[1:])
    else:
        for kind in arguments or KINDS:
            print(json.dumps(measure(kind)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
