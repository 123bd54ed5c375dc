"""The explained scalar as a fast function of windows, for the many evaluations that faithfulness takes."""

import hashlib
import itertools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clusterwhy.attribution.base import AttributionTask, Attributor, BatchAttributor
from clusterwhy.types import FloatArray

if TYPE_CHECKING:
    from torch import nn

    from clusterwhy.propagation.steps import Canonical

TargetFunction = Callable[[FloatArray], FloatArray]  # (window, channel, time) -> (window,)


def target_function(network: "nn.Module", example: FloatArray) -> TargetFunction:
    """The target of a network, computed by the engine's forward pass, which is faster than the network's own.

    Args:
        network: (window, channel, time) -> (window,), in evaluation mode.
        example: (window, channel, time) one window or more.
    """
    import torch

    from clusterwhy.propagation.engine import Engine

    device = next(network.parameters()).device
    engine = Engine(_canonical(network, example))

    def target(batch: FloatArray) -> FloatArray:
        found: FloatArray = engine.run(torch.from_numpy(batch).to(device)).output.cpu().numpy()
        return found

    return target


def with_canonical_network(task: AttributionTask, attributor: Attributor, example: FloatArray) -> AttributionTask:
    """The same task with its network in canonical form, so that it is traced once for several explanations.

    Unchanged if the attributor needs the network as it is: for its gradients and layers, or for zennit's hooks.

    Args:
        example: (window, channel, time) one window or more.
    """
    if task.canonizer != "auto" or isinstance(attributor, BatchAttributor):
        return task
    return replace(task, network=_canonical(task.network, example))


class TargetCache:
    """Targets of batches that were computed before; beyond `max_batches` the least recently used are dropped.

    The jobs of a sweep evaluate the same batches again: z-score and random rankings do not depend on the composite.
    A copy sent to another process starts empty.
    """

    def __init__(self, max_batches: int = 10_000) -> None:
        self.max_batches = max_batches
        self._targets: OrderedDict[bytes, FloatArray] = OrderedDict()

    def __reduce__(self) -> tuple[Any, ...]:
        return TargetCache, (self.max_batches,)

    def __len__(self) -> int:
        return len(self._targets)

    def function(self, network: "nn.Module", example: FloatArray) -> TargetFunction:
        """`target_function` that looks up each batch first."""
        target, of_network = target_function(network, example), fingerprint(network)

        def cached(batch: FloatArray) -> FloatArray:
            key = hashlib.blake2b(of_network + _described(batch)).digest()
            if key not in self._targets:
                self._targets[key] = target(batch)
            self._targets.move_to_end(key)
            if len(self._targets) > self.max_batches:
                self._targets.popitem(last=False)
            return self._targets[key]

        return cached


def _canonical(network: "nn.Module", example: FloatArray) -> "Canonical":
    import torch

    from clusterwhy.propagation.canonical import canonize

    return canonize(network, torch.from_numpy(example[:1]).to(next(network.parameters()).device))


def fingerprint(network: "nn.Module") -> bytes:
    """A digest of everything that a network computes with: its modules, their plain attributes and tensors."""
    digest = hashlib.blake2b()
    for name, module in network.named_modules():
        plain = {k: v for k, v in vars(module).items() if isinstance(v, bool | int | float | str | tuple)}
        digest.update(repr((name, type(module), sorted(plain.items()))).encode())
    for name, tensor in itertools.chain(network.named_parameters(), network.named_buffers()):
        digest.update(name.encode() + _described(tensor.detach().cpu().numpy()))
    return digest.digest()


def _described(values: FloatArray) -> bytes:
    return repr((values.dtype.str, values.shape)).encode() + values.tobytes()
