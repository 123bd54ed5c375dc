"""A network as a copy of our own: same parameters, computed weights in place, nothing wrapped around it."""

import copy
import inspect
import weakref
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from clusterwhy.errors import MethodError

WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)
# what `torch.nn.utils` puts before a forward to compute a weight
WEIGHT_HOOKS = (WeightNorm, SpectralNorm, BasePruningMethod)
OWN_TABLES = ("_parameters", "_buffers", "_modules", "_forward_pre_hooks", "_forward_hooks", "_flat_weights")


def plain_network(network: nn.Module) -> nn.Module:
    """A network that computes the same in evaluation mode, and shares parameters but no modules with the original.

    Parametrizations, weight and spectral norm and pruning masks, new or old, become the weights that they compute
    now, which the original may not have computed yet; `DataParallel` becomes the module inside.

    Raises:
        MethodError: it is no `torch.nn.Module`, compiled, scripted, not initialised, or needs more than the windows.
    """
    if not isinstance(network, nn.Module):
        raise MethodError(f"expected a network that is a torch.nn.Module, got {type(network).__name__}")
    for name, module in network.named_modules():
        if type(module).__name__ == "OptimizedModule":
            raise MethodError(
                f"{name or 'the network'} is compiled: pass the network that went into torch.compile "
                "(`network._orig_mod`), which computes the same"
            )
        if isinstance(module, torch.jit.ScriptModule):
            raise MethodError(
                f"{name or 'the network'} is TorchScript, which has no code to trace and no weights to copy: pass the "
                "network that went into torch.jit.script or torch.jit.trace"
            )
    if lazy := [name for name, parameter in network.named_parameters() if is_lazy(parameter)]:
        raise MethodError(f"{', '.join(lazy[:5])}: not initialised yet; run the network once before it is explained")
    _require_one_input(network)
    with torch.no_grad():
        return _copied(network, {})


def _require_one_input(network: nn.Module) -> None:
    signature = inspect.signature(network.forward)
    try:
        signature.bind(None)
    except TypeError as error:
        raise MethodError(
            f"{type(network).__name__}.forward{signature} cannot be called with the windows alone ({error}): pass a "
            "module whose forward takes the windows and gives the rest itself"
        ) from error


def _copied(module: nn.Module, made: dict[Any, Any]) -> nn.Module:
    """A copy of a module and of all below it; `made` holds modules and buffers copied already, which may be shared."""
    if isinstance(module, WRAPPERS):
        return _copied(module.module, made)
    if module in made:
        return made[module]
    parametrized = parametrize.is_parametrized(module)
    # torch derives the class of a parametrized module from the module's own
    kind = type(module).__bases__[0] if parametrized else type(module)
    own: Any = object.__new__(kind)
    made[module] = own
    own.__dict__.update(module.__dict__)
    own.__dict__.update({name: copy.copy(own.__dict__[name]) for name in OWN_TABLES if name in own.__dict__})
    own.__dict__["_compiled_call_impl"] = None
    for name, value in module.__dict__.items():
        if isinstance(value, MethodType) and value.__self__ is module:
            own.__dict__[name] = MethodType(value.__func__, own)
    for name, buffer in module._buffers.items():
        if buffer is not None:  # which forward may overwrite
            own._buffers[name] = made.setdefault(id(buffer), buffer.clone())
    for name, child in module._modules.items():
        if not (parametrized and name == "parametrizations"):
            own._modules[name] = None if child is None else _copied(child, made)
    _keep_weights(module, own)
    return own


def _keep_weights(module: Any, own: Any) -> None:
    """Give a copy the weights that a module would compute before its next forward in evaluation mode."""
    if parametrize.is_parametrized(module):
        del own._modules["parametrizations"]
        for name, parametrization in module.parametrizations.items():
            # a copy: in training mode spectral norm changes its vectors
            own._parameters[name] = _constant(copy.deepcopy(parametrization).eval()())
    for key, hook in list(own._forward_pre_hooks.items()):
        if isinstance(hook, WEIGHT_HOOKS):
            del own._forward_pre_hooks[key]
            name = hook._tensor_name if isinstance(hook, BasePruningMethod) else hook.name
            own.__dict__.pop(name, None)
            own._parameters[name] = _constant(_computed(hook, own))
    for name, parameter in own._parameters.items():
        if parameter is not None and parameter.is_inference():
            own._parameters[name] = nn.Parameter(parameter.clone(), requires_grad=parameter.requires_grad)
    if isinstance(own, nn.RNNBase):
        own.__dict__["_flat_weights"] = [getattr(own, name, None) for name in own._flat_weights_names]
        own.__dict__["_flat_weight_refs"] = [w if w is None else weakref.ref(w) for w in own._flat_weights]


def _computed(hook: Any, module: nn.Module) -> torch.Tensor:
    if isinstance(hook, SpectralNorm):
        return hook.compute_weight(module, do_power_iteration=False)
    computed: torch.Tensor = (
        hook.apply_mask(module) if isinstance(hook, BasePruningMethod) else hook.compute_weight(module)
    )
    return computed


def _constant(weight: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(weight.detach().clone(), requires_grad=False)
