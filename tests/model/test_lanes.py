"""Lanes run jobs in parallel, in order, and without an effect on latents."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from teachmesh.model.backbone_registry import add_timm
from teachmesh.model.build_backbone import embedded_backbone
from teachmesh.model.lanes import Lanes
from tests.model.nets import needs_timm, random_timm, state_sha256

if TYPE_CHECKING:
    from teachmesh.model.backbone import Backbone


def test_results_come_in_the_order_of_the_jobs_even_if_the_first_is_the_last_to_end() -> None:
    """The first job waits until the third has run."""
    third = threading.Event()

    def job(number: int) -> Callable[[], int]:
        def work() -> int:
            if number == 2:
                third.set()
            if number == 0:
                assert third.wait(100)
            return number

        return work

    with Lanes(2) as lanes:
        assert list(lanes.run(job(i) for i in range(20))) == list(range(20))


def test_every_lane_has_one_thread_and_the_caller_keeps_its_own() -> None:
    """The number of threads does not change for the rest of the process."""
    before = torch.get_num_threads()
    with Lanes(before) as lanes:
        assert set(lanes.run(torch.get_num_threads for _ in range(8))) == {1}
        assert torch.get_num_threads() == before
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert found == [before]


def test_lanes_share_the_threads_of_a_large_machine() -> None:
    """Five threads on two lanes give two each; more lanes than threads give one each."""
    before = torch.get_num_threads()
    torch.set_num_threads(5)
    try:
        with Lanes(2) as lanes:
            assert set(lanes.run(torch.get_num_threads for _ in range(8))) == {2}
        with Lanes(7) as lanes:
            assert set(lanes.run(torch.get_num_threads for _ in range(20))) == {1}
        with Lanes() as lanes:
            assert lanes.count == 5
    finally:
        torch.set_num_threads(before)


def test_lanes_over_an_accelerator_run_in_the_calling_thread() -> None:
    """Each job runs only when the consumer takes its result."""
    ran: list[int] = []

    def job(number: int) -> Callable[[], threading.Thread]:
        def work() -> threading.Thread:
            ran.append(number)
            return threading.current_thread()

        return work

    with Lanes.over(torch.device("meta")) as lanes:
        assert lanes.count == 0
        results = lanes.run(job(i) for i in range(3))
        assert next(results) is threading.current_thread()
        assert ran == [0]
        assert set(results) == {threading.current_thread()}
    with Lanes.over(torch.device("cpu")) as lanes:
        assert lanes.count >= 1
        assert threading.current_thread() not in lanes.run(job(i) for i in range(3))


def test_a_single_job_runs_in_the_calling_thread_with_the_threads_of_a_lane() -> None:
    """Latents of one image depend on the number of threads, so it must be that of a lane."""
    before = torch.get_num_threads()
    try:
        for threads, share in ((1, 1), (2, 1), (8, 1), (19, 2)):
            torch.set_num_threads(threads)
            with Lanes.for_jobs(1) as lanes:
                found = list(lanes.run([lambda: (threading.get_ident(), torch.get_num_threads())]))
            assert found == [(threading.get_ident(), share)]
            assert torch.get_num_threads() == threads
        torch.set_num_threads(2)
        with Lanes.for_jobs(2) as lanes:
            assert threading.get_ident() not in lanes.run([threading.get_ident] * 2)
    finally:
        torch.set_num_threads(before)


def test_an_error_in_a_job_reaches_the_caller() -> None:
    """It is raised in the order of the jobs, and the lanes end."""

    def broken() -> int:
        raise OSError("no such disk")

    with Lanes(1) as lanes:
        results = lanes.run([lambda: 1, broken, lambda: 3])
        assert next(results) == 1
        with pytest.raises(OSError, match="no such disk"):
            next(results)


def test_the_number_of_lanes_changes_no_bit_of_the_latents() -> None:
    """Several threads run one network at once, each on its own batches."""
    _check_lanes(embedded_backbone("embedded"))


@needs_timm
def test_lanes_change_no_bit_where_hooks_collect_the_taps(tmp_path: Path) -> None:
    """Hooks store taps during a pass, so every thread needs its own modules."""
    weights = random_timm("mobilenetv3_small_050", tmp_path, half=True)
    small: dict[str, Any] = {"size": 32, "dim": 24, "reference_images": 40}
    backbone = add_timm(tmp_path, "mobilenetv3_small_050", weights=weights, **small)
    _check_lanes(backbone)


def _check_lanes(backbone: Backbone) -> None:
    shape = (12, 3, backbone.size, backbone.size)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    batches = images.split(2)
    before = state_sha256(backbone)
    count = torch.get_num_threads()  # or more: one thread per lane
    with Lanes(count) as lanes:
        few = list(lanes.run(lambda b=b: backbone.embed(b) for b in batches))  # type: ignore[misc]
    with Lanes(count + 2) as lanes:
        many = list(lanes.run(lambda b=b: backbone.embed(b) for b in batches))  # type: ignore[misc]
    for one, other in zip(few, many, strict=True):
        assert (one.last == other.last).all()
        assert (one.multi == other.multi).all()
    assert state_sha256(backbone) == before
