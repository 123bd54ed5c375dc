"""Windows and references, checked in one place for every function that explains them."""

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from clusterwhy.errors import MethodError, ShapeError
from clusterwhy.propagation.plain_network import plain_network
from clusterwhy.propagation.targets import Target, as_scalars, with_target
from clusterwhy.types import FloatArray, IntArray

BATCH_SIZE = 64
FLOATS = (torch.float32, torch.float64)


def as_windows(windows: FloatArray | torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Windows (window, channel, time) as a tensor, of a type if one is given.

    Raises:
        ShapeError: they have another shape, are none, are not finite float32 or float64, or do not fit into the type.
    """
    found = _as_tensor(windows)
    if found.ndim != 3 or not len(found) or found.dtype not in FLOATS:
        raise ShapeError(
            "expected windows (window >= 1, channel, time) of float32 or float64, got "
            f"{tuple(found.shape)} {_name(found.dtype)}"
        )
    rounded = found if dtype is None else found.to(dtype)
    if rounded is not found and bool((rounded.isinf() & found.isfinite()).any()):
        raise ShapeError(
            f"windows hold values up to {float(found.abs().max()):.3g}, too great for the {_name(rounded.dtype)} of "
            "the network: scale them as in training"
        )
    return _finite("windows", rounded)


def _as_tensor(values: Any) -> torch.Tensor:
    """An array in any memory layout, or a tensor, as a tensor that gradients can be taken for."""
    if isinstance(values, torch.Tensor):
        return values.clone() if values.is_inference() else values
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise ShapeError(f"expected windows of float32 or float64, got {type(values).__name__} of {array.dtype}")
    plain = array.flags.writeable and array.dtype.isnative and all(step >= 0 for step in array.strides)
    native = array if plain else array.astype(array.dtype.newbyteorder("="), order="C")
    return torch.as_tensor(native if native.dtype != np.longdouble else native.astype(np.float64))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def dtype_of(network: nn.Module) -> torch.dtype | None:
    """The type of a network's weights, that its windows must have; None where it has none.

    Raises:
        MethodError: they are smaller than float32.
    """
    tensors = itertools.chain(network.parameters(), network.buffers())
    found = next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), None)
    if found not in (None, *FLOATS):
        raise MethodError(
            f"the network's weights are {_name(found)}, in which sums of relevance overflow: pass network.float()"
        )
    return found


def device_of(network: nn.Module) -> torch.device:
    """Where a network computes."""
    tensors = itertools.chain(network.parameters(), network.buffers())
    return next((tensor.device for tensor in tensors), torch.device("cpu"))


@contextlib.contextmanager
def own_modes() -> Iterator[None]:
    """Gradients and full precision, whatever modes the caller is in: no_grad, inference mode, autocast."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


def checked_inputs(
    network: nn.Module, windows: FloatArray | torch.Tensor, target: Target
) -> tuple[nn.Module, torch.Tensor]:
    """A plain copy of a network with its target, and windows (window, channel, time) of its type.

    Raises:
        MethodError: the network cannot be explained by any method (`plain_network`, `dtype_of`).
        ShapeError: the windows, or the target, which is tried on two of them.
    """
    whole = with_target(plain_network(network), target)
    data = as_windows(windows, dtype_of(whole))
    with torch.no_grad():
        output = whole(data[:2].to(device_of(whole), copy=True))
    if isinstance(output, torch.Tensor) and output.ndim and len(output) == len(data[:2]):
        output = output[:1].expand(len(data), *output.shape[1:])
    as_scalars(output, len(data))
    return whole, data


def predicted_units(network: nn.Module, windows: FloatArray | torch.Tensor) -> IntArray | None:
    """(window,) the unit with the highest value of an output (window, unit); None where the output has another shape.

    Raises:
        MethodError: the network cannot be explained by any method.
        ShapeError: the windows.
    """
    plain = plain_network(network)
    data = as_windows(windows, dtype_of(plain))
    with torch.no_grad():
        outputs = [plain(part.to(device_of(plain), copy=True)) for part in data.split(BATCH_SIZE)]
    first = outputs[0]
    if not isinstance(first, torch.Tensor) or first.ndim != 2 or first.shape[1] < 2 or not first.is_floating_point():
        return None
    found: IntArray = torch.cat(outputs).argmax(dim=1).cpu().numpy()
    return found


def require_shape(windows: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Windows (window, channel, time) as they are.

    Raises:
        ShapeError: they have other channels or samples than those that something was prepared for.
    """
    if windows.shape[1:] != shape:
        raise ShapeError(
            f"expected windows (window, channel, time) of {tuple(shape)} channels and samples, as in the example, got "
            f"{tuple(windows.shape)}: a traced network knows their sizes; prepare another explainer for these"
        )
    return windows


def as_references(references: FloatArray | torch.Tensor, windows: torch.Tensor) -> torch.Tensor:
    """References (reference, channel, time), perhaps none, as a tensor of the type of the windows.

    Raises:
        ShapeError: they have another shape, or other channels or samples than the windows, or are not finite.
    """
    found = _as_tensor(references).to(windows.dtype)
    if found.ndim != 3 or found.shape[1:] != windows.shape[1:]:
        raise ShapeError(
            f"expected references (reference, channel, time) like windows {tuple(windows.shape)}, got "
            f"{tuple(found.shape)}"
        )
    return _finite("references", found)


def as_references_of_each(references: FloatArray | torch.Tensor, windows: torch.Tensor) -> torch.Tensor:
    """References (window, reference, channel, time) of each window, or (reference, channel, time) for all of them.

    Raises:
        ShapeError: they have another shape, other channels or samples than the windows, are none, or are not finite.
    """
    found = _as_tensor(references).to(windows.dtype)
    fits = found.ndim == 3 or (found.ndim == 4 and len(found) == len(windows))
    if not fits or found.shape[-2:] != windows.shape[1:] or not found.shape[-3]:
        raise ShapeError(
            "expected references (reference >= 1, channel, time) for all windows or (window, reference >= 1, channel, "
            f"time) like windows {tuple(windows.shape)}, got {tuple(found.shape)}"
        )
    return _finite("references", found)


def _finite(name: str, values: torch.Tensor) -> torch.Tensor:
    broken = ~values.isfinite().flatten(1).all(dim=1)
    if broken.any():
        first = int(broken.nonzero()[0, 0])
        raise ShapeError(
            f"expected finite {name}, got NaN or infinite values in {int(broken.sum())} of {len(values)} (the first is "
            f"number {first}): fill or leave out what is missing"
        )
    return values
