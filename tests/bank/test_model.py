"""The bank against a Python set: any sequence of operations gives the same answers."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from teachmesh.bank.store import Bank, digest_of
from teachmesh.errors import SkillRefused, StorageError
from teachmesh.packet.signing import VerifiedSkill
from tests.bank.index_files import lose_index
from tests.packet.sample_skills import sample_signed

SKILLS = [sample_signed(seed=seed) for seed in range(5)]
ANY_SKILL = st.sampled_from(SKILLS)


class BankMachine(RuleBasedStateMachine):
    """Put, remove, deliver again, damage, reopen, lose the index."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.bank = Bank(self.folder)
        self.held: set[str] = set()
        self.removed: set[str] = set()

    @rule(signed=ANY_SKILL)
    def put(self, signed: VerifiedSkill) -> None:
        self.bank.put(signed)
        self.held.add(signed.id)
        self.removed.discard(signed.id)

    @rule(signed=ANY_SKILL)
    def deliver(self, signed: VerifiedSkill) -> None:
        skill = signed.id
        try:
            self.bank.put(signed, restore=False)
        except SkillRefused:
            assert skill in self.removed
        else:
            assert skill not in self.removed
            self.held.add(skill)

    @rule(signed=ANY_SKILL)
    def remove(self, signed: VerifiedSkill) -> None:
        skill = signed.id
        try:
            self.bank.remove(skill)
        except StorageError:
            assert skill not in self.held
        else:
            self.held.remove(skill)
            self.removed.add(skill)

    @rule(signed=ANY_SKILL)
    def rot(self, signed: VerifiedSkill) -> None:
        skill = signed.id
        if skill in self.held:
            (self.folder / "skills" / f"{skill}.safetensors").write_bytes(b"rot")
            self.held.remove(skill)
        try:
            self.bank.get(skill)
        except StorageError:
            return
        raise AssertionError("served what it does not hold")

    @rule()
    def reopen(self) -> None:
        self.bank.close()
        self.bank = Bank(self.folder)

    @rule()
    def lose_open_index(self) -> None:
        lose_index(self.folder)

    @rule()
    def lose_closed_index(self) -> None:
        self.bank.close()
        lose_index(self.folder)
        self.bank = Bank(self.folder)

    @invariant()
    def answers_are_those_of_a_set(self) -> None:
        assert self.bank.ids() == sorted(self.held)
        assert self.bank.removed_ids() == sorted(self.removed)
        assert self.bank.digest() == digest_of(self.held)
        assert self.bank.check().is_clean

    def teardown(self) -> None:
        self.bank.close()
        shutil.rmtree(self.folder)


TestBankMachine = BankMachine.TestCase
TestBankMachine.settings = settings(
    max_examples=8,
    stateful_step_count=14,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
