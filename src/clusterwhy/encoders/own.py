"""A network of the user's own as the encoder: imported from their file by name, weights read as plain numbers."""

import hashlib
import importlib
import importlib.util
import inspect
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import Field

from clusterwhy.encoders.base import EncoderSettings
from clusterwhy.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from clusterwhy.encoders.masked import MaskedEncoder

NAME = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*"


class OwnNetwork(EncoderSettings):
    """A `torch.nn.Module` of the user's, (window, channel, time) -> (window, feature).

    Its file is one of theirs, on `PYTHONPATH`: modules of Python and of installed packages are refused, and so is a
    class that is no network. A stored encoder has the SHA-256 of that file, and is loaded only where the file is the
    same, so that artifacts of others run no code that is not already the user's.

    Attributes:
        network: where it is, as `module:Class`.
        arguments: of the class.
        weights: a state dict, as safetensors or a file that `torch.load(weights_only=True)` reads; null: as built.
        sha256: of the file, written by the stage `train`; null: any.
    """

    network: str = Field(pattern=f"^{NAME}$")
    arguments: dict[str, Any]
    weights: str | None
    sha256: str | None = None

    def build(self, n_channels: int, length: int) -> "MaskedEncoder":
        """The network with the weights that it is built with.

        Raises:
            ConfigError: it cannot be found or built, does not give one vector per window, or its file is another one.
        """
        import torch

        try:
            network = self._class()(**self.arguments)
        except ConfigError:
            raise
        except Exception as error:  # whatever the user's code raises
            raise self._refused(f"{type(error).__name__} when it is built: {error}") from error
        self._check_shape(network, torch.zeros(2, n_channels, length))
        return cast("MaskedEncoder", network)

    def stored(self, config: dict[str, Any]) -> dict[str, Any]:
        """With the SHA-256 of the file."""
        return config | {"sha256": _sha256(self._file())}

    @property
    def stored_fault(self) -> str:
        """Without its SHA-256 no file is imported for a stored encoder."""
        return "" if self.sha256 else f"no `sha256` of the file with {self.network}"

    def load_given(self, encoder: "nn.Module") -> None:
        """Load the weights that are named.

        Raises:
            ConfigError: no such file, no state dict, or one of another network.
        """
        if self.weights is None:
            return
        path = Path(self.weights).expanduser()
        try:
            encoder.load_state_dict(_state_dict(path))
        except ConfigError:
            raise
        except Exception as error:  # zip, pickle and safetensors each raise their own
            said = " ".join(str(error).split())[:400]
            raise ConfigError(str(path), [f"expected a state dict of {self.network}: {said}"]) from error
        if strange := [name for name, one in encoder.state_dict().items() if not one.isfinite().all()]:
            raise ConfigError(str(path), [f"weights that are not finite: {', '.join(strange[:5])}"])

    def _file(self) -> Path:
        """The user's file that the network is in."""
        name = self.network.partition(":")[0]
        top = importlib.util.find_spec(name.partition(".")[0])
        origin = Path(top.origin).resolve() if top is not None and top.origin and top.has_location else None
        if origin is None:
            raise self._refused(f"no file of a module {name!r}: put its folder on PYTHONPATH")
        installed = {Path(sysconfig.get_path(key)).resolve() for key in ("stdlib", "platstdlib", "purelib", "platlib")}
        if any(origin.is_relative_to(folder) for folder in installed):
            raise self._refused(f"{name!r} is an installed package: name a module of your own on PYTHONPATH")
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.origin or Path(spec.origin).suffix != ".py":
            raise self._refused(f"no Python file of the module {name!r}")
        return Path(spec.origin)

    def _class(self) -> "type[nn.Module]":
        from torch import nn

        name, _, wanted = self.network.partition(":")
        path = self._file()
        if self.sha256 is not None and _sha256(path) != self.sha256:
            raise self._refused(f"{path.name} has changed since this encoder was stored: rerun the stage `train`")
        found = getattr(importlib.import_module(name), wanted, None)
        if not (inspect.isclass(found) and issubclass(found, nn.Module)):
            raise self._refused(f"expected a class `{wanted}` in {path.name} that is a torch.nn.Module")
        return found

    def _check_shape(self, network: "nn.Module", windows: "torch.Tensor") -> None:
        import torch

        n_windows, n_channels, length = windows.shape
        asked = f"windows of {n_channels} channels x {length} samples"
        try:
            with torch.no_grad():
                found = network.eval()(windows)
        except Exception as error:  # whatever the user's code raises
            raise self._refused(f"{type(error).__name__} for {asked}: {error}") from error
        if not isinstance(found, torch.Tensor) or found.ndim != 2 or len(found) != n_windows:
            shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
            raise self._refused(f"expected (window, feature) from {asked}, got {shape} from {n_windows} windows")

    def _refused(self, fault: str) -> ConfigError:
        return ConfigError(f"encoder {self.network}", [fault])


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _state_dict(path: Path) -> dict[str, Any]:
    import torch
    from safetensors.torch import load_file

    if not path.is_file():
        raise ConfigError(str(path), ["no such file: `weights` of the encoder are relative to the project"])
    if path.suffix == ".safetensors":
        return load_file(path)
    found = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(found, dict) or not all(isinstance(one, torch.Tensor) for one in found.values()):
        raise ConfigError(str(path), ["expected a state dict, `torch.save(network.state_dict(), path)`"])
    return found
