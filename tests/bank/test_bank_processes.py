"""Several processes, one bank: readers never wait, writers wait for each other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from teachmesh.bank.store import Bank
from teachmesh.errors import StorageError
from teachmesh.packet.codec import skill_id
from tests.bank.index_files import lose_index
from tests.bank.processes import run, start
from tests.packet.sample_skills import ALICE, BOB, sample_bytes, sample_signed

PUT_MANY = """
import sys
from pathlib import Path
from teachmesh.bank.store import Bank
from tests.packet.sample_skills import AgentKey, sample_signed
key = AgentKey(bytes.fromhex(sys.argv[2]))
skills = [sample_signed(key, seed=seed) for seed in range(20)]
print("ready", flush=True)
sys.stdin.readline()
with Bank(Path(sys.argv[1])) as bank:
    for signed in skills:
        print(bank.put(signed).id, flush=True)
"""


def test_two_writers_both_succeed(tmp_path: Path) -> None:
    """Two processes write 20 skills each at the same time: all 40 are there."""
    folder = tmp_path / "bank"
    writers = [start(["-c", PUT_MANY, str(folder), key.seed.hex()]) for key in (ALICE, BOB)]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    outputs = [writer.communicate("go\n", timeout=100) for writer in writers]

    ids = [line for out, _ in outputs for line in out.split()]
    assert [writer.returncode for writer in writers] == [0, 0], outputs
    assert len(set(ids)) == 40
    with Bank(folder) as bank:
        assert bank.ids() == sorted(ids)
        assert bank.check().is_clean


def test_a_writer_that_waits_too_long_says_so(tmp_path: Path) -> None:
    """One sentence with the folder and the remedy; nothing is written."""
    with Bank(tmp_path / "bank", lock_timeout_s=0.1) as bank:
        bank.put(sample_signed())
        with FileLock(tmp_path / "bank" / "write.lock"):
            with pytest.raises(StorageError, match="another process has been writing") as error:
                bank.put(sample_signed(seed=1))
            with pytest.raises(StorageError, match="another process"):
                bank.remove(bank.ids()[0])
        assert "try again" in str(error.value)
        assert len(bank.ids()) == 1
        bank.put(sample_signed(seed=1))


def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    """Opening, listing and reading work while another process holds the lock."""
    with Bank(tmp_path / "bank") as bank:
        entry = bank.put(sample_signed())
    held = FileLock(tmp_path / "bank" / "write.lock")
    with held, Bank(tmp_path / "bank") as reader:  # who waits here gets an error in the end
        assert reader.ids() == [entry.id]
        assert reader.get(entry.id) == sample_bytes()
        assert reader.check().is_clean


def test_a_new_bank_waits_for_the_process_that_makes_it(tmp_path: Path) -> None:
    """Without an index there is nothing to read yet."""
    with Bank(tmp_path / "bank"):
        pass
    lose_index(tmp_path / "bank")
    held = FileLock(tmp_path / "bank" / "write.lock")
    with held, pytest.raises(StorageError, match="another process"):
        Bank(tmp_path / "bank", lock_timeout_s=0.1)


HOLD = """
import sys
from filelock import FileLock
lock = FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_dead_writer_holds_no_lock(tmp_path: Path) -> None:
    """The lock is the system's and ends with the process, even by SIGKILL."""
    lock = tmp_path / "bank" / "write.lock"
    with Bank(tmp_path / "bank"):
        pass
    locker = start(["-c", HOLD, str(lock)])
    with locker:
        assert locker.stdout is not None
        assert locker.stdout.readline() == "held\n"
        with Bank(tmp_path / "bank", lock_timeout_s=0.05) as bank:
            with pytest.raises(StorageError):
                bank.put(sample_signed())
            locker.kill()
            locker.wait()
            assert bank.put(sample_signed()).id == skill_id(sample_bytes())


def test_a_running_agent_notices_another_process_at_its_next_look(tmp_path: Path) -> None:
    """The version differs and the skill is there as soon as the command has ended."""
    with Bank(tmp_path / "bank") as agent:
        before = agent.version()
        result = run(
            "import sys\nfrom pathlib import Path\nfrom teachmesh.bank.store import Bank\n"
            "from tests.packet.sample_skills import sample_signed\n"
            "print(Bank(Path(sys.argv[1])).put(sample_signed()).id)",
            str(tmp_path / "bank"),
        )

        assert result.returncode == 0, result.stderr
        assert agent.version() != before
        assert agent.ids() == [result.stdout.strip()]


def test_looking_for_changes_is_cheap(bank: Bank) -> None:
    """A poll takes well under a millisecond for any number of skills."""
    bank.put(sample_signed())
    start_s = time.thread_time()
    for _ in range(200):
        bank.version()

    assert (time.thread_time() - start_s) / 200 < 0.05


def test_threads_share_one_bank(bank: Bank) -> None:
    """An agent puts from its network threads while others read."""
    from concurrent.futures import ThreadPoolExecutor

    skills = [sample_signed(seed=seed) for seed in range(12)]
    with ThreadPoolExecutor(4) as pool:
        entries = list(pool.map(bank.put, skills * 2))
        read = list(pool.map(bank.get, [entry.id for entry in entries]))

    assert read == [signed.data for signed in skills * 2]
    assert bank.ids() == sorted({entry.id for entry in entries})
    assert bank.check().is_clean


LIMITED = """
import resource, sys
from pathlib import Path
from teachmesh.bank.store import Bank
from teachmesh.errors import StorageError
from tests.packet.sample_skills import sample_signed
bank = Bank(Path(sys.argv[1]))
size = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
try:
    bank.put(sample_signed(seed=1))
except StorageError as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits there")
@pytest.mark.parametrize("size_bytes", [0, 1000])
def test_a_file_that_cannot_grow_is_one_sentence(tmp_path: Path, size_bytes: int) -> None:
    """At the system's limit: exit code 8, no half-written file, and old skills stay."""
    with Bank(tmp_path / "bank") as bank:
        entry = bank.put(sample_signed())
    result = run(LIMITED, str(tmp_path / "bank"), str(size_bytes))

    assert result.returncode == 8, result.stderr
    assert result.stdout.count("\n") == 1
    with Bank(tmp_path / "bank") as bank:
        assert bank.ids() == [entry.id]
        assert bank.check().is_clean


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 400 KB, if the system allows it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs the right to mount a small disk")
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_stops_saving_and_nothing_else(tiny_disk: Path) -> None:
    """Each further skill gives an error; stored ones are served; freed space is used at once."""
    ballast = tiny_disk / "ballast"
    ballast.write_bytes(bytes(200_000))
    skills = [sample_signed(seed=seed) for seed in range(60)]
    saved, messages = set(), set()
    with Bank(tiny_disk / "bank") as bank:
        for signed in skills:
            try:
                saved.add(bank.put(signed).id)
            except StorageError as error:
                messages.add(str(error).partition(": ")[2])
        assert messages == {"the disk is full; free some space and try again"}
        assert 0 < len(saved) < len(skills)
        assert set(bank.ids()) == saved
        assert bank.check().is_clean
        assert all(skill_id(bank.get(skill)) == skill for skill in saved)

        ballast.unlink()
        saved.add(bank.put(skills[-1]).id)
    with Bank(tiny_disk / "bank") as again:
        assert set(again.ids()) == saved
        assert again.check().is_clean


READ_ONLY = """
import os, sys
from pathlib import Path
from teachmesh.bank.home import Home
from teachmesh.bank.store import Bank
from teachmesh.errors import StorageError
from tests.packet.sample_skills import sample_bytes, sample_signed
folder = Path(sys.argv[1])
sample_bytes()
os.setgid(65534)
os.setuid(65534)
with Bank(folder / "bank", read_only=True) as bank:
    assert bank.get(bank.ids()[0]) == sample_bytes()
messages = []
for act in (
    lambda: Bank(folder / "bank").put(sample_signed(seed=1)),
    lambda: Home(folder / "new"),
    lambda: Home(folder).load_key(),
):
    try:
        act()
    except StorageError as error:
        messages.append(str(error))
print("\\n".join(messages))
sys.exit(StorageError.exit_code)
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs another user")
def test_a_home_without_permission_is_one_sentence(tmp_path: Path) -> None:
    """Reading works; writing says "no permission" and what to do, exit code 8."""
    with Bank(tmp_path / "bank") as bank:
        bank.put(sample_signed())
    of_pytest = (path for path in tmp_path.parents if path.name.startswith("pytest-of-"))
    top = next(of_pytest, tmp_path)
    for path in [*tmp_path.parents, tmp_path, *tmp_path.rglob("*")]:
        if path.stat().st_uid == 0 and path.is_relative_to(top):
            path.chmod(0o755 if path.is_dir() else 0o644)
    before = sorted(tmp_path.rglob("*"))
    result = run(READ_ONLY, str(tmp_path))

    assert result.returncode == 8, result.stderr
    assert result.stdout.count("there is no permission") == 3, result.stdout
    assert result.stdout.count("--home") == 3
    assert sorted(tmp_path.rglob("*")) == before
