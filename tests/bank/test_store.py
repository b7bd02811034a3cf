"""The bank: a set of skills on the disk that several processes share."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
from pathlib import Path

import pytest

from teachmesh.bank.entry import BankEntry
from teachmesh.bank.store import Bank, digest_of
from teachmesh.errors import SkillRefused, StorageError
from teachmesh.packet.codec import decode, encode, skill_id
from teachmesh.packet.limits import Limits
from teachmesh.packet.signing import VerifiedSkill, verify
from tests.bank.index_files import lose_index
from tests.packet.sample_skills import ALICE, BOB, sample_bytes, sample_signed, sample_skill


def test_what_was_put_can_be_got(bank: Bank) -> None:
    """A skill is read back unchanged, and its entry agrees with the card."""
    data = sample_bytes()
    entry = bank.put(sample_signed())

    assert bank.get(entry.id) == data
    assert bank.load(entry.id).skill == sample_skill()
    assert bank.entries() == [entry]
    assert entry == BankEntry(
        id=skill_id(data),
        task="flowers",
        author=ALICE.public_key,
        alias="alice",
        method="gmmc",
        anchors=("gmmc",),
        classes=sample_skill().card.classes,
        has_biases=False,
        backbone_fingerprint="ab" * 32,
        size_bytes=len(data),
        created="2026-11-23T11:00:00Z",
        replaces=None,
        has_head=True,
        latent_sizes=(8, 0),
    )


def test_putting_twice_is_the_same_as_once(bank: Bank) -> None:
    """Duplicates change nothing, not even the version."""
    first = bank.put(sample_signed())
    version, digest = bank.version(), bank.digest()

    assert bank.put(sample_signed()) == first
    assert (bank.version(), bank.digest(), len(bank.entries())) == (version, digest, 1)


def test_skills_outlive_the_bank_object(tmp_path: Path) -> None:
    """Opening the folder again shows the same set."""
    with Bank(tmp_path / "bank") as bank:
        entry = bank.put(sample_signed())
        digest = bank.digest()

    with Bank(tmp_path / "bank") as again:
        assert again.entries() == [entry]
        assert again.digest() == digest
        assert again.check().is_clean


def test_order_of_arrival_makes_no_difference(tmp_path: Path) -> None:
    """Same set, same digest, same order of entries."""
    skills = [sample_signed(seed=seed) for seed in range(5)]
    with Bank(tmp_path / "one") as one, Bank(tmp_path / "other") as other:
        for signed in skills:
            one.put(signed)
        for signed in reversed(skills):
            other.put(signed)

        assert one.digest() == other.digest()
        assert one.entries() == other.entries()
        assert one.ids() == sorted(signed.id for signed in skills)


def test_the_digest_is_the_hash_of_the_sorted_ids() -> None:
    """Written out, so that another implementation can compute it."""
    one, two = "11" * 32, "22" * 32

    assert digest_of([two, one]) == hashlib.sha256(f"{one}\n{two}\n".encode()).hexdigest()
    assert digest_of([]) == hashlib.sha256(b"").hexdigest()


def test_a_skill_takes_the_place_of_its_predecessor(bank: Bank) -> None:
    """Both stay in the set; only the newest is active."""
    old = bank.put(sample_signed())
    middle = bank.put(sample_signed(seed=1, replaces=old.id))
    new = bank.put(sample_signed(seed=2, replaces=middle.id))

    assert bank.active() == [new]
    assert bank.ids() == sorted([old.id, middle.id, new.id])


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_no_older_version_returns_when_a_middle_one_is_gone(tmp_path: Path, gone: int) -> None:
    """One or two of four versions are removed; the newest one that remains is active."""
    versions = [sample_signed(created="2026-11-23T11:00:00Z")]
    for number in range(1, 4):
        created = f"2026-11-23T11:00:0{number}Z"
        before = versions[-1].id
        versions.append(sample_signed(seed=number, replaces=before, created=created))
    for place, other in enumerate((gone, 2)):
        with Bank(tmp_path / str(place)) as bank:
            for version in reversed(versions):
                bank.put(version)
            for number in {gone, other}:
                bank.remove(versions[number].id)
            assert [entry.id for entry in bank.active()] == [versions[3].id]
            bank.remove(versions[3].id)
            left = max({0, 1, 2} - {gone, other})
            assert [entry.id for entry in bank.active()] == [versions[left].id]


def test_a_clock_that_was_set_back_hides_no_newer_version(bank: Bank) -> None:
    """The order of versions follows their chain before their times."""
    first = sample_signed(created="2026-11-23T11:00:05Z", replaces="ab" * 32)
    second = sample_signed(seed=1, created="2026-11-23T11:00:00Z", replaces=first.id)
    twin = sample_signed(seed=2, created="2026-11-23T11:00:01Z")
    for version in (twin, second, first):
        bank.put(version)
    assert [entry.id for entry in bank.active()] == [second.id]


def test_nobody_supersedes_another_authors_skill(bank: Bank) -> None:
    """Bob names Alice's skill as his predecessor: hers stays active."""
    alices = bank.put(sample_signed())
    bobs = bank.put(sample_signed(BOB, replaces=alices.id))

    assert {entry.id for entry in bank.active()} == {alices.id, bobs.id}


def test_a_successor_that_came_first_supersedes_all_the_same(bank: Bank) -> None:
    """The active skills depend on the set, not on the order."""
    old = sample_signed()
    new = bank.put(sample_signed(seed=1, replaces=old.id))
    bank.put(old)

    assert bank.active() == [new]


def test_a_removed_skill_is_gone_and_remembered(tmp_path: Path) -> None:
    """Peers do not bring it back; a person who imports it does."""
    with Bank(tmp_path / "bank") as bank:
        signed = sample_signed()
        entry = bank.put(signed)
        bank.remove(entry.id)

        assert bank.ids() == []
        assert bank.removed_ids() == [entry.id]
        assert bank.check().is_clean
        with pytest.raises(StorageError, match="holds no skill"):
            bank.get(entry.id)
        with pytest.raises(SkillRefused, match="removed here"):
            bank.put(signed, restore=False)
    with Bank(tmp_path / "bank") as again:
        assert (again.ids(), again.removed_ids()) == ([], [entry.id])
        assert again.put(signed) == entry
        assert (again.ids(), again.removed_ids()) == ([entry.id], [])


def test_removing_what_is_not_there_is_an_error(bank: Bank) -> None:
    """A failed removal leaves no mark; otherwise the skill could never arrive."""
    with pytest.raises(StorageError, match="holds no skill"):
        bank.remove("ab" * 32)
    assert bank.removed_ids() == []


@pytest.mark.parametrize("text", ["../../etc/passwd", "", "AB" * 32, "ab" * 31, "ab" * 32 + "\n"])
def test_only_hex_digits_become_part_of_a_path(bank: Bank, text: str) -> None:
    """An id from outside is checked before it names a file."""
    with pytest.raises(StorageError, match="64 hex digits"):
        bank.get(text)
    with pytest.raises(StorageError, match="64 hex digits"):
        bank.remove(text)


def test_the_type_is_the_guard_only_verified_skills_are_stored(bank: Bank) -> None:
    """Only `sign` and `verify` make the type that `put` takes; bytes and decoded skills fail."""
    decoded = decode(sample_bytes())
    for unverified in (sample_bytes(), decoded, decode(encode(sample_skill()))):
        with pytest.raises(TypeError, match="expected a VerifiedSkill"):
            bank.put(unverified)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected a skill from signing"):
        VerifiedSkill(decoded.skill, decoded.id, decoded.data, object())
    with pytest.raises(ValueError, match="origin"):
        dataclasses.replace(verify(decoded), data=b"other bytes")
    with pytest.raises(SkillRefused, match="not those of the signed skill"):
        verify(dataclasses.replace(decoded, data=b"other bytes"))
    with pytest.raises(SkillRefused) as refusal:
        bank.put(verify(decode(encode(sample_skill()))))
    assert refusal.value.reason == "SIGNATURE"
    assert bank.ids() == []
    assert bank.check().is_clean
    assert bank.put(verify(decoded)) == bank.put(sample_signed())


def test_the_banks_limits_are_its_own(tmp_path: Path) -> None:
    """A small device may refuse what others take."""
    small = Limits(file_bytes=100)
    with Bank(tmp_path / "bank", limits=small) as bank, pytest.raises(SkillRefused) as refusal:
        bank.put(sample_signed())
    assert refusal.value.reason == "LIMIT"


def test_the_version_changes_with_every_change_and_only_then(bank: Bank) -> None:
    """A poller compares it once a second and does nothing when it is equal."""
    versions = [bank.version()]
    entry = bank.put(sample_signed())
    versions.append(bank.version())
    bank.put(sample_signed(seed=1))
    versions.append(bank.version())
    bank.remove(entry.id)
    versions.append(bank.version())

    assert len(set(versions)) == len(versions)
    bank.get(bank.ids()[0])
    bank.entries()
    assert bank.version() == versions[-1]


def test_another_bank_object_notices_at_once(tmp_path: Path) -> None:
    """A running agent sees a skill that a command has saved, at its next read."""
    with Bank(tmp_path / "bank") as agent, Bank(tmp_path / "bank") as command:
        before = agent.version()
        entry = command.put(sample_signed())

        assert agent.version() != before
        assert agent.ids() == [entry.id]
        assert agent.get(entry.id) == sample_bytes()


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_nobody_else_can_read_the_bank(bank: Bank) -> None:
    """Folders 0700, files 0600."""
    entry = bank.put(sample_signed())
    bank.remove(bank.put(sample_signed(seed=1)).id)

    for path in [bank.folder, *bank.folder.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o077 == 0 or path.name.startswith("index.sqlite3"), (path, oct(mode))
    assert (
        stat.S_IMODE((bank.folder / "skills" / f"{entry.id}.safetensors").stat().st_mode) == 0o600
    )


def test_a_read_only_bank_reads_and_refuses_to_write(tmp_path: Path) -> None:
    """A read-only bank sees commits of others, and refuses to write in one sentence."""
    with Bank(tmp_path / "bank") as writer:
        entry = writer.put(sample_signed())
        with Bank(tmp_path / "bank", read_only=True) as reader:
            assert reader.get(entry.id) == sample_bytes()
            other = writer.put(sample_signed(seed=1))
            assert other.id in reader.ids()
            for write in (
                lambda: reader.put(sample_signed(seed=2)),
                lambda: reader.remove(entry.id),
            ):
                with pytest.raises(StorageError, match="reading only"):
                    write()


def test_a_read_only_bank_works_without_an_index(tmp_path: Path) -> None:
    """On a read-only disk the index is derived from the files, in memory."""
    with Bank(tmp_path / "bank") as writer:
        entries = [writer.put(sample_signed(seed=seed)) for seed in range(3)]
        writer.remove(entries[0].id)
        kept = writer.entries()
    lose_index(tmp_path / "bank")

    with Bank(tmp_path / "bank", read_only=True) as reader:
        assert reader.entries() == kept
        assert reader.version() == reader.version()
    assert not list((tmp_path / "bank").glob("index.sqlite3*"))


def test_a_read_only_bank_of_an_empty_folder_is_empty(tmp_path: Path) -> None:
    """Reading creates no files."""
    with Bank(tmp_path / "bank", read_only=True) as reader:
        assert reader.ids() == []
    assert not (tmp_path / "bank").exists()


def test_putting_a_few_hundred_skills_takes_milliseconds_each(bank: Bank) -> None:
    """About 5 ms of work each; the disk and other programs do not count."""
    import time

    skills = [sample_signed(seed=seed) for seed in range(100)]
    start = time.thread_time()
    for signed in skills:
        bank.put(signed)

    assert (time.thread_time() - start) / len(skills) < 0.1
    assert len(bank.ids()) == 64  # the sample's numbers repeat with the seed
