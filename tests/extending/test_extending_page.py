"""The modules on docs/extending.md and two more pages work as packages; other blocks run."""

from __future__ import annotations

import re
import runpy
import time
from pathlib import Path

import pytest
import torch

from teachmesh.agent import Agent
from teachmesh.agent.on_mesh.node import BankInventory
from teachmesh.errors import BackboneError, ConfigError
from teachmesh.model.backbone_cards import export_backbone, licence_of
from teachmesh.model.backbone_registry import add_timm, import_backbone
from teachmesh.sharing.gossip import Gossip
from teachmesh.sharing.own_transport import make_transport
from teachmesh_lab.baselines.baseline_nets import build_net
from teachmesh_lab.bench.baseline_options import with_defaults
from teachmesh_lab.bench.starting_nets import starting_net
from tests.extending.conftest import ROOT, See, hide, write_package

PAGES = ("extending.md", "own_mapper.md", "own_baseline.md")
PAGE = "".join((ROOT / "docs" / page).read_text("utf-8") for page in PAGES)
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
MODULES = {
    name[1]: block for block in BLOCKS if (name := re.match(r"# (\w+)\.py\n", block)) is not None
}
ENTRIES = {
    "teachmesh.backbones": {"tiny-net": "tiny_network:TINY"},
    "teachmesh.transports": {"loopback": "loopback_transport:make"},
}
FEW = {"dim": 24, "reference_images": 33}


@pytest.fixture
def package(see: See, tmp_path: Path) -> None:
    """The modules of the page, installed with the entry points that it names."""
    for objects in ENTRIES.values():
        for name, target in objects.items():
            assert f'`{name} = "{target}"`' in PAGE
    write_package(tmp_path / "page", "of-the-page", ENTRIES, **MODULES)
    see(tmp_path / "page")


def test_blocks_that_are_no_modules_run(
    examples: Path, see: See, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The laws hold, and the baseline finds the classes."""
    see(examples)
    scripts = [block for block in BLOCKS if block not in MODULES.values()]
    assert len(scripts) == 2
    for number, block in enumerate(scripts):
        script = tmp_path / f"block_{number}.py"
        script.write_text(block)
        runpy.run_path(str(script))
    output = capsys.readouterr().out
    assert "duplicates_leave_no_trace holds" in output
    assert "final accuracy: 1.00" in output


@pytest.mark.usefixtures("package")
def test_a_network_of_a_package_becomes_a_backbone(tmp_path: Path, warm: Path) -> None:
    """Tasks are learned on it; the file of an export needs the package, too."""
    home = tmp_path / "home"
    added = add_timm(Agent(home).home.backbones, "tiny-net", **FEW)
    assert (added.last_dim, added.describe()["taps"]) == (24, ["first", "last"])
    agent = Agent(home, backbone="tiny-net")
    assert licence_of(agent.home.backbones, "tiny-net") == "MIT"
    assert agent.learn(warm).validation_accuracy is not None
    assert agent.backbone.fingerprint == added.fingerprint
    data = export_backbone(agent.home.backbones, "tiny-net")
    folder = Agent(tmp_path / "other").home.backbones
    assert import_backbone(folder, data, "copy").fingerprint == added.fingerprint
    with pytest.raises(BackboneError, match="expected no --option with 'tiny-net'"):
        add_timm(folder, "tiny-net", options={"width": "2"}, **FEW)
    with pytest.raises(BackboneError, match="expected no --weights or --licence with 'tiny-net'"):
        add_timm(folder, "tiny-net", licence="MIT", **FEW)


@pytest.mark.usefixtures("package")
def test_a_network_of_a_package_is_trained_by_baselines(tmp_path: Path) -> None:
    """Before the first step, its latents are those of the frozen backbone."""
    folder = Agent(tmp_path / "home").home.backbones
    backbone = add_timm(folder, "tiny-net", **FEW)
    found = starting_net(
        "ewc", with_defaults({"net": "backbone", "size_px": 0}), folder, "tiny-net"
    )
    assert (found.name, found.size_px) == ("tiny-net", 32)
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    trunk = build_net(found.factory, 0)
    assert all(parameter.requires_grad for parameter in trunk.parameters())
    latents = trunk(images.float() / 255).detach().numpy()
    assert latents == pytest.approx(backbone.embed(images).last, abs=1e-5)


def test_a_backbone_file_needs_the_package_of_its_network(
    see: See, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sentence names the network; the weights alone are not enough."""
    folder = Agent(tmp_path / "home").home.backbones
    with monkeypatch.context():
        write_package(tmp_path / "page", "of-the-page", ENTRIES, **MODULES)
        see(tmp_path / "page")
        add_timm(folder, "tiny-net", **FEW)
        data = export_backbone(folder, "tiny-net")
    hide(monkeypatch, tmp_path / "page")
    with pytest.raises(ConfigError, match="the backbone 'tiny-net', none is installed; install"):
        import_backbone(folder, data, "copy")


@pytest.mark.usefixtures("package")
def test_agents_share_over_a_transport_of_a_package(tmp_path: Path, warm: Path) -> None:
    """The skill arrives with equal bytes, checked as over any other transport."""
    alice, bob = (Agent(tmp_path / name) for name in ("alice", "bob"))
    learned = alice.learn(warm, allow_few=True)
    sharing = [
        Gossip(BankInventory(agent), make_transport("loopback", agent.id), agent.key, alias=name)
        for name, agent in (("alice", alice), ("bob", bob))
    ]
    for gossip in sharing:
        gossip.start()
    try:
        deadline_s = time.monotonic() + 60
        while bob.digest() != alice.digest() and time.monotonic() < deadline_s:
            time.sleep(0.02)
    finally:
        for gossip in sharing:
            gossip.close()
    assert bob.read(learned.skill_id) == alice.read(learned.skill_id)
