"""The sign of values, in place of the values (SIGN)."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def sign_of(values: "torch.Tensor", threshold: "float | torch.Tensor") -> "torch.Tensor":
    """1 where a value is at least the threshold, else -1 (Gumpfer et al. 2023, equation 4)."""
    return (values >= threshold).to(values.dtype) * 2.0 - 1.0
