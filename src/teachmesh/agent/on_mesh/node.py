"""Run an agent that watches its bank, learns, shares with peers, and reports events."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from teachmesh.agent.known_skills.withdraw_skills import receive_tombstone, retire_replaced
from teachmesh.agent.known_skills.withhold_tasks import sent_tombstones
from teachmesh.agent.on_mesh.list_desk import AgentListDesk
from teachmesh.agent.on_mesh.part_desk import AgentPartDesk
from teachmesh.agent.on_mesh.quarantine_watch import QuarantineWatch, event_items
from teachmesh.agent.on_mesh.run_endpoints import RunEndpoints
from teachmesh.agent.on_mesh.state_report import StateReport
from teachmesh.agent.teaching.known_source import known_skill
from teachmesh.bank.event_file import EventFile, utc_time
from teachmesh.bank.running import RunningLock, SequenceFile
from teachmesh.data.tasks import task_name
from teachmesh.errors import ConfigError, NetworkError, StorageError, TeachmeshError
from teachmesh.model.backbone_cards import known_fingerprints, reference_bytes
from teachmesh.sharing.author_budget import AuthorBudget
from teachmesh.sharing.gossip import Gossip
from teachmesh.sharing.own_addresses import reachable_at
from teachmesh.sharing.supervisor import Fault, Supervisor
from teachmesh.sharing.twin_watch import TWIN

if TYPE_CHECKING:
    from teachmesh.agent.known_skills.bank_view import BankView
    from teachmesh.agent.on_mesh.mesh_invites import Door
    from teachmesh.agent.teaching.learning_agent import LearningAgent
    from teachmesh.bank.entry import BankEntry
    from teachmesh.packet.signing import VerifiedSkill
    from teachmesh.sharing.transport import Transport

_log = logging.getLogger(__name__)
WATCH_INTERVAL_S = 0.25
STATE_INTERVAL_S = 1.0
SYNC_INTERVAL_S = 0.05
WATCHER_TIMEOUT_S = 0.5


class Node:
    """A running agent that learns tasks and shares skills with peers.

    Sharing runs in its own threads, so that learning and sharing do not delay each other.

    Args:
        agent: the agent whose bank is shared.
        transport: connection to the peers; the node starts and closes it.
        endpoints: endpoints of this run and of earlier ones; by default, none are remembered.
        on_event: called with one dict per event, from several threads but never concurrently. Its
            item "event" is the name, "time" the UTC time; docs/running.md lists all names and
            items. If the call fails, no more events follow, and the run ends with that error.
        door: lets agents with an invite join; None if no agent can be invited.

    Raises:
        ConfigError: another process runs the agent of this home (raised on entering).
    """

    def __init__(
        self,
        agent: LearningAgent,
        transport: Transport,
        on_event: Callable[[dict[str, Any]], None],
        endpoints: RunEndpoints | None = None,
        door: Door | None = None,
    ) -> None:
        self.agent = agent
        self._door = door
        self.transport = transport
        self._supervisor = Supervisor(self._report_fault)
        self._sequences = SequenceFile(agent.home.path / "announced")
        inventory = BankInventory(agent)
        self.gossip = Gossip(
            inventory,
            transport,
            agent.key,
            alias=agent.alias,
            on_refused=self._report_refused,
            on_unsaved=self._report_unsaved,
            on_twin=self._report_twin,
            supervisor=self._supervisor,
            published=inventory.published,
            desk=AgentPartDesk(agent, self._emit),
            lists=AgentListDesk(agent),
        )
        self._lock = RunningLock(agent.home.path)
        self._on_event = on_event
        self._event_lock = threading.Lock()
        self._event_file = EventFile(agent.home.path)
        self._endpoints = endpoints or RunEndpoints(agent.home.path)
        self._report = StateReport(
            agent, self.gossip, transport, self._emit, self._endpoints, self._door_state
        )
        self._stopped = threading.Event()
        self._ended = threading.Event()
        self._failure: Exception | None = None
        self._reported = ""
        self._watcher = threading.Thread(target=self._watch, name="teachmesh-watch", daemon=True)
        self._watch_once = self._supervisor.supervised("watch", self._watch_step)
        self._active: dict[str, BankEntry] = {}
        self._seen: set[str] = set()
        self._version: tuple[int, object] | None = None
        self._stamp: object = None
        self._quarantine = QuarantineWatch(agent)
        self._next_state_s = 0.0
        self._backbones: frozenset[str] = frozenset()

    def __enter__(self) -> Node:
        self._seen = set(self.agent.bank.ids())
        self._active = {entry.id: entry for entry in self.agent.bank.active()}
        self._backbones = self._known_backbones()
        self._stamp = self.agent.trust.stamp()
        self._lock.acquire()
        self._with_report(lambda: self.agent.trust.pin(self.agent.alias, self.agent.id))
        self._with_report(self._retire)  # before a peer asks for them
        try:
            self._with_report(self._reserve_sequences)
            self.gossip.start()
            if self._door is not None:
                self._door.open(self._emit, self._supervisor)
        except NetworkError as error:
            self.gossip.close()
            self._lock.release()
            raise self._endpoints.explained(error, self.endpoints) from error
        except BaseException:
            self.gossip.close()
            self._lock.release()
            raise
        self._endpoints.start(self.endpoints)
        self._emit(
            "ready",
            id=self.agent.id,
            alias=self.agent.alias,
            endpoint=next(iter(self.transport.endpoints()), None),
            endpoints=self.endpoints,
            reachable=reachable_at(self.endpoints),
            skills=len(self._seen),
            pid=os.getpid(),
        )
        self._watcher.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._watcher.join(WATCHER_TIMEOUT_S)  # it may wait for a disk
        try:
            self._with_report(self._report.stats)
            self._emit("stopped")
        finally:
            # Whatever failed, the sharing threads must end.
            if self._door is not None:
                self._door.close()
            self.gossip.close()
            self._with_report(self._report.remove)
            self._endpoints.stop()
            self._lock.release()
        if error is None and self._failure is not None:
            raise self._failure

    @property
    def endpoints(self) -> list[str]:
        """Endpoints at which other agents reach this one."""
        return list(self.transport.endpoints())

    def wait_for_peers(self, count: int = 1, timeout_s: float = 30.0) -> None:
        """Wait until this agent and enough peers hold the same skills.

        Args:
            count: number of peers that must be in sync.
            timeout_s: maximum time to wait, in seconds.

        Raises:
            NetworkError: fewer peers were in sync in time.
        """
        deadline_s = time.monotonic() + timeout_s
        while (found := sum(peer.in_sync for peer in self.gossip.stats().peers)) < count:
            if time.monotonic() > deadline_s or self._ended.wait(SYNC_INTERVAL_S):
                raise NetworkError(
                    f"expected {count} peers with the same skills within {timeout_s:g} s, got "
                    f"{found}; check that they run and that their endpoints are right"
                )

    def run(
        self,
        tasks: Sequence[Path],
        stop: threading.Event,
        *,
        method: str | None = None,
        seed: int = 0,
        allow_few: bool = False,
    ) -> None:
        """Learn tasks one after another while sharing, then share until `stop` is set.

        A task that cannot be learned causes an `error` event, and the agent continues. A task whose
        images were all learned before causes a `skipped` event.

        Args:
            tasks: folders, archives or CSV files of the tasks.
            stop: event that ends the run; any thread may set it.
            method: variant, as for `Agent.learn`; by default the agent's.
            seed: seed for splits and training.
            allow_few: whether to share classes with fewer than 10 training images.

        Raises:
            Exception: the error of `on_event`.
        """
        for path in tasks:
            if stop.is_set() or self._ended.is_set():
                break
            self._learn(path, method, seed, allow_few=allow_few)
        while not stop.wait(WATCH_INTERVAL_S) and not self._ended.is_set():
            pass
        if self._failure is not None:
            raise self._failure

    def _learn(self, path: Path, method: str | None, seed: int, *, allow_few: bool) -> None:
        try:
            if (known := known_skill(self.agent, path, seed)) is not None:
                reason = f"this agent learned all its images already ({known[:12]})"
                self._emit("skipped", task=task_name(path), skill=known, reason=reason)
                return
            result = self.agent.learn(
                path,
                method=method,
                seed=seed,
                allow_few=allow_few,
                on_understood=lambda text: self._emit("understood", task=path.stem, summary=text),
            )
        except TeachmeshError as error:
            self._emit("error", task=path.stem, message=str(error), exit_code=error.exit_code)
            return
        self._emit(
            "saved",
            task=result.task,
            skill=result.skill_id,
            size_bytes=result.size_bytes,
            validation_accuracy=result.validation_accuracy,
            wall_s=result.wall_s,
            withheld=result.withheld,
        )

    def _watch(self) -> None:
        """Watch the bank, and report new skills from peers or from local processes."""
        delay_s = WATCH_INTERVAL_S
        while not self._stopped.wait(delay_s) and not self._ended.is_set():
            delay_s = self._watch_once()

    def _watch_step(self) -> float:
        self._with_report(self._look)
        return WATCH_INTERVAL_S

    def _look(self) -> None:
        """Look at the bank once, and report its state once per second."""
        current = self.agent.bank.version()
        if current != self._version:
            self._follow_decisions(current[1])
            self._retire()
            self.gossip.notify()
            self._report_new()
            self._report_withdrawn()
            self._version = current
        self._screen()
        now_s = time.monotonic()
        if now_s >= self._next_state_s:
            self._next_state_s = now_s + STATE_INTERVAL_S
            self._retry_refused()
            self._report.state()
            self._reported = ""

    def _with_report(self, work: Callable[[], None]) -> None:
        """Do work that is repeated; report an error such as a full disk once, and go on."""
        try:
            work()
        except TeachmeshError as error:
            if str(error) != self._reported:
                self._reported = str(error)
                self._emit("error", message=str(error), exit_code=error.exit_code)

    def _end(self, error: Exception) -> None:
        """End the run with an error."""
        self._failure = self._failure or error
        self._ended.set()

    def _retry_refused(self) -> None:
        """When a backbone is added, retry skills refused because a backbone was missing."""
        refused = [
            skill_id for skill_id, reason in self.gossip.refused().items() if reason == "BACKBONE"
        ]
        if not refused:
            return
        known = self._known_backbones()
        if known != self._backbones:
            self._backbones = known
            self.gossip.forget(refused)

    def _known_backbones(self) -> frozenset[str]:
        return frozenset(known_fingerprints(self.agent.home.backbones))

    def _report_new(self) -> None:
        for entry in self.agent.bank.entries():
            if entry.id in self._seen:
                continue
            self._seen.add(entry.id)
            if entry.author != self.agent.key.public_key:
                standing = self.agent.trust.standing(entry.author)
                self._emit("received", **event_items(entry), standing=standing)

    def _follow_decisions(self, stamp: object) -> None:
        """Activate or remove the skills of authors that were trusted or blocked since."""
        if stamp != self._stamp:
            self.agent.bank.follow_decisions()
            self.gossip.forget()
            self._stamp = stamp

    def _retire(self) -> None:
        retire_replaced(self.agent.bank, self.agent.key, self.agent.withheld.reasons())

    def _report_withdrawn(self) -> None:
        before = self._active
        self._active = {entry.id: entry for entry in self.agent.bank.active()}
        versions = {(entry.author, entry.task) for entry in self._active.values()}
        for entry in before.values():
            if entry.id in self._active or (entry.author, entry.task) in versions:
                continue
            if entry.id in self.agent.bank.withdrawals.of_author(entry.author):
                self._emit("withdrawn", **event_items(entry))

    def _screen(self) -> None:
        """Screen new skills of other agents, and report which are quarantined or released."""
        for event, details in self._quarantine.news():
            self._emit(event, **details)

    def _report_refused(self, skill_id: str, reason: str, message: str) -> None:
        self._emit("refused", skill=skill_id, reason=reason, message=message)

    def _report_unsaved(self, reason: str) -> None:
        self._emit("error", message=reason, exit_code=StorageError.exit_code)

    def _report_twin(self) -> None:
        self._emit("error", message=TWIN, exit_code=ConfigError.exit_code)

    def _report_fault(self, fault: Fault) -> None:
        message = f"an unexpected error, please report it: {fault}"
        self._emit("error", message=message, exit_code=TeachmeshError.exit_code)

    def _door_state(self) -> dict[str, Any] | None:
        return None if self._door is None else self._door.state()

    def _reserve_sequences(self) -> None:
        """Continue the numbers of earlier runs, even if the wall clock was set back since."""
        self.gossip.number_from(self._sequences.reserve(time.time_ns() // 1_000_000))

    def _emit(self, event: str, **details: Any) -> None:
        with self._event_lock:
            if self._failure is not None:
                return
            _log.info("%s: %s", event, details)
            found = {"event": event, "time": utc_time(), **details}
            self._event_file.append(found)
            try:
                self._on_event(found)
            # The listener may be any code; its error ends the run instead of one thread.
            except Exception as error:  # noqa: BLE001
                self._end(error)


class BankInventory:
    """Adapter through which gossip lists, reads and adds the skills of an agent's bank.

    Args:
        agent: owner of the bank.
    """

    def __init__(self, agent: BankView) -> None:
        self._agent = agent
        self._budget = AuthorBudget()

    def ids(self) -> frozenset[str]:
        """Return the ids of all skills that can be sent, without withdrawn and withheld ones."""
        return frozenset(self._agent.bank.ids()) - self._agent.withheld.reasons().keys()

    def published(self) -> int:
        """Return how many skills of this agent peers can have, also withdrawn ones."""
        while True:
            withheld = self._agent.withheld.reasons()
            count = self._agent.bank.published(self._agent.key.public_key, withheld)
            if self._agent.withheld.reasons() == withheld:
                return count  # otherwise a private skill may have been saved in between

    def wants(self, skill_id: str) -> bool:
        """Return whether to fetch a skill or tombstone; False if it was removed here.

        It was removed by a person, by its author, or because its author is blocked. A withheld
        skill is here already.
        """
        bank = self._agent.bank
        if skill_id in self._agent.withheld.reasons():
            return False
        return skill_id not in bank.removed_ids() and skill_id not in bank.withdrawals.skills()

    def read(self, skill_id: str) -> bytes | None:
        """Return the bytes of a skill; None if it is missing or damaged."""
        try:
            return self._agent.bank.get(skill_id)
        except StorageError:
            return None

    def admit(self, skill_id: str, data: bytes) -> None:
        """Check and save a skill from a peer.

        Raises:
            SkillRefused: a check failed; `reason` is the code of that check.
            SkillDeferred: too many skills of this author came within a short time.
            StorageError: the skill cannot be saved.
        """
        self._agent.receive(data, expected_id=skill_id, check=self._check_budget)

    def _check_budget(self, verified: VerifiedSkill) -> None:
        """Check the limits of the author, unless it is this agent; raises the errors of `admit`."""
        author = verified.skill.card.author
        if author != self._agent.key.public_key:
            usage = self._agent.bank.usage(author)
            self._budget.check_size(author, usage.skills, usage.size_bytes, usage.total)
            if self._agent.trust.standing(author) == "pending":
                waiting = self._agent.bank.pending_usage()
                self._budget.check_pending(author, usage.skills, waiting.skills, waiting.size_bytes)
            self._budget.spend(author)

    def tombstones(self) -> frozenset[str]:
        """Return the ids of all tombstones, without those of skills that never left."""
        return sent_tombstones(self._agent)

    def read_tombstone(self, tombstone_id: str) -> bytes | None:
        """Return the bytes of a tombstone; None if it is missing, damaged or not for peers."""
        if tombstone_id not in self.tombstones():
            return None
        return self._agent.bank.withdrawals.get(tombstone_id)

    def admit_tombstone(self, tombstone_id: str, data: bytes) -> None:
        """Check and save a tombstone from a peer.

        Raises:
            SkillRefused: a check failed; `reason` is the code of that check.
            StorageError: the tombstone cannot be saved.
        """
        receive_tombstone(self._agent.bank, self._agent.key, data, tombstone_id)

    def blob(self, sha256: str) -> bytes | None:
        """Return the backbone reference with this hash; None if this agent does not have it."""
        return reference_bytes(self._agent.home.backbones, sha256)
