"""Each architecture computes what plain NumPy does by its formulas, and padding never changes a result."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models import attention, rnn, textcnn, transformer
from models.dataset.encoder import pad_words
from models.dataset.inputs import FIRST_TERM, PADDING, UNKNOWN, Bags, Inputs, Words
from models.parts import layers
from pipelines import config
from tests.models.cases import MODELS, TERMS, ragged

Floats = NDArray[np.float64]
SEQUENCES = [[2, 3, 4, 5, 6, 7, 3], [8, 2, 2], [9], [4, 4, 5, 10, 3, 2, 6]]
WORD_MODELS = [name for name in MODELS if "words" in config.component("model", name).READS]


def words(sequences: list[list[int]] = SEQUENCES) -> Words:
    return pad_words(ragged(sequences))


def to_numpy(tensor: Tensor) -> Floats:
    return tensor.detach().double().numpy()


def linear(layer: nn.Linear, values: Floats) -> Floats:
    result: Floats = values @ to_numpy(layer.weight).T + (to_numpy(layer.bias) if layer.bias is not None else 0)
    return result


def softmax(values: Floats) -> Floats:
    powers = np.exp(values - values.max(-1, keepdims=True))
    result: Floats = powers / powers.sum(-1, keepdims=True)
    return result


def sigmoid(values: Floats) -> Floats:
    result: Floats = 1 / (1 + np.exp(-values))
    return result


def attended(layer: attention.SelfAttention, values: Floats) -> Floats:
    """softmax(Q Kᵀ / √D) V of one document without padding, head by head."""
    width = values.shape[1]
    queries, keys, mixed = np.split(linear(layer.project, values), 3, axis=1)
    size = width // layer.heads
    heads = []
    for start in range(0, width, size):
        part = slice(start, start + size)
        heads.append(softmax(queries[:, part] @ keys[:, part].T / np.sqrt(size)) @ mixed[:, part])
    return linear(layer.output, np.concatenate(heads, 1))


def pool(values: Floats) -> Floats:
    """Maximum and mean over the words."""
    return np.concatenate([values.max(0), values.mean(0)])


def test_attention_equals_its_formula(seeded: None) -> None:
    layer = attention.SelfAttention(12, 3)
    vectors = torch.randn(4, 7, 12)
    outputs = to_numpy(layer(vectors, words().mask_BT))
    for number, sequence in enumerate(SEQUENCES):
        own = to_numpy(vectors[number, : len(sequence)])
        np.testing.assert_allclose(outputs[number, : len(sequence)], attended(layer, own), rtol=1e-4, atol=1e-6)


def test_pooling_ignores_padding(seeded: None) -> None:
    values = torch.randn(4, 7, 5)
    mask = words().mask_BT
    pooled = torch.cat([layers.masked_max(values, mask), layers.masked_mean(values, mask)], 1)
    for number, sequence in enumerate(SEQUENCES):
        np.testing.assert_allclose(to_numpy(pooled)[number], pool(to_numpy(values[number, : len(sequence)])), rtol=1e-5)


def test_textcnn_equals_its_formula(seeded: None) -> None:
    model = textcnn.Model(textcnn.Options(embedding=6, filters=4, widths=[1, 3]), terms=TERMS, classes=3).eval()
    scores = to_numpy(model(Inputs(words=words())))
    for number, sequence in enumerate(SEQUENCES):
        pooled = []
        for convolution in model.convolutions:
            weight, bias = to_numpy(convolution.weight), to_numpy(convolution.bias)
            reach = weight.shape[2] // 2
            table = np.pad(to_numpy(model.vectors.table.weight)[sequence], ((reach, reach), (0, 0)))
            windows = [table[start : start + weight.shape[2]] for start in range(len(sequence))]
            steps = [np.einsum("we,few->f", window, weight) + bias for window in windows]
            pooled.append(np.maximum(np.max(steps, 0), 0))
        np.testing.assert_allclose(scores[number], linear(model.output, np.concatenate(pooled)), rtol=1e-4, atol=1e-5)


def run_cell(cell: str, cells: nn.RNNBase, values: Floats) -> Floats:
    """The states of one direction, by the formulas in torch.nn's documentation."""
    from_input, from_state, of_input, of_state = (
        to_numpy(getattr(cells, f"{name}_l0")) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
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
def test_recurrent_layers_equal_their_formulas(seeded: None, cell: str) -> None:
    model = rnn.Model(rnn.Options(embedding=6, hidden=4, cell=cell), terms=TERMS, classes=3).eval()
    scores = to_numpy(model(Inputs(words=words())))
    for number, sequence in enumerate(SEQUENCES):
        values = to_numpy(model.vectors.table.weight)[sequence]
        one, other = model.cells
        forwards = run_cell(cell, one, values)
        backwards = run_cell(cell, other, values[::-1])[::-1]
        pooled = pool(np.concatenate([forwards, backwards], 1))
        np.testing.assert_allclose(scores[number], linear(model.output, pooled), rtol=1e-4, atol=1e-5)


def layer_norm(layer: nn.LayerNorm, values: Floats) -> Floats:
    spread = np.sqrt(values.var(1, keepdims=True) + layer.eps)
    return (values - values.mean(1, keepdims=True)) / spread * to_numpy(layer.weight) + to_numpy(layer.bias)


def test_a_transformer_layer_equals_its_formula(seeded: None) -> None:
    layer = transformer.Layer(transformer.Options(embedding=8, n_heads=2, feedforward=5)).eval()
    vectors = torch.randn(4, 7, 8)
    outputs = to_numpy(layer(vectors, words().mask_BT))
    for number, sequence in enumerate(SEQUENCES):
        own = to_numpy(vectors[number, : len(sequence)])
        own = own + attended(layer.attention, layer_norm(layer.before_attention, own))
        inner = torch.from_numpy(linear(layer.dense[0], layer_norm(layer.before_dense, own)))
        own = own + linear(layer.dense[2], to_numpy(nn.functional.gelu(inner)))
        np.testing.assert_allclose(outputs[number, : len(sequence)], own, rtol=1e-4, atol=1e-5)


def test_sinusoids_equal_their_formula() -> None:
    encoding = transformer.sinusoids(50, 9)
    assert encoding.shape == (50, 9)
    for position, column in [(0, 0), (3, 1), (49, 4), (7, 8)]:
        angle = position / 10_000 ** ((column - column % 2) / 9)
        expected = np.cos(angle) if column % 2 else np.sin(angle)
        assert encoding[position, column].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", WORD_MODELS)
def test_padding_never_changes_a_result(seeded: None, name: str) -> None:
    """Not even if the padding has a vector other than zero."""
    model = build(name).eval()
    with torch.no_grad():
        for table in model.modules():
            if isinstance(table, nn.Embedding):
                table.weight[PADDING] = 7
    short = words([[2, 3, 4], [UNKNOWN]])
    wider = torch.nn.functional.pad(short.words_BT, (0, 9))
    expected = model(inputs(short))
    torch.testing.assert_close(model(inputs(Words(wider, short.lengths_B))), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", WORD_MODELS)
def test_every_word_matters_and_except_to_attention_its_position(seeded: None, name: str) -> None:
    model = build(name).eval()
    one, other, reordered = (model(inputs(words([row]))) for row in ([2, 3, 4, 5], [2, 3, 4, 6], [4, 2, 5, 3]))
    assert not torch.allclose(one, other)
    if name != "attention":
        assert not torch.allclose(one, reordered)


def test_words_are_dropped_only_in_training(seeded: None) -> None:
    vectors = layers.WordEmbedding(TERMS, 4, word_dropout=0.5)
    sequences = words([[FIRST_TERM] * 1000, [FIRST_TERM]])
    unknown = vectors.table.weight[UNKNOWN]
    dropped = (vectors(sequences)[0] == unknown).all(1)
    assert 400 < int(dropped.sum()) < 600
    assert not vectors(sequences)[1, 1:].any()
    assert not (vectors.eval()(sequences)[0] == unknown).all(1).any()


@pytest.fixture
def seeded() -> None:
    torch.manual_seed(4)


def build(name: str) -> nn.Module:
    module = config.component("model", name)
    small: dict[str, Any] = {"embedding": 8}
    options = dataclasses.replace(module.Options(), **small)
    model: nn.Module = module.Model(options, terms=TERMS, classes=3)
    return model


def inputs(sequences: Words) -> Inputs:
    """The words, with one term for each document in the bags."""
    count = len(sequences.words_BT)
    return Inputs(Bags(torch.arange(count), torch.arange(count), torch.ones(count)), sequences)
