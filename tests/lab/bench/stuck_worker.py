"""A worker whose job never ends; it writes "began" to stderr."""

import sys
import time
from typing import Any

from teachmesh_lab.bench import worker


def _stuck(*_: Any) -> dict[str, Any]:
    sys.stderr.write("began\n")
    sys.stderr.flush()
    while True:
        time.sleep(60)


if __name__ == "__main__":
    worker.attempt = _stuck
    worker.main()
