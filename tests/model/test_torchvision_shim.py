"""The shim makes timm importable if torchvision was built for another torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from teachmesh.model.timm_weights import ensure_torchvision
from tests.model.nets import needs_timm


@needs_timm
def test_on_a_working_torchvision_nothing_is_done() -> None:
    """The second call finds a torchvision that imports."""
    ensure_torchvision()
    assert ensure_torchvision() is False
    import torchvision.transforms

    assert torchvision.transforms.Resize(3)


@pytest.mark.usefixtures("forked_programs")
def test_another_failure_of_torchvision_is_not_hidden(tmp_path: Path) -> None:
    """Only the known error is handled; here torchvision fails for another reason."""
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('the disk is on fire')")
    code = "from teachmesh.model.timm_weights import ensure_torchvision as e; e()"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stderr.strip().endswith("RuntimeError: the disk is on fire")
