"""The state of a training in one safetensors file: weights, optimiser, schedule, random generators."""

import hashlib
import json
import logging
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from clusterwhy.artifacts.store import write_bytes
from clusterwhy.config import Settings
from clusterwhy.errors import ArtifactError

log = logging.getLogger(__name__)


@dataclass
class TrainingState:
    """Everything that the rest of a training depends on.

    Attributes:
        schedule: of learning rates, one of torch's; None where they follow from the history.
        history: one row per finished epoch, or per report.
        best: weights of the epoch with the lowest validation loss.
        rng: a generator that the training uses beside the global ones of Python and torch, if any.
    """

    network: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: Any = None
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    rng: np.random.Generator | None = None

    @property
    def epoch(self) -> int:
        """Finished epochs."""
        return len(self.history)

    @property
    def epochs_since_best(self) -> int:
        """Epochs after the one with the lowest validation loss."""
        losses = [row["validation_loss"] for row in self.history]
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0

    def note(self, row: dict[str, float]) -> None:
        """Add a finished epoch; keep its weights if it is the best."""
        self.history.append(row)
        if self.epochs_since_best == 0:
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()}

    def save(self, path: Path, made_for: str) -> None:
        """Write the state to one file, atomically."""
        optimiser = self.optimiser.state_dict()
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        tensors |= {
            f"optimiser.{i}.{name}": value for i, values in optimiser["state"].items() for name, value in values.items()
        }
        tensors |= {f"random.{i}": state for i, state in enumerate(_random_states())}
        header = {
            "made_for": made_for,
            "history": self.history,
            "param_groups": optimiser["param_groups"],
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            # masks draw from it
            "python_random": random.getstate(),
            "numpy_random": self.rng.bit_generator.state if self.rng is not None else None,
        }
        plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        write_bytes(path, save(plain, metadata={"state": json.dumps(header)}))

    def restore(self, path: Path, made_for: str) -> bool:
        """Load the state from a file.

        Returns:
            False where there is no file, or, with a warning, where it belongs to another training.

        Raises:
            ArtifactError: the file is not a training state.
        """
        if not path.is_file():
            return False
        try:
            with safe_open(path, framework="pt") as file:
                header = json.loads(file.metadata()["state"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{path} is not a training state ({error}): delete it to start again") from error
        if header["made_for"] != made_for:
            log.warning("%s was saved with other settings, seed or windows: training starts again", path.name)
            return False
        try:
            self._set(header, tensors)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ArtifactError(f"{path} is not a training state ({error}): delete it to start again") from error
        return True

    def _set(self, header: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        self.network.load_state_dict(_below("network", tensors))
        self.best = _below("best", tensors)
        self.history = header["history"]
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in _below("optimiser", tensors).items():
            i, _, key = name.partition(".")
            state.setdefault(int(i), {})[key] = tensor
        self.optimiser.load_state_dict({"state": state, "param_groups": header["param_groups"]})
        if self.schedule is not None:
            self.schedule.load_state_dict(header["schedule"])
        states = _below("random", tensors)
        torch.set_rng_state(states["0"])
        if torch.cuda.is_available():
            torch.cuda.set_rng_state_all([states[str(i)] for i in range(1, len(states))])
        version, words, normal = header["python_random"]
        random.setstate((version, tuple(words), normal))
        if self.rng is not None:
            self.rng.bit_generator.state = header["numpy_random"]


def _random_states() -> list[torch.Tensor]:
    on_cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return [torch.get_rng_state(), *on_cuda]


def _below(name: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")}


def fingerprint(settings: Settings, seed: int, network: nn.Module, arrays: Iterable[np.ndarray]) -> str:
    """Digest of everything that determines a training: settings, seed, initial weights and input arrays."""
    digest = hashlib.sha256(f"{settings.model_dump_json()} {seed} {torch.cuda.is_available()}".encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().numpy().tobytes())
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
