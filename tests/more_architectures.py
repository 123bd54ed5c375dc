"""Twenty more networks for time series, chosen and written by someone who had not seen the rules of LRP here.

The list was frozen before anything was tried: how many of them are explained is a blind test (docs/networks.md).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from tests.more_attention import MTADGAT, ConvTran, Encoder, ITransformer
from tests.more_brain_signals import ATCNet, DeepSleepNet, EEGConformer
from tests.more_convolutions import LITE, MCDCNN, XCM, ModernTCN, ShallowConvNet, TimeCNN, TS2Vec
from tests.more_sequences import GMLP, USAD, TapNet, TimesNet
from tests.more_state_spaces import S4D, Mamba

MORE_ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    "MCDCNN": MCDCNN,
    "Time-CNN": TimeCNN,
    "XCM": XCM,
    "LITE": LITE,
    "ShallowConvNet": ShallowConvNet,
    "ModernTCN": ModernTCN,
    "TS2Vec": TS2Vec,
    "Encoder": Encoder,
    "MTAD-GAT": MTADGAT,
    "ConvTran": ConvTran,
    "iTransformer": ITransformer,
    "DeepSleepNet": DeepSleepNet,
    "ATCNet": ATCNet,
    "EEG-Conformer": EEGConformer,
    "TimesNet": TimesNet,
    "TapNet": TapNet,
    "USAD": USAD,
    "S4D": S4D,
    "Mamba": Mamba,
    "gMLP": GMLP,
}
# what is explained where the output is not (window, class): the logits of a pair, a score (window,)
TARGETS: dict[str, Any] = {"EEG-Conformer": lambda output: output[1][:, 1], "USAD": None}


def built(name: str) -> nn.Module:
    """A network with random weights, norms and statistics, float64, in evaluation mode."""
    norms = nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.InstanceNorm1d
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = MORE_ARCHITECTURES[name]()
        for module in network.modules():
            if isinstance(module, norms) and module.weight is not None:
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.2)
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                nn.init.normal_(module.running_mean, std=0.2)
                nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network.double().eval()
