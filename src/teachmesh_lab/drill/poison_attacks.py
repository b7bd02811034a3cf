"""The attacks of the drill `poison`: what an attacker sends, as signed bytes.

Attackers know all skills of the honest authors, and sign with keys of their own. The victims of
most attacks are the eight tasks with the most classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from teachmesh.mapping.anchor import TaskAnchor
from teachmesh.mapping.anchor_kinds import MAX_SPREAD, MomentsAnchor
from teachmesh.mapping.packed_moments import Packing, pack_moments
from teachmesh.mapping.quantise import quantise_rows
from teachmesh.packet.signing import VerifiedSkill, sign
from teachmesh.packet.skill import Skill
from teachmesh_lab.drill.forged_skills import (
    copy_of,
    forge,
    with_classes,
    with_means,
    with_spread,
)
from teachmesh_lab.drill.honest_tasks import HonestTask, author_key
from teachmesh_lab.drill.near_attacks import NearAttacker

VICTIMS = 8
ONE_CLASS = (1, 10, 102)
SCALES = (0.9, 1.1, 1.3)
FEW_BITS = (Packing(2, 32, 4), Packing(1, 32, 2))
WIDEST = 0.99 * MAX_SPREAD
FLOOD, FLOOD_AUTHORS = 200, 10
MANY_CLASSES = 7800
GROUND = "00"
SHARP = 100
CYRILLIC = str.maketrans("aceopxy", "\u0430\u0441\u0435\u043e\u0440\u0445\u0443")


@dataclass(frozen=True, eq=False)
class Attack:
    """One attack.

    Attributes:
        name: name of the attack.
        skills: files that the attacker sends, in this order.
        before: files that honest authors send before, such as an old version.
        first: whether the attacker's files come before all honest skills.
        advised: whether the agent trusts another one, which got the honest skills first.
    """

    name: str
    skills: Sequence[bytes]
    before: Sequence[bytes] = field(default_factory=tuple)
    first: bool = False
    advised: bool = False


class Attacker:
    """Makes the attacks on some honest tasks.

    Args:
        tasks: the honest tasks.
        seed: seed of random attacks.
        flood: number of tiny skills in the flood.
        many_classes: number of classes of the largest skill.
    """

    def __init__(
        self,
        tasks: Sequence[HonestTask],
        seed: int = 0,
        *,
        flood: int = FLOOD,
        many_classes: int = MANY_CLASSES,
    ) -> None:
        self._flood_size, self._many = flood, many_classes
        self._tasks = tasks
        self._victims = sorted(tasks, key=lambda task: (-task.anchor.n_classes, task.name))[
            :VICTIMS
        ]
        self._means = np.concatenate([task.means() for task in tasks])
        self._grand = self._means.mean(axis=0, keepdims=True)
        self._random = np.random.default_rng(seed)

    def attacks(self) -> Iterator[Attack]:
        """Yield all attacks."""
        for name, make in self._makers().items():
            yield Attack(name, [skill.data for skill in make()])
        early = [copied.data for copied in self._copies()]
        name = "copies that come before the originals"
        yield Attack(name, early, first=True)
        yield Attack(
            f"{name}, at an agent that trusts an older one", early, first=True, advised=True
        )
        yield self._replay()
        yield Attack("poison pills: NaN, wrong shapes, huge numbers", list(self._pills()))

    def _makers(self) -> dict[str, Callable[[], Iterator[VerifiedSkill]]]:
        makers: dict[str, Callable[[], Iterator[VerifiedSkill]]] = {
            f"{VICTIMS} exact copies": self._copies,
            f"{VICTIMS} exact copies, each by another author": self._copies_by_many,
            "a copy whose id is ground to sort first": self._ground,
        }
        for scale in SCALES:
            makers[f"copies scaled by {scale}"] = lambda scale=scale: self._changed(  # type: ignore[misc]
                lambda anchor: with_means(anchor, scale * anchor.class_means())
            )
        makers["copies with half of the classes"] = lambda: self._changed(
            lambda anchor: with_classes(anchor, range(0, anchor.n_classes, 2))
        )
        makers["copies in 8 bits per number"] = lambda: self._changed(lambda anchor: anchor)
        for way in FEW_BITS if self._means.shape[1] % 8 == 0 else ():  # others cannot be packed
            makers[f"copies in {way.bits} bit{'s'[: way.bits - 1]} per number"] = (
                lambda way=way: self._changed(lambda anchor: pack_moments(anchor, way))  # type: ignore[misc]
            )
        makers["copies moved along the largest variance"] = lambda: self._changed(_moved)
        makers["copies with a narrow covariance"] = lambda: self._changed(_narrow)
        makers["sharp heads between two tasks"] = self._sharp
        for number in ONE_CLASS:
            makers[f"one-class copies: {number}"] = lambda n=number: self._one_class(n)  # type: ignore[misc]
        makers["the grand mean of all classes"] = self._grand_mean
        makers["popular directions"] = self._popular
        makers["the largest covariance: 1"] = lambda: self._wide(1)
        makers["the largest covariance: 24"] = lambda: self._wide(24)
        makers[f"a flood of {self._flood_size} tiny skills"] = self._flood
        makers[f"{self._many:,} classes"] = self._many_classes
        makers["rotated labels under a stolen name"] = self._rotated
        makers["copies under look-alike names"] = self._look_alikes
        makers["a harmless skill that becomes a copy"] = self._sleeper
        makers["two versions at once (equivocation)"] = self._equivocation
        makers["denormal numbers"] = self._denormal
        near = NearAttacker(self._tasks, self._victims, self._random)
        return makers | near.makers()

    def _copies(self) -> Iterator[VerifiedSkill]:
        for number, victim in enumerate(self._victims):
            yield copy_of(victim.skill.skill, task=f"copy {number}")

    def _copies_by_many(self) -> Iterator[VerifiedSkill]:
        for number, victim in enumerate(self._victims):
            yield copy_of(victim.skill.skill, author_key(f"sybil {number}"), task=f"copy {number}")

    def _ground(self) -> Iterator[VerifiedSkill]:
        for number in count():
            copied = copy_of(self._victims[0].skill.skill, task="ground", cost_macs=number)
            if copied.id.startswith(GROUND):
                yield copied
                return

    def _changed(self, change: Callable[[MomentsAnchor], TaskAnchor]) -> Iterator[VerifiedSkill]:
        for number, victim in enumerate(self._victims):
            yield forge(victim.skill.skill, change(victim.anchor), f"changed {number}")

    def _sharp(self) -> Iterator[VerifiedSkill]:
        for number, victim in enumerate(self._victims):
            other = self._tasks[number % len(self._tasks)].means()
            towards = other[np.arange(victim.anchor.n_classes) % len(other)]
            mixed = with_means(victim.anchor, 0.6 * victim.means() + 0.4 * towards)
            sharp = dataclasses.replace(mixed, head_scales=SHARP * mixed.head_scales)
            yield forge(victim.skill.skill, sharp, f"sharp {number}")

    def _one_class(self, number: int) -> Iterator[VerifiedSkill]:
        rows = [(task, c) for task in self._victims for c in range(task.anchor.n_classes)]
        for index in np.linspace(0, len(rows) - 1, min(number, len(rows))).astype(int):
            task, label = rows[index]
            yield forge(task.skill.skill, with_classes(task.anchor, [label]), f"one {index}")

    def _grand_mean(self) -> Iterator[VerifiedSkill]:
        for number, victim in enumerate(self._victims):
            anchor = with_means(victim.anchor, self._grand)
            yield forge(victim.skill.skill, anchor, f"grand mean {number}")

    def _popular(self) -> Iterator[VerifiedSkill]:
        """Class means along the directions in which the classes of all tasks differ most."""
        centred = self._means - self._grand
        axes = np.linalg.svd(centred, full_matrices=False)[2][:25]
        steps = (centred @ axes.T).std(axis=0)[:, None] * axes
        means = np.concatenate([self._grand + 1.4 * steps, self._grand - 1.4 * steps])
        base = self._victims[0]
        yield forge(base.skill.skill, with_means(base.anchor, means), "popular")
        levels, _ = quantise_rows(axes.astype(np.float32))
        shape = {"directions": levels, "variances": (steps**2).sum(axis=1).astype(np.float32)}
        wide = with_means(base.anchor, self._grand, **shape)
        yield forge(base.skill.skill, wide, "popular and wide")

    def _wide(self, number: int) -> Iterator[VerifiedSkill]:
        for index in range(number):
            task = self._tasks[index % len(self._tasks)]
            yield forge(task.skill.skill, with_spread(task.anchor, WIDEST), f"wide {index}")

    def _flood(self) -> Iterator[VerifiedSkill]:
        base = self._victims[0]
        for number in range(self._flood_size):
            key = author_key(f"flood {number % FLOOD_AUTHORS}")
            anchor = with_means(base.anchor, self._mixtures(1))
            yield forge(base.skill.skill, anchor, f"tiny {number}", key)

    def _many_classes(self) -> Iterator[VerifiedSkill]:
        base = self._victims[0]
        anchor = with_means(base.anchor, self._mixtures(self._many))
        yield forge(base.skill.skill, anchor, "many classes")

    def _mixtures(self, number: int) -> np.ndarray:
        """Return (number, D) means between two classes of any tasks."""
        one, other = self._random.integers(len(self._means), size=(2, number))
        return np.asarray(0.6 * self._means[one] + 0.4 * self._means[other])

    def _rotated(self) -> Iterator[VerifiedSkill]:
        for victim in self._victims:
            names = victim.skill.skill.card.classes
            yield copy_of(victim.skill.skill, classes=(*names[1:], names[0]))

    def _look_alikes(self) -> Iterator[VerifiedSkill]:
        for victim in self._victims:
            yield copy_of(victim.skill.skill, task=victim.name.translate(CYRILLIC))

    def _sleeper(self) -> Iterator[VerifiedSkill]:
        victim = self._victims[0]
        base = victim.skill.skill
        harmless = with_means(victim.anchor, self._random.normal(size=self._grand.shape))
        first = forge(base, harmless, "sleeper")
        yield first
        yield copy_of(base, task="sleeper", replaces=first.id)

    def _equivocation(self) -> Iterator[VerifiedSkill]:
        victim = self._victims[0]
        base = victim.skill.skill
        harmless = with_means(victim.anchor, self._random.normal(size=self._grand.shape))
        first = forge(base, harmless, "two-faced")
        yield first
        for scale in (1.0, 1.1):
            anchor = with_means(victim.anchor, scale * victim.means())
            yield forge(base, anchor, "two-faced", replaces=first.id)

    def _denormal(self) -> Iterator[VerifiedSkill]:
        victim = self._victims[0]
        for name in ("mean_scales", "variances", "rest", "head_scales"):
            tiny = np.full_like(getattr(victim.anchor, name), 1e-45)
            anchor = dataclasses.replace(victim.anchor, **{name: tiny})
            yield forge(victim.skill.skill, anchor, f"denormal {name}")

    def _replay(self) -> Attack:
        """The author improved a task; the attacker sends the old version again."""
        victim = self._victims[0]
        old = victim.skill
        card = dataclasses.replace(old.skill.card, replaces=old.id)
        new = sign(Skill(card, old.skill.tensors), victim.key)
        return Attack("replay of an old version", [old.data], before=[new.data])

    def _pills(self) -> Iterator[bytes]:
        data = self._victims[0].skill.data
        yield data[:-1]
        yield data + b"\0"
        start = 8 + int.from_bytes(data[:8], "little")
        yield data[:start] + b"\xff" * (len(data) - start)  # NaN in every float32
        for value in (1e30, np.inf):
            yield data[:start] + np.float32(value).tobytes() * ((len(data) - start) // 4)
        yield data[:start].replace(b'"shape":[', b'"shape":[1') + data[start:]
        yield b"\x80\x04K*." + data
        yield bytes(64)


def _moved(anchor: MomentsAnchor) -> MomentsAnchor:
    """Move class means so far that their directions differ as those of honest tasks do."""
    means, axis = anchor.class_means(), anchor.roots()[0]
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    return with_means(anchor, means + 0.45 * lengths * axis / np.linalg.norm(axis))


def _narrow(anchor: MomentsAnchor) -> MomentsAnchor:
    return dataclasses.replace(anchor, rest=anchor.rest / 2)
