"""The modules of an encoder: what each gives for one window, its parameters, and the samples that one value sees."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import torch
from torch import nn

log = logging.getLogger(__name__)
LONGEST = 512  # samples of a window whose receptive fields are found: the network reads one window for each of them
TOGETHER = 32  # windows
WHOLE = "encoder"  # the network itself, which has no name
Hook = Callable[[str, torch.Tensor], None]


@dataclass
class _Module:
    """A module, and what is found out about it.

    Attributes:
        shape: of what it gives for one window; None where it never runs, or gives nothing for each window.
        first, last: (value,) samples that each value of its output sees; where it sees none, `last` is -1.
        lost: a value sees a sample without a mark to show it.
    """

    module: nn.Module
    shape: tuple[int, ...] | None = None
    first: torch.Tensor | None = None
    last: torch.Tensor | None = None
    lost: bool = False

    @property
    def field(self) -> int | None:
        """Samples that one value sees at most."""
        if self.lost or self.first is None or self.last is None:
            return None
        return int((self.last - self.first + 1).clamp(min=0).max())


def module_table(encoder: nn.Module, n_channels: int, length: int) -> pd.DataFrame:
    """One row for each module without parts or with parameters of its own, in the order of the network.

    Receptive fields are found by marking samples as not a number, one at a time: what comes out as not a number sees
    the sample. Weights play no part, so a sample that is multiplied by 0 counts.

    Args:
        encoder: (window, channel, time) -> (window, feature), and `predict` where it has it.

    Returns:
        `module`: its name. `kind`: its class. `output`: its shape for one window, such as "32 x 128" for feature x
        time; empty where the module does not run itself, or gives nothing for each window. `n_parameters`: of its own.
        `field`: samples of the window that one value sees at most; missing where windows are longer than `LONGEST`, or
        marks get lost.
    """
    encoder = encoder.cpu().eval()
    modules = {name: _Module(one) for name, one in encoder.named_modules() if _is_listed(one)}
    windows = torch.randn(TOGETHER, n_channels, length, generator=torch.Generator().manual_seed(0))
    try:
        _run(encoder, modules, windows, partial(_note_shape, modules))
        if length <= LONGEST:
            _find_fields(encoder, modules, windows)
    except Exception as error:  # whatever the user's network raises
        log.info("receptive fields are not known: %s of the network: %s", type(error).__name__, error)
        for one in modules.values():
            one.lost = True
    table = pd.DataFrame(
        {
            "module": [name or WHOLE for name in modules],
            "kind": [type(one.module).__name__ for one in modules.values()],
            "output": ["" if one.shape is None else " x ".join(map(str, one.shape)) for one in modules.values()],
            "n_parameters": list(_own_parameters(modules)),
            "field": [one.field for one in modules.values()],
        }
    )
    return table.astype({"field": "Int64"})


def _is_listed(module: nn.Module) -> bool:
    return not any(True for _ in module.children()) or any(True for _ in module.parameters(recurse=False))


def _own_parameters(modules: dict[str, _Module]) -> Iterator[int]:
    """Numbers of parameters; one that several modules share is the first one's."""
    counted: set[int] = set()
    for one in modules.values():
        own = [parameter for parameter in one.module.parameters(recurse=False) if id(parameter) not in counted]
        counted |= {id(parameter) for parameter in own}
        yield sum(parameter.numel() for parameter in own)


@torch.inference_mode()
def _run(encoder: Any, modules: dict[str, _Module], windows: torch.Tensor, see: Hook) -> None:
    """Embed and predict windows; `see` is told what each module gives."""
    with _hooks(modules, see):
        encoder(windows)
        if callable(getattr(encoder, "predict", None)):
            encoder.predict(windows)


@contextmanager
def _hooks(modules: dict[str, _Module], see: Hook) -> Iterator[None]:
    def hook(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        found = output[0] if isinstance(output, tuple | list) and output else output
        if isinstance(found, torch.Tensor):
            see(name, found)

    handles = [one.module.register_forward_hook(partial(hook, name)) for name, one in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _windows_first(output: torch.Tensor) -> torch.Tensor | None:
    """(window, ...), also of modules that have windows as another axis or in one with others; None where none is."""
    axes = [axis for axis, size in enumerate(output.shape) if size == TOGETHER]
    if axes:
        return output.movedim(axes[0], 0)
    joined = bool(output.ndim) and len(output) > 0 and len(output) % TOGETHER == 0
    return output.unflatten(0, (TOGETHER, -1)) if joined else None


def _note_shape(modules: dict[str, _Module], name: str, output: torch.Tensor) -> None:
    found = _windows_first(output)
    modules[name].shape = None if found is None else tuple(found.shape[1:])


def _find_fields(encoder: nn.Module, modules: dict[str, _Module], windows: torch.Tensor) -> None:
    length = windows.shape[2]
    for start in range(0, length, TOGETHER):
        marked, each = windows.clone(), torch.arange(min(TOGETHER, length - start))
        marked[each, :, start + each] = torch.nan
        _run(encoder, modules, marked, partial(_note_field, modules, start, length))
    _run(encoder, modules, torch.full_like(windows, torch.nan), partial(_note_lost, modules))


def _note_field(modules: dict[str, _Module], start: int, length: int, name: str, output: torch.Tensor) -> None:
    """Extend what each value sees, where window i is marked at sample `start` + i."""
    one, found = modules[name], _windows_first(output)
    if found is None:
        return
    marks, rank = found.isnan().flatten(1), torch.arange(1, TOGETHER + 1, dtype=torch.uint8)[:, None]
    # a tenth of the time of `argmax`
    until_last, from_first = (marks * rank).amax(dim=0).long(), (marks * rank.flip(0)).amax(dim=0).long()
    first = torch.where(from_first > 0, start + TOGETHER - from_first, length)
    last = torch.where(until_last > 0, start + until_last - 1, -1)
    one.first = first if one.first is None else torch.minimum(one.first, first)
    one.last = last if one.last is None else torch.maximum(one.last, last)


def _note_lost(modules: dict[str, _Module], name: str, output: torch.Tensor) -> None:
    """With all samples marked, every value is."""
    modules[name].lost |= not bool(output.isnan().all())
