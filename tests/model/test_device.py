"""A name gives its device, or an error."""

from __future__ import annotations

import pytest
import torch

from teachmesh.errors import DeviceError
from teachmesh.model.build_backbone import choose_device

CPU = torch.device("cpu")


def test_the_cpu_is_always_there() -> None:
    """`auto` chooses it if there is no accelerator."""
    assert choose_device("cpu") == CPU
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        assert choose_device("auto") == CPU


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "CPU", "", "cpu:0"])
def test_an_unknown_device_is_an_error(name: str) -> None:
    """The message lists the valid names."""
    with pytest.raises(DeviceError, match="expected a device out of auto, cpu, cuda"):
        choose_device(name)


def test_a_missing_device_is_never_replaced_by_another_one() -> None:
    """No machine has a hundred GPUs."""
    with pytest.raises(DeviceError, match="expected the device 'cuda:99'"):
        choose_device("cuda:99")
