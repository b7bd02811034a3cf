"""A forked program cannot be told from a fresh one, but for the modules it finds imported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forking.forked_popen import CAN_FORK, forking

pytestmark = [
    pytest.mark.skipif(not CAN_FORK, reason="child subreapers are Linux"),
    pytest.mark.usefixtures("forked_programs"),
]
PROBE = """
import json, os, signal, sys, threading
print(json.dumps({
    "argv": sys.argv[1:], "cwd": os.getcwd(), "env": dict(os.environ), "name": __name__,
    "path": sys.path[:2], "parent": os.getppid(), "read": sys.stdin.read(),
    "streams": [os.readlink(f"/proc/self/fd/{n}").split(":")[0] for n in range(3)],
    "files": sorted(map(int, os.listdir("/proc/self/fd")))[:-1],
    "signals": [str(signal.getsignal(n)) for n in (signal.SIGINT, signal.SIGTERM)],
    "threads": threading.active_count(), "main": sys.modules["__main__"].__name__,
    "encodings": [stream.encoding for stream in (sys.stdin, sys.stdout, sys.stderr)],
    "errors": [stream.errors for stream in (sys.stdin, sys.stdout, sys.stderr)],
}))
sys.stderr.write("on stderr")
sys.exit(3)
"""
UNBUFFERED = {"PYTHONUNBUFFERED": "1"}


def probe(folder: Path, command: list[str]) -> tuple[dict[str, object], str, int]:
    """Run the probe; return its view of itself, its standard error and its exit code."""
    done = subprocess.run(
        [sys.executable, *command, "a b", "--c"],
        input="line\n",
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "ONLY_HERE": "é", "PYTHONPATH": str(folder / "more")},
    )
    return json.loads(done.stdout), done.stderr, done.returncode


@pytest.mark.parametrize("kind", ["-m", "-c"])
def test_a_forked_program_sees_what_a_fresh_one_sees(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arguments, folder, variables, path, streams, open files, signals, parent and exit code."""
    (tmp_path / "probing.py").write_text(PROBE)
    command = [kind, "probing" if kind == "-m" else PROBE]
    # A background job of a shell ignores SIGINT, and a fresh program would inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        forked = probe(tmp_path, command)
        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "Popen", subprocess.Popen.__base__)
            fresh = probe(tmp_path, command)
    finally:
        signal.signal(signal.SIGINT, before)
    assert {k: (v, fresh[0][k]) for k, v in forked[0].items() if v != fresh[0][k]} == {}
    assert forked[1:] == fresh[1:]
    assert forked[0]["parent"] == os.getpid()
    assert forked[1:] == ("on stderr", 3)


def test_modules_are_there_at_once() -> None:
    """The program does not import torch again."""
    code = "import sys; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert run.stdout == b"True\n"


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_signals_end_the_program_itself(end: signal.Signals) -> None:
    """The exit code names the signal, and the process id is gone afterwards."""
    # Python looks for signals between two sleeps: one that comes just before a sleep waits for it.
    code = "import os, time; print(os.getpid(), flush=True)\nwhile True: time.sleep(0.01)"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == process.pid
        process.send_signal(end)
        process.communicate(timeout=100)
    assert process.returncode == -end
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_output_is_not_held_back_where_the_environment_says_so() -> None:
    """A killed program leaves what it has written, also half a line."""
    code = "import os; print('half', end=''); os.kill(os.getpid(), 9)"
    for more, output in ((UNBUFFERED, b"half"), ({"PYTHONUNBUFFERED": ""}, b"")):
        run = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=False,
            env={**os.environ, **more},
        )
        assert (run.returncode, run.stdout) == (-signal.SIGKILL, output)


def test_a_program_that_fails_ends_with_its_traceback() -> None:
    """The last line is that of the error."""
    run = subprocess.run([sys.executable, "-c", "1 / 0"], capture_output=True, check=False)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == b"ZeroDivisionError: division by zero"


def test_the_end_of_a_program_is_that_of_python() -> None:
    """Threads are waited for, functions of `atexit` run, and codes that are texts are shown."""
    code = (
        "import atexit, sys, threading, time\n"
        "threading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start()\n"
        "atexit.register(print, 'at exit', end='')\nsys.exit({})"
    )
    for given, shown in (("7", (7, b"")), ("", (0, b"")), ("'text'", (1, b"text\n"))):
        command = [sys.executable, "-c", code.format(given)]
        done = subprocess.run(command, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == shown
        assert done.stdout == b"thread\nat exit"


def test_variables_that_python_reads_early_need_a_fresh_interpreter() -> None:
    """Python reads the seed of its hashes before the first line of a program."""
    code = "import sys; print(hash('x'), 'torch' in sys.modules)"
    command = [sys.executable, "-c", code]
    env = {**os.environ, "PYTHONHASHSEED": "7"}
    first, second = (subprocess.check_output(command, env=env) for _ in range(2))
    assert first == second
    assert first.endswith(b" False\n")


def test_processes_are_fresh_again_after_the_block() -> None:
    """Nested blocks end with the class that Python has."""
    with forking():
        pass
    code = "import sys; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code]) == b"False\n"
