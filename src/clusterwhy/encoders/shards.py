"""Work on shards of the windows of a stored series by a stored encoder, for workers."""

from pathlib import Path
from typing import TYPE_CHECKING

from clusterwhy.data.storage import Prepared
from clusterwhy.types import FloatArray, IntArray

if TYPE_CHECKING:
    from collections.abc import Callable

    from clusterwhy.encoders.masked import MaskedEncoder

    WindowWork = Callable[[MaskedEncoder, FloatArray, IntArray], FloatArray]


def on_shard(work: "WindowWork", prepared: Path, encoder: Path, trained: bool, part: slice) -> FloatArray:
    """`work(encoder, values, starts)` for the windows of a part; importable by workers.

    Args:
        prepared: folder of a series (`Prepared`).
        encoder: folder of an encoder (`load_encoder`).
        trained: whether with its trained weights.
    """
    # torch is imported only where work is done
    from clusterwhy.encoders.storage import load_encoder

    data = Prepared(prepared)
    return work(load_encoder(encoder, trained), data.scaled, data.starts[part])
