"""A process that shares opaque bytes until its standard input ends, and prints its endpoint.

Usage: python -m tests.sharing.sharing_process NAME LISTEN JOIN [ITEM ...]
"""

from __future__ import annotations

import json
import sys
import threading

from teachmesh.sharing.gossip import Gossip
from teachmesh.sharing.zenoh_transport import ZenohTransport
from tests.sharing.inventories import BytesInventory
from tests.sharing.meshes import id_of_agent, key_of


class ReportingInventory(BytesInventory):
    """Prints its number of skills after each admission."""

    def admit(self, skill_id: str, data: bytes) -> None:
        """Save a skill and print the number of skills."""
        super().admit(skill_id, data)
        _say(count=len(self.ids()))


_lock = threading.Lock()


def _say(**values: object) -> None:
    with _lock:
        sys.stdout.write(json.dumps(values) + "\n")
        sys.stdout.flush()


def main(name: str, listen: str, join: str, *items: str) -> None:
    """Share until standard input ends."""
    transport = ZenohTransport(id_of_agent(name), listen=[listen], join=[join] if join else [])
    inventory = ReportingInventory(*(item.encode() for item in items))
    gossip = Gossip(inventory, transport, key_of(name), alias=name, interval_s=0.2)
    _say(endpoint=next(iter(transport.endpoints())))
    gossip.start()
    sys.stdin.read()
    gossip.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
