"""Normalisers, products of signals, softmax and attention: each against its paper's equation, in float64."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy.propagation.attention import DotProductAttention, MaskedAttention
from clusterwhy.propagation.composites import AttentionRule, SequenceRule
from clusterwhy.propagation.linearised import Linearised, Product, Quotient, Softmax
from clusterwhy.propagation.normalisers import Normaliser
from clusterwhy.propagation.rules import Shared
from clusterwhy.propagation.sequence_rules import SelfAttention

EXACT = 1e-20
CONSTANT, SHARED = SequenceRule(EXACT, False, "constant"), SequenceRule(EXACT, False, "shared")


@pytest.fixture
def draw(rng: np.random.Generator) -> Callable[..., torch.Tensor]:
    return lambda *shape: torch.as_tensor(rng.standard_normal(shape))


def with_any_parameters(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module.double().eval()


def total(relevance: torch.Tensor) -> torch.Tensor:
    return relevance.flatten(1).sum(1)


def assert_budget(shared: Shared, relevance: torch.Tensor) -> None:
    passed = sum(total(part) for part in shared.of_inputs if part is not None)
    lost = 0.0 if shared.softmax is None else shared.softmax
    torch.testing.assert_close(
        passed + shared.bias + shared.stabilizer() + lost, total(relevance), rtol=1e-9, atol=1e-9
    )


# of each norm: the shape of x, the module, and (window, group, member) as a view of (window, ...)
NORMS = {
    "layer": ((2, 5, 6), lambda: nn.LayerNorm(6), lambda x: x),
    "layer of planes": ((2, 5, 6), lambda: nn.LayerNorm((5, 6)), lambda x: x.reshape(len(x), 1, -1)),
    "layer without parameters": ((2, 5, 6), lambda: nn.LayerNorm(6, elementwise_affine=False), lambda x: x),
    "group": ((2, 6, 5), lambda: nn.GroupNorm(3, 6), lambda x: x.reshape(len(x), 3, -1)),
    "group of features": ((2, 6), lambda: nn.GroupNorm(2, 6), lambda x: x.reshape(len(x), 2, -1)),
    "instance": ((2, 4, 7), lambda: nn.InstanceNorm1d(4, affine=True), lambda x: x),
    "instance of planes": ((2, 4, 3, 5), lambda: nn.InstanceNorm2d(4), lambda x: x.flatten(2)),
}


def by_steps_of_attn_lrp(
    norm: nn.Module, x: torch.Tensor, z: torch.Tensor, relevance: torch.Tensor, groups: Callable[..., torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Epsilon at the shift, identity at weight and scale (proposition 3.4), epsilon at x - mean, group by group."""
    bias = getattr(norm, "bias", None)
    if bias is None:
        shift = torch.zeros_like(x)
    elif isinstance(norm, nn.LayerNorm):
        shift = bias.expand_as(x)
    else:
        shift = bias.reshape(-1, *[1] * (x.ndim - 2)).expand_as(x)
    before_shift = groups(relevance * (z - shift) / z)
    of_inputs = torch.zeros_like(groups(x))
    for window, values in enumerate(groups(x)):
        for g, members in enumerate(values):
            n = len(members)
            for j in range(n):
                centred = members[j] - members.mean()
                for i in range(n):
                    part = members[i] * (float(i == j) - 1.0 / n)
                    of_inputs[window, g, i] += part / centred * before_shift[window, g, j]
    return of_inputs.reshape(x.shape), total(relevance * shift / z)


@pytest.mark.parametrize("name", NORMS)
def test_norms_are_epsilon_at_mean_and_shift_and_identity_at_the_scale(
    name: str, draw: Callable[..., torch.Tensor]
) -> None:
    shape, make, groups = NORMS[name]
    norm, x = with_any_parameters(make()), draw(*shape) + 0.5
    z = norm(x).detach()
    relevance = draw(*shape)
    shared = Normaliser(norm, "norm").share([x], z, relevance, CONSTANT)
    expected, absorbed = by_steps_of_attn_lrp(norm, x, z, relevance, groups)
    torch.testing.assert_close(shared.of_inputs[0], expected.detach(), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(shared.bias, absorbed.detach(), rtol=1e-8, atol=1e-8)
    assert_budget(shared, relevance)


@pytest.mark.parametrize("name", NORMS)
def test_norms_without_bias_give_all_to_their_inputs(name: str, draw: Callable[..., torch.Tensor]) -> None:
    shape, make, _ = NORMS[name]
    norm, x = with_any_parameters(make()), draw(*shape) + 0.5
    relevance = draw(*shape)
    shared = Normaliser(norm, "norm").share([x], norm(x).detach(), relevance, SequenceRule(EXACT, True, "constant"))
    assert shared.bias.abs().max() == 0
    torch.testing.assert_close(total(shared.of_inputs[0]), total(relevance), rtol=1e-7, atol=1e-7)


def test_root_mean_square_norms_pass_relevance_as_it_is(draw: Callable[..., torch.Tensor]) -> None:
    norm, x, relevance = with_any_parameters(nn.RMSNorm(6)), draw(2, 5, 6), draw(2, 5, 6)
    shared = Normaliser(norm, "norm").share([x], norm(x).detach(), relevance, CONSTANT)
    torch.testing.assert_close(shared.of_inputs[0], relevance)


def test_layer_norm_of_two_values_by_hand() -> None:
    """x = (1, 3), scale 1, weights (2, 1), shift (0, 1): y = (-2, 2), relevance (-2, 2).

    Of y2 = 1 + 1 the shift has 1; x - mean is (-1, 1). x1 gets 1 * (0.5 / -1) * -2 + 1 * (-0.5 / 1) * 1 = 0.5; x2 gets
    3 * (-0.5 / -1) * -2 + 3 * (0.5 / 1) * 1 = -1.5. In all 0.5 - 1.5 + 1 = 0 = -2 + 2.
    """
    norm = nn.LayerNorm(2, eps=0.0).double()
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([2.0, 1.0]))
        norm.bias.copy_(torch.tensor([0.0, 1.0]))
    x = torch.tensor([[1.0, 3.0]], dtype=torch.float64)
    z = norm(x).detach()
    assert z.flatten().tolist() == pytest.approx([-2.0, 2.0])
    shared = Normaliser(norm, "norm").share([x], z, z, CONSTANT)
    assert shared.of_inputs[0].flatten().tolist() == pytest.approx([0.5, -1.5])
    assert shared.bias.item() == pytest.approx(1.0)


@pytest.mark.parametrize("rule", [CONSTANT, SHARED], ids=["constant", "shared"])
@pytest.mark.parametrize("fixed", [(), (1,)])
def test_of_a_product_both_have_half_or_the_gate_has_nothing(
    fixed: tuple[int, ...], rule: SequenceRule, draw: Callable[..., torch.Tensor]
) -> None:
    x, gate, relevance = draw(3, 4, 5), draw(3, 4, 1), draw(3, 4, 5)
    shared = Product(torch.mul, (True, True), fixed).share([x, gate], x * gate, relevance, rule)
    if not fixed or rule is SHARED:
        torch.testing.assert_close(shared.of_inputs[0], relevance / 2)
        torch.testing.assert_close(shared.of_inputs[1], relevance.sum(2, keepdim=True) / 2)
    else:
        torch.testing.assert_close(shared.of_inputs[0], relevance)
        assert shared.of_inputs[1] is None
    assert_budget(shared, relevance)


def test_of_a_product_of_matrices_each_entry_has_half_of_its_part(draw: Callable[..., torch.Tensor]) -> None:
    """A_ji V_ip R_jp / (2 O_jp), Achtibat et al. 2024, equation 14."""
    a, v = draw(2, 3, 4), draw(2, 4, 5)
    o, relevance = a @ v, draw(2, 3, 5)
    shared = Product(torch.matmul, (True, True)).share([a, v], o, relevance, CONSTANT)
    parts = torch.einsum("wji,wip,wjp->wjip", a, v, relevance / (2 * o))
    torch.testing.assert_close(shared.of_inputs[0], parts.sum(3))
    torch.testing.assert_close(shared.of_inputs[1], parts.sum(1))
    assert_budget(shared, relevance)


def test_of_a_product_of_three_each_has_a_third_and_beside_a_gate_half(draw: Callable[..., torch.Tensor]) -> None:
    """delta B u of a selective state space: delta_bd B_bn u_bd R_bdn / (3 O_bdn), summed over what is not its own."""
    delta, b, u = draw(2, 4), draw(2, 3), draw(2, 4)
    relevance = draw(2, 4, 3)

    def multiply(*factors: torch.Tensor) -> torch.Tensor:
        return torch.einsum("bd,bn,bd->bdn", *factors)

    made = Product(multiply, (True, True, True))
    shared = made.share([delta, b, u], multiply(delta, b, u), relevance, CONSTANT)
    for found, axis in zip(shared.of_inputs, (2, 1, 2), strict=True):
        torch.testing.assert_close(found, relevance.sum(axis) / 3)
    assert_budget(shared, relevance)
    gated = Product(multiply, (True, True, True), (0,)).share([delta, b, u], multiply(delta, b, u), relevance, CONSTANT)
    assert gated.of_inputs[0] is None
    torch.testing.assert_close(gated.of_inputs[1], relevance.sum(1) / 2)
    assert_budget(gated, relevance)


def test_constants_and_denominators_take_nothing(draw: Callable[..., torch.Tensor]) -> None:
    x, by, relevance = draw(3, 4, 5), draw(3, 4, 1), draw(3, 4, 5)
    for made, z in ((Product(torch.mul, (True, False)), x * by), (Quotient(), x / by)):
        shared = made.share([x, by], z, relevance, SHARED)
        torch.testing.assert_close(shared.of_inputs[0], relevance)
        assert shared.of_inputs[1] is None


def test_softmax_is_its_first_order_expansion(draw: Callable[..., torch.Tensor]) -> None:
    """x_i (R_i - p_i sum of R), Achtibat et al. 2024, proposition 3.1; a masked logit has none."""
    x, relevance = draw(3, 4, 5), draw(3, 4, 5)
    x[0, :, 2] = float("-inf")
    p = torch.softmax(x, dim=2)
    relevance = relevance.masked_fill(x.isinf(), 0.0)
    shared = Softmax(nn.Softmax(dim=2)).share([x], p, relevance, CONSTANT)
    expected = x.masked_fill(x.isinf(), 0.0) * (relevance - p * relevance.sum(2, keepdim=True))
    torch.testing.assert_close(shared.of_inputs[0], expected)
    assert_budget(shared, relevance)
    assert shared.softmax is not None


def masked_logits(query: torch.Tensor, key: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """One head, step by step; `hidden` (query time, key time) is True where a query may not look."""
    rows = []
    for i in range(query.shape[1]):
        row = [(query[:, i] * key[:, j]).sum(1) / math.sqrt(query.shape[2]) for j in range(key.shape[1])]
        rows.append(torch.stack(row, dim=1).masked_fill(hidden[i], float("-inf")))
    return torch.stack(rows, dim=1)


def by_values(weights: torch.Tensor, value: torch.Tensor, relevance: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Constant weights: R_j = sum over i of a_ij v_j R_i / z_i."""
    return torch.einsum("wij,wjp,wip->wjp", weights, value, relevance / z)


@pytest.mark.parametrize("mask", ["none", "boolean", "added", "causal"])
@pytest.mark.parametrize("kind", ["constant", "shared"])
def test_dot_product_attention_is_its_equations(
    kind: AttentionRule, mask: str, draw: Callable[..., torch.Tensor]
) -> None:
    query, key, value = draw(2, 4, 3), draw(2, 4, 3), draw(2, 4, 5)
    hidden = torch.zeros(4, 4, dtype=torch.bool)
    if mask == "causal":
        hidden = torch.ones(4, 4, dtype=torch.bool).triu(1)
    elif mask != "none":
        hidden[0, 1] = hidden[2, 3] = hidden[3, 0] = True
    given = {"boolean": ~hidden, "added": torch.zeros(4, 4).double().masked_fill(hidden, float("-inf"))}.get(mask)
    inputs = [query, key, value, *([] if given is None else [given])]
    made = DotProductAttention(
        (0, 1, 2, None if given is None else 3),
        [True, True, True, False][: len(inputs)],
        {"is_causal": mask == "causal"},
    )
    z = made(*inputs)
    weights = torch.softmax(masked_logits(query, key, hidden), dim=2)
    torch.testing.assert_close(z, weights @ value)
    relevance = draw(2, 4, 5)
    shared = made.share(inputs, z, relevance, SequenceRule(EXACT, False, kind))
    assert_budget(shared, relevance)
    if kind == "constant":
        assert shared.of_inputs[:2] == (None, None)
        torch.testing.assert_close(shared.of_inputs[2], by_values(weights, value, relevance, z))
        return
    # half to the values; half to the weights, through the softmax to logits, of which queries and keys have half each
    torch.testing.assert_close(shared.of_inputs[2], by_values(weights, value, relevance, z) / 2)
    of_weights = torch.einsum("wij,wjp,wip->wij", weights, value, relevance / z) / 2
    logits = masked_logits(query, key, hidden).masked_fill(hidden, 0.0)
    of_logits = logits * (of_weights - weights * of_weights.sum(2, keepdim=True))
    parts = torch.einsum("wip,wjp,wij->wijp", query, key, of_logits / logits.masked_fill(logits == 0, 1.0) / 2)
    parts = parts / math.sqrt(3)
    torch.testing.assert_close(shared.of_inputs[0], parts.sum(2), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(shared.of_inputs[1], parts.sum(1), rtol=1e-8, atol=1e-8)


def any_attention(**keys: int) -> nn.MultiheadAttention:
    attention = nn.MultiheadAttention(6, 2, batch_first=True, **keys)
    return with_any_parameters(attention)  # type: ignore[return-value]


@pytest.mark.parametrize("zero_bias", [False, True])
@pytest.mark.parametrize("kind", ["constant", "shared"])
def test_attention_without_masks_is_the_closed_form(
    kind: AttentionRule, zero_bias: bool, draw: Callable[..., torch.Tensor]
) -> None:
    if zero_bias and kind == "shared":
        return
    attention, x, relevance = any_attention(), draw(3, 5, 6), draw(3, 5, 6)
    rule = SequenceRule(EXACT, zero_bias, kind)
    z = attention(x, x, x)[0].detach()
    found = MaskedAttention(attention, (0, 0, 0), (None, None), [True]).share([x], z, relevance, rule)
    expected = SelfAttention(attention).share(x, z, relevance, rule)
    torch.testing.assert_close(found.of_inputs[0], expected.of_inputs[0], rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(found.bias, expected.bias, rtol=1e-8, atol=1e-8)
    assert_budget(found, relevance)


@pytest.mark.parametrize("kind", ["constant", "shared"])
def test_attention_of_a_causal_query_sees_nothing_later_and_of_padding_nothing(
    kind: AttentionRule, draw: Callable[..., torch.Tensor]
) -> None:
    attention, x, relevance = any_attention(), draw(2, 5, 6), torch.zeros(2, 5, 6).double()
    causal = torch.ones(5, 5, dtype=torch.bool).triu(1)
    padded = torch.tensor([[False, False, True, False, False]] * 2)
    relevance[:, 3] = draw(2, 6)
    made = MaskedAttention(attention, (0, 0, 0), (1, 2), [True, False, False])
    z = made(x, causal, padded)
    torch.testing.assert_close(z, attention(x, x, x, attn_mask=causal, key_padding_mask=padded)[0])
    shared = made.share([x, causal, padded], z, relevance, SequenceRule(EXACT, False, kind))
    assert_budget(shared, relevance)
    seen = shared.of_inputs[0].abs().sum(2) > 0
    assert seen[:, [0, 1, 3]].all()
    assert not seen[:, [2, 4]].any()


def test_attention_to_another_sequence_gives_it_all(draw: Callable[..., torch.Tensor]) -> None:
    attention = any_attention(kdim=4, vdim=3)
    query, key, value, relevance = draw(2, 5, 6), draw(2, 7, 4), draw(2, 7, 3), draw(2, 5, 6)
    made = MaskedAttention(attention, (0, 1, 2), (None, None), [True, True, True])
    z = made(query, key, value).detach()
    shared = made.share([query, key, value], z, relevance, CONSTANT)
    assert shared.of_inputs[:2] == (None, None)
    _, weights = attention(query, key, value, average_attn_weights=False)
    heads = F.linear(torch.eye(3).double(), attention.v_proj_weight).unflatten(1, (2, 3))  # (feature, head, inner)
    out = attention.out_proj.weight.unflatten(1, (2, 3))  # (output, head, inner)
    parts = torch.einsum("whij,wjf,fhe,phe,wip->wjf", weights, value, heads, out, relevance / z)
    torch.testing.assert_close(shared.of_inputs[2], parts.detach(), rtol=1e-8, atol=1e-8)


def test_every_linear_form_computes_what_the_step_computes(draw: Callable[..., torch.Tensor]) -> None:
    x = draw(2, 4, 6)
    made: list[tuple[Linearised, list[torch.Tensor]]] = [
        (Product(torch.mul, (True, True)), [x, x.sigmoid()]),
        (Quotient(), [x, x.exp()]),
        (Softmax(nn.Softmax(dim=1)), [x]),
        (Normaliser(with_any_parameters(nn.LayerNorm(6)), ""), [x]),
        (MaskedAttention(any_attention(), (0, 0, 0), (None, None), [True]), [x]),
    ]
    for step, inputs in made:
        biases = [b.expand(2, *b.shape) for b in step.biases(x)]
        for rule in (CONSTANT, SHARED):
            torch.testing.assert_close(step.linear_form(inputs, biases, rule), step(*inputs))
