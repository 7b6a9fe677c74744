"""Draws the figures of the tutorial as SVG: `python docs/tutorial/figures/draw.py`."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

INK, BLUE, RED, GREEN, PALE = "#24292f", "#0b62a8", "#c0392b", "#2d7d46", "#e8eef4"
Point = tuple[float, float]


def text(x: float, y: float, words: str, *, colour: str = INK, anchor: str = "middle", size: int = 13) -> str:
    """Words whose baseline is at `y`."""
    return f'<text x="{x:g}" y="{y:g}" fill="{colour}" text-anchor="{anchor}" font-size="{size}">{words}</text>'


def line(points: Sequence[Point], *, colour: str = INK, width: float = 1.5, dashed: bool = False) -> str:
    """A line through points."""
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="{width:g}"{dashes}/>'


def arrow(start: Point, end: Point, *, colour: str = INK) -> str:
    """A straight line with a head at its end."""
    (x, y), (dx, dy) = end, (end[0] - start[0], end[1] - start[1])
    length = (dx * dx + dy * dy) ** 0.5
    ux, uy = dx / length, dy / length
    wings = [(x - 8 * ux + side * 4 * uy, y - 8 * uy - side * 4 * ux) for side in (1, -1)]
    head = " ".join(f"{px:.1f},{py:.1f}" for px, py in [end, *wings])
    return line([start, (x - 6 * ux, y - 6 * uy)], colour=colour) + f'<polygon points="{head}" fill="{colour}"/>'


def dot(x: float, y: float, colour: str, radius: float = 3.5) -> str:
    """A filled circle."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{colour}"/>'


def box(x: float, y: float, width: float, height: float, *, fill: str = "white", colour: str = INK) -> str:
    """A rectangle."""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="3" fill="{fill}" stroke="{colour}"'
        ' stroke-width="1.2"/>'
    )


def picture(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    """A whole SVG file, white behind, so that it can be read on a dark page too."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' role="img" font-family="system-ui, sans-serif">'
    )
    background = f'<rect width="{width}" height="{height}" rx="6" fill="white"/>'
    return "\n".join([head, f"<title>{title}</title>", background, *parts, "</svg>", ""])


def learning_rate() -> str:
    """Twelve steps down the parabola w² from w = 1, at three rates."""
    parts = []
    for panel, (rate, words) in enumerate([(0.02, "too low"), (0.3, "about right"), (1.05, "too high")]):
        middle, span = 125 + 240 * panel, 55.0
        walk = [1.0]
        for _ in range(5 if rate > 1 else 12):
            walk.append(walk[-1] * (1 - 2 * rate))
        parabola = [(middle + span * w, 190 - 50 * w * w) for w in np.linspace(-1.75, 1.75, 71)]
        steps = [(middle + span * w, 190 - 50 * w * w) for w in walk]
        parts += [line(parabola), line(steps, colour=RED, width=1)]
        parts += [dot(x, y, RED) for x, y in steps]
        parts += [text(middle, 222, f"rate {rate:g}"), text(middle, 24, words, size=15)]
    return picture(730, 236, "Gradient descent on a parabola at three learning rates", parts)


def back_propagation() -> str:
    """The two-layer example of chapter 2: values above the arrows, gradients below them."""
    columns = [80, 260, 440, 620]
    rows = [80, 190]
    heads = ["input x", "a = x W1,  h = relu(a)", "logits z = h W2", "p = softmax(z)"]
    parts = [text(x, 26, head, size=14) for x, head in zip(columns, heads, strict=True)]
    values = [["0.6", "0.8"], ["1 → 1", "-0.2 → 0"], ["1", "-1"], ["0.881", "0.119"]]
    errors = [["", ""], ["1.762", "0 (off)"], ["0.881", "-0.881"], ["", "right class"]]
    matrices = [[["1", "-1"], ["0.5", "0.5"]], [["1", "-1"], ["2", "0"]]]
    for layer, matrix in enumerate(matrices):
        for lower in range(2):
            for upper in range(2):
                start, end = (columns[layer] + 42, rows[lower]), (columns[layer + 1] - 42, rows[upper])
                parts.append(arrow(start, end, colour="#8a949e"))
                share = 0.24 if lower != upper else 0.5
                at = [start[k] + share * (end[k] - start[k]) for k in range(2)]
                parts.append(text(at[0], at[1] - 6, matrix[lower][upper], colour=BLUE))
    parts += [arrow((columns[2] + 42, y), (columns[3] - 42, y), colour="#8a949e") for y in rows]
    for column, x in enumerate(columns):
        for row, y in enumerate(rows):
            parts += [box(x - 42, y - 17, 84, 34, fill=PALE), text(x, y + 5, values[column][row])]
            parts.append(text(x, y + 35, errors[column][row], colour=GREEN if column == 3 else RED))
    parts.append(text(20, 262, "black: values, forward", anchor="start"))
    parts.append(text(190, 262, "blue: weights", anchor="start", colour=BLUE))
    parts.append(text(300, 262, "red: gradient of the loss, backward (of a, and of z)", anchor="start", colour=RED))
    return picture(700, 278, "Values and gradients of a network with one hidden layer", parts)


def overfitting() -> str:
    """The losses of chapter 4's first example, epoch by epoch."""
    random = np.random.default_rng(1)
    inputs = random.normal(size=(1060, 100))
    truth = inputs[:, :3].sum(axis=1) + random.normal(size=1060) > 0
    w = np.zeros(100)
    losses = []
    for _ in range(60):
        error = 1 / (1 + np.exp(-inputs[:60] @ w)) - truth[:60]
        w -= 0.2 * inputs[:60].T @ error / 60
        each = np.log1p(np.exp(-np.where(truth, 1, -1) * (inputs @ w)))
        losses.append((each[:60].mean(), each[60:].mean()))
    best = int(np.argmin([unseen for _, unseen in losses]))
    seen, unseen = (
        [(60 + 8.2 * epoch, 210 - 210 * pair[side]) for epoch, pair in enumerate(losses)] for side in (0, 1)
    )
    parts = [line([(60, 20), (60, 210), (560, 210)]), text(310, 240, "epoch"), text(54, 30, "loss", anchor="end")]
    parts += [line(seen, colour=BLUE, width=2), line(unseen, colour=RED, width=2)]
    parts += [line([(unseen[best][0], 210), unseen[best]], dashed=True), dot(*unseen[best], RED)]
    parts += [text(unseen[best][0], 226, "best epoch")]
    parts += [text(seen[-1][0] + 8, seen[-1][1] + 4, "training examples", anchor="start", colour=BLUE)]
    parts += [text(unseen[-1][0] + 8, unseen[-1][1] + 4, "other examples", anchor="start", colour=RED)]
    return picture(690, 254, "Overfitting: two losses, epoch by epoch", parts)


def convolution() -> str:
    """A filter over three of six words, and the maximum over all places."""
    words = ["the", "food", "was", "not", "good", "at"]
    answers = [0.1, 0.3, 0.2, 1.7, 0.9, 0.0]
    parts = [text(16, 66, "words", anchor="start"), text(16, 106, "vectors", anchor="start")]
    parts.append(text(16, 218, "answers", anchor="start"))
    for number, (word, answer) in enumerate(zip(words, answers, strict=True)):
        x = 130 + 85 * number
        parts += [text(x, 66, word, size=15), *(box(x - 26 + 13 * k, 92, 13, 20, fill=PALE) for k in range(4))]
        best = answer == max(answers)
        parts += [box(x - 26, 198, 52, 30, fill="#fbe3e0" if best else "white"), text(x, 218, f"{answer:g}")]
    for number in (2, 3, 4):
        parts.append(line([(130 + 85 * number, 118), (385, 192)], colour=RED, width=1))
    parts.append(box(262, 84, 246, 36, fill="none", colour=RED))
    parts.append(text(520, 150, "the filter, here at “not”", anchor="start", colour=RED))
    parts += [arrow((385, 228), (385, 262), colour=RED), text(385, 280, "maximum over time: 1.7", colour=RED)]
    parts.append(text(16, 26, "made-up numbers, to show what is computed from what", anchor="start", size=12))
    return picture(690, 296, "A convolution over words and its maximum over time", parts)


FIGURES = {
    "learning-rate.svg": learning_rate,
    "back-propagation.svg": back_propagation,
    "overfitting.svg": overfitting,
    "convolution.svg": convolution,
}

if __name__ == "__main__":
    for name, draw in FIGURES.items():
        (Path(__file__).parent / name).write_text(draw())
