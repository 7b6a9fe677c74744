"""Run the benchmarks named (default: all), print each one's table, and last one JSON line with all figures."""

import json
import sys

from tests.benchmarks import accuracy, baseline, growth, hadoop, throughput, training, weights

ALL = {
    "accuracy": accuracy.measure,
    "baseline": baseline.measure,
    "throughput": throughput.measure,
    "growth": growth.measure,
    "weights": weights.measure,
    "reading": training.reading,
    "gradients": training.gradients,
    "scaling": training.scaling,
    "memory": training.memory,
    "hadoop": hadoop.stages,
    "hadoop-reading": hadoop.reading,
}


def main(names: list[str]) -> None:
    """Measure and print."""
    figures = {}
    for name in names or list(ALL):
        rows = ALL[name]()
        figures[name] = rows
        print(f"\n{name}")
        for row in rows:
            print("  " + "  ".join(f"{key} {value}" for key, value in row.items()))
    print(json.dumps(figures))


main(sys.argv[1:])
