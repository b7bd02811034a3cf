"""A parent to kill in a test: starts a tethered child, prints its process id and waits."""

import sys
import time
from pathlib import Path

from teachmesh_lab.demo.agent_processes import start_tethered

if __name__ == "__main__":
    with Path(sys.argv[1]).open("wb") as errors:
        child = start_tethered("tests.lab.sleeper", [], stderr=errors)
    sys.stdout.write(f"{child.pid}\n")
    sys.stdout.flush()
    time.sleep(60)
