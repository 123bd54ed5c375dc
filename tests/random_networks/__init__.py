"""Random networks of the operations that have a rule: a chain of blocks, each from (window, channel, time) to the same
axes, and a head. `plain` has a second, plain way to their relevance."""

import random
from collections.abc import Iterator

import torch
from torch import nn

from tests.random_networks import attention, gates, norms, planes, positions, products, recurrent, simple, sizes
from tests.random_networks.blocks import Draw, containers
from tests.random_networks.heads import head

CHANNELS, TIME = 3, 16
# groups of blocks, and how often one is drawn
OF_ZENNIT: list[tuple[float, list[Draw]]] = [(6, simple.BLOCKS), (1, planes.BLOCKS), (1, sizes.BLOCKS)]
BLOCKS: list[tuple[float, list[Draw]]] = [
    *(*OF_ZENNIT, (1, planes.WITH_NORMS), (2.5, norms.BLOCKS), (3, gates.BLOCKS), (2, products.BLOCKS)),
    *((1.5, recurrent.BLOCKS), (2, attention.BLOCKS), (2, positions.BLOCKS)),
]


def random_network(seed: int) -> nn.Module:
    """(window, channel, time) -> (window,), float64, in evaluation mode; the same for the same seed.

    Every third network, `has_rules_of_zennit`, is made of operations that zennit has rules for.
    """
    rng = random.Random(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        body = _chain(rng, OF_ZENNIT if has_rules_of_zennit(seed) else BLOCKS, rng.randint(2, 7))
        channels, time = _shape(body, CHANNELS, TIME)
        made = nn.Sequential(body, head(rng, channels, time, not has_rules_of_zennit(seed)))
    return made.double().eval()


def has_rules_of_zennit(seed: int) -> bool:
    """Whether the network of a seed has operations alone that zennit has rules for, too."""
    return seed % 3 == 0


def random_windows(seed: int, n_windows: int = 3) -> torch.Tensor:
    """(window, channel, time)."""
    return torch.randn(
        n_windows, CHANNELS, TIME, dtype=torch.float64, generator=torch.Generator().manual_seed(1000 + seed)
    )


def names(network: nn.Module) -> Iterator[str]:
    """The operations of a network, for a message."""
    for module in network.modules():
        if not isinstance(module, containers()):
            yield getattr(module, "name", type(module).__name__)


def _chain(rng: random.Random, groups: list[tuple[float, list[Draw]]], n_blocks: int) -> nn.Sequential:
    """Blocks one after the other; each is tried out for the shape it gives."""
    blocks, channels, time = nn.Sequential(), CHANNELS, TIME
    while len(blocks) < n_blocks:
        (draws,) = rng.choices([draws for _, draws in groups], [weight for weight, _ in groups])
        block = rng.choice(draws)(rng, channels, time)
        shape = _shape(block, channels, time)
        if 2 <= shape[1] <= 2 * TIME and shape[0] <= 12:
            blocks.append(block)
            channels, time = shape
    return blocks


def _shape(block: nn.Module, channels: int, time: int) -> tuple[int, int]:
    """(channel, time) of what a block gives."""
    with torch.no_grad():
        _, *shape = block.double().eval()(torch.zeros(1, channels, time, dtype=torch.float64)).shape
    return shape[0], shape[1]
