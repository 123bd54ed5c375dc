"""The explained scalar as a fast function of windows, for the many evaluations that faithfulness takes."""

import hashlib
import itertools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from clusterwhy.attribution.base import AttributionTask, Attributor, BatchAttributor
from clusterwhy.types import FloatArray

if TYPE_CHECKING:
    from torch import nn

    from clusterwhy.propagation.steps import Canonical

SMALLEST_BATCH = 8  # fewer windows round otherwise than many: torch multiplies small matrices by other kernels
TargetFunction = Callable[[FloatArray], FloatArray]  # (window, channel, time) -> (window,)


def target_function(network: "nn.Module", example: FloatArray) -> TargetFunction:
    """The target of a network, computed by the engine's forward pass, which is faster than the network's own.

    Args:
        network: (window, channel, time) -> (window,) or (window, feature), in evaluation mode.
        example: (window, channel, time) one window or more.
    """
    import torch

    from clusterwhy.propagation.engine import BATCH_SIZE, Engine
    from clusterwhy.propagation.inputs import device_of

    device = device_of(network)
    engine = Engine(canonical_network(network, example))

    def target(batch: FloatArray) -> FloatArray:
        parts = torch.from_numpy(batch).tensor_split(-(-len(batch) // BATCH_SIZE))  # of nearly equal size
        found: FloatArray = torch.cat([engine.run(part.to(device)).output.cpu() for part in parts]).numpy()
        return found

    return target


def canonical_network(network: "nn.Module", example: FloatArray) -> "Canonical":
    """The canonical form of a network, traced with windows (window, channel, time) of any number."""
    import torch

    from clusterwhy.propagation.canonical import canonize
    from clusterwhy.propagation.inputs import device_of

    return canonize(network, torch.from_numpy(example[:1]).to(device_of(network)))


def with_canonical_network(task: AttributionTask, attributor: Attributor, example: FloatArray) -> AttributionTask:
    """The same task with its network in canonical form, so that it is traced once for several explanations.

    Unchanged if the attributor needs the network as it is: for its gradients and layers, or for zennit's hooks.

    Args:
        example: (window, channel, time) one window or more.
    """
    if task.canonizer != "auto" or isinstance(attributor, BatchAttributor):
        return task
    return replace(task, network=canonical_network(task.network, example))


class TargetCache:
    """Targets of windows that were computed before; beyond `max_windows` the least recently used are dropped.

    Rankings of a few channels replace the same ones again and again, and the jobs of a sweep evaluate the same windows:
    z-score and random rankings do not depend on the composite. A copy sent to another process starts empty.
    """

    def __init__(self, max_windows: int = 100_000) -> None:
        self.max_windows = max_windows
        self._targets: OrderedDict[bytes, float] = OrderedDict()
        self._encoders: dict[tuple[bytes, tuple[int, ...], str], TargetFunction] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return TargetCache, (self.max_windows,)

    def __len__(self) -> int:
        return len(self._targets)

    def function(self, network: "nn.Module", example: FloatArray) -> TargetFunction:
        """`target_function` that looks up each window first."""
        target, of_network = self._target(network, example), fingerprint(network)

        def cached(batch: FloatArray) -> FloatArray:
            keys = [hashlib.blake2b(of_network + _described(window)).digest() for window in batch]
            unknown = {key: i for i, key in enumerate(keys) if key not in self._targets}
            if unknown:
                # some twice, so that a target does not depend on which others were known
                asked = np.resize(list(unknown.values()), max(len(unknown), SMALLEST_BATCH))
                self._targets.update(zip(unknown, target(batch[asked]), strict=False))
            for key in keys:
                self._targets.move_to_end(key)
            found = np.array([self._targets[key] for key in keys])
            while len(self._targets) > self.max_windows:
                self._targets.popitem(last=False)
            return found

        return cached

    def _target(self, network: "nn.Module", example: FloatArray) -> TargetFunction:
        """The target of a network; the encoder that the targets of several clusters share is traced once."""
        import torch
        from torch import nn

        from clusterwhy.propagation.inputs import device_of

        if not isinstance(network, nn.Sequential) or len(network) < 2:
            return target_function(network, example)
        encoder, head, device = network[0], network[1:], device_of(network)
        key = fingerprint(encoder), example.shape[1:], str(device)
        if key not in self._encoders:
            self._encoders[key] = target_function(encoder, example)
        encode = self._encoders[key]

        def target(batch: FloatArray) -> FloatArray:
            with torch.no_grad():
                found: FloatArray = head(torch.from_numpy(encode(batch)).to(device)).cpu().numpy()
            return found

        return target


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
