"""Each layer against plain NumPy, and padding, which never changes a result."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models import attention, rnn, textcnn, transformer
from models.dataset.encoder import padded
from models.dataset.inputs import FIRST, PADDING, UNKNOWN, Inputs, Words
from models.parts import layers
from pipelines import config
from tests.models.cases import MODELS, TERMS, ragged

Floats = NDArray[np.float64]
SEQUENCES = [[2, 3, 4, 5, 6, 7, 3], [8, 2, 2], [9], [4, 4, 5, 10, 3, 2, 6]]
READERS = [name for name in MODELS if "words" in config.component("model", name).READS]


def words(sequences: list[list[int]] = SEQUENCES) -> Words:
    return padded(ragged(sequences))


def numbers(tensor: Tensor) -> Floats:
    return tensor.detach().double().numpy()


def linear(layer: nn.Linear, values: Floats) -> Floats:
    result: Floats = values @ numbers(layer.weight).T + (numbers(layer.bias) if layer.bias is not None else 0)
    return result


def softmax(values: Floats) -> Floats:
    powers = np.exp(values - values.max(-1, keepdims=True))
    result: Floats = powers / powers.sum(-1, keepdims=True)
    return result


def sigmoid(values: Floats) -> Floats:
    result: Floats = 1 / (1 + np.exp(-values))
    return result


def attended(layer: attention.SelfAttention, values: Floats) -> Floats:
    """softmax(Q Kᵀ / √d) V of one document without padding, head by head."""
    width = values.shape[1]
    queries, keys, found = np.split(linear(layer.project, values), 3, axis=1)
    size = width // layer.heads
    heads = []
    for start in range(0, width, size):
        part = slice(start, start + size)
        heads.append(softmax(queries[:, part] @ keys[:, part].T / np.sqrt(size)) @ found[:, part])
    return linear(layer.output, np.concatenate(heads, 1))


def both(values: Floats) -> Floats:
    return np.concatenate([values.max(0), values.mean(0)])


def test_attention(random: None) -> None:
    layer = attention.SelfAttention(12, 3)
    vectors = torch.randn(4, 7, 12)
    found = numbers(layer(vectors, words().mask_BT))
    for number, sequence in enumerate(SEQUENCES):
        own = numbers(vectors[number, : len(sequence)])
        np.testing.assert_allclose(found[number, : len(sequence)], attended(layer, own), rtol=1e-4, atol=1e-6)


def test_pooling(random: None) -> None:
    values = torch.randn(4, 7, 5)
    mask = words().mask_BT
    found = torch.cat([layers.highest(values, mask), layers.mean(values, mask)], 1)
    for number, sequence in enumerate(SEQUENCES):
        np.testing.assert_allclose(numbers(found)[number], both(numbers(values[number, : len(sequence)])), rtol=1e-5)


def test_textcnn(random: None) -> None:
    model = textcnn.Model(textcnn.Options(embedding=6, filters=4, widths=[1, 3]), terms=TERMS, classes=3).eval()
    scores = numbers(model(Inputs(words=words())))
    for number, sequence in enumerate(SEQUENCES):
        pooled = []
        for convolve in model.convolutions:
            weight, bias = numbers(convolve.weight), numbers(convolve.bias)
            reach = weight.shape[2] // 2
            table = np.pad(numbers(model.vectors.table.weight)[sequence], ((reach, reach), (0, 0)))
            windows = [table[start : start + weight.shape[2]] for start in range(len(sequence))]
            steps = [np.einsum("we,few->f", window, weight) + bias for window in windows]
            pooled.append(np.maximum(np.max(steps, 0), 0))
        np.testing.assert_allclose(scores[number], linear(model.output, np.concatenate(pooled)), rtol=1e-4, atol=1e-5)


def stepped(cell: str, cells: nn.RNNBase, values: Floats) -> Floats:
    """The states of one direction, by the formulas of torch.nn's documentation."""
    from_input, from_state, of_input, of_state = (
        numbers(getattr(cells, f"{name}_l0")) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    state = carried = np.zeros(from_state.shape[1])
    states = []
    for value in values:
        one, other = from_input @ value + of_input, from_state @ state + of_state
        if cell == "rnn":
            state = np.tanh(one + other)
        elif cell == "gru":
            (r1, z1, n1), (r2, z2, n2) = np.split(one, 3), np.split(other, 3)
            update = sigmoid(z1 + z2)
            state = (1 - update) * np.tanh(n1 + sigmoid(r1 + r2) * n2) + update * state
        else:
            i, f, g, o = np.split(one + other, 4)
            carried = sigmoid(f) * carried + sigmoid(i) * np.tanh(g)
            state = sigmoid(o) * np.tanh(carried)
        states.append(state)
    return np.array(states)


@pytest.mark.parametrize("cell", rnn.CELLS)
def test_recurrent_steps(random: None, cell: str) -> None:
    model = rnn.Model(rnn.Options(embedding=6, hidden=4, cell=cell), terms=TERMS, classes=3).eval()
    scores = numbers(model(Inputs(words=words())))
    for number, sequence in enumerate(SEQUENCES):
        values = numbers(model.vectors.table.weight)[sequence]
        one, other = model.cells
        forwards = stepped(cell, one, values)
        backwards = stepped(cell, other, values[::-1])[::-1]
        pooled = both(np.concatenate([forwards, backwards], 1))
        np.testing.assert_allclose(scores[number], linear(model.output, pooled), rtol=1e-4, atol=1e-5)


def normalised(layer: nn.LayerNorm, values: Floats) -> Floats:
    spread = np.sqrt(values.var(1, keepdims=True) + layer.eps)
    return (values - values.mean(1, keepdims=True)) / spread * numbers(layer.weight) + numbers(layer.bias)


def test_a_transformers_layer(random: None) -> None:
    layer = transformer.Layer(transformer.Options(embedding=8, n_heads=2, feedforward=5)).eval()
    vectors = torch.randn(4, 7, 8)
    found = numbers(layer(vectors, words().mask_BT))
    for number, sequence in enumerate(SEQUENCES):
        own = numbers(vectors[number, : len(sequence)])
        own = own + attended(layer.attention, normalised(layer.before_attention, own))
        inner = torch.from_numpy(linear(layer.dense[0], normalised(layer.before_dense, own)))
        own = own + linear(layer.dense[2], numbers(nn.functional.gelu(inner)))
        np.testing.assert_allclose(found[number, : len(sequence)], own, rtol=1e-4, atol=1e-5)


def test_sinusoids() -> None:
    found = transformer.sinusoids(50, 9)
    assert found.shape == (50, 9)
    for position, place in [(0, 0), (3, 1), (49, 4), (7, 8)]:
        angle = position / 10_000 ** ((place - place % 2) / 9)
        assert found[position, place].item() == pytest.approx(np.cos(angle) if place % 2 else np.sin(angle), abs=1e-5)


@pytest.mark.parametrize("name", READERS)
def test_padding_never_changes_a_result(random: None, name: str) -> None:
    """Whatever the padding's own vector holds."""
    model = built(name).eval()
    with torch.no_grad():
        for table in model.modules():
            if isinstance(table, nn.Embedding):
                table.weight[PADDING] = 7
    short = words([[2, 3, 4], [UNKNOWN]])
    wider = torch.nn.functional.pad(short.words_BT, (0, 9))
    expected = model(inputs(short))
    torch.testing.assert_close(model(inputs(Words(wider, short.lengths_B))), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", READERS)
def test_order_matters_to_some_and_every_word_to_all(random: None, name: str) -> None:
    model = built(name).eval()
    one, other, turned = (model(inputs(words([row]))) for row in ([2, 3, 4, 5], [2, 3, 4, 6], [4, 2, 5, 3]))
    assert not torch.allclose(one, other)
    if name != "attention":
        assert not torch.allclose(one, turned)


def test_words_are_dropped_in_training_alone(random: None) -> None:
    vectors = layers.WordVectors(TERMS, 4, word_dropout=0.5)
    some = words([[FIRST] * 1000, [FIRST]])
    unknown = vectors.table.weight[UNKNOWN]
    dropped = (vectors(some)[0] == unknown).all(1)
    assert 400 < int(dropped.sum()) < 600
    assert not vectors(some)[1, 1:].any()
    assert not (vectors.eval()(some)[0] == unknown).all(1).any()


@pytest.fixture
def random() -> None:
    torch.manual_seed(4)


def built(name: str) -> nn.Module:
    module = config.component("model", name)
    small: dict[str, Any] = {"embedding": 8}
    options = dataclasses.replace(module.Options(), **small)
    model: nn.Module = module.Model(options, terms=TERMS, classes=3)
    return model


def inputs(some: Words) -> Inputs:
    """With bags of terms beside them that are always the same."""
    from models.dataset.inputs import Bags

    count = len(some.words_BT)
    return Inputs(Bags(torch.arange(count), torch.arange(count), torch.ones(count)), some)
