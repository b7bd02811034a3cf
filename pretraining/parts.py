"""Training steps computed in parts; results do not depend on the number of threads.

A batch is cut into parts of fixed size. Each part runs forward and backward in one thread,
with its own batch statistics. Gradients are added in the order of the parts. The number of
threads therefore changes only the speed. If the system pauses a thread, no layer in another
thread waits for it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn


class Parts:
    """Replicas of a network that share its parameters but have their own batch statistics.

    Args:
        net: the network to train; its gradients and statistics are updated.
        parts: number of parts of a batch.
        workers: number of threads.
    """

    def __init__(self, net: nn.Module, parts: int, workers: int) -> None:
        self.net = net
        self.parameters = [p for p in net.parameters() if p.requires_grad]
        self.replicas = [_replica(net) for _ in range(parts)]
        self._pool = ThreadPoolExecutor(workers, initializer=_single_threaded)

    def step(self, loss_of_part: Callable[[nn.Module, int], Tensor]) -> float:
        """Set the network's gradients to their mean over the parts, and average the statistics.

        Args:
            loss_of_part: called with (replica, part); returns the mean loss over the part's images.

        Returns:
            The mean loss over all parts.
        """
        jobs = [
            self._pool.submit(self._gradients, replica, loss_of_part, number)
            for number, replica in enumerate(self.replicas)
        ]
        found = [job.result() for job in jobs]
        share = 1 / len(found)
        for i, parameter in enumerate(self.parameters):
            parameter.grad = _added([gradients[i] for _, gradients in found]).mul_(share)
        self._average_statistics()
        return sum(loss for loss, _ in found) * share

    def _gradients(
        self, replica: nn.Module, loss_of_part: Callable[[nn.Module, int], Tensor], number: int
    ) -> tuple[float, tuple[Tensor, ...]]:
        loss = loss_of_part(replica, number)
        # Without a teacher, the gradients of the teacher's classifier are zero.
        gradients = torch.autograd.grad(
            loss, self.parameters, allow_unused=True, materialize_grads=True
        )
        return float(loss.detach()), gradients

    @torch.no_grad()
    def _average_statistics(self) -> None:
        """Give all replicas the same statistics, because a saved state has only one set."""
        for kept, *parts in zip(
            self.net.buffers(), *(replica.buffers() for replica in self.replicas), strict=True
        ):
            if kept.is_floating_point():
                kept.copy_(_added(parts).mul_(1 / len(parts)))
            else:
                kept.copy_(parts[0])
            for part in parts:
                part.copy_(kept)

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown()


def _replica(net: nn.Module) -> nn.Module:
    replica = copy.deepcopy(net)
    for module, original in zip(replica.modules(), net.modules(), strict=True):
        for name, parameter in original._parameters.items():
            module._parameters[name] = parameter
    return replica


def _added(tensors: Sequence[Tensor]) -> Tensor:
    total = tensors[0].clone()
    for tensor in tensors[1:]:
        total += tensor
    return total


def _single_threaded() -> None:
    # The number of OpenMP threads is a property of the calling thread.
    torch.set_num_threads(1)
