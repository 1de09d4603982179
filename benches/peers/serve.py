"""A Python engine's side of the protocol; see README.md."""

import importlib.metadata
import json
import os
import sys
import time

import numpy as np

from memory import peak_mb


def serve(package, load, images):
    """`load` returns a function that computes logits of `images` once: an array, or a list of arrays."""
    # Output of libraries must not mix with our answers.
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(value):
        lines.write(json.dumps(value) + "\n")
        lines.flush()

    start = time.perf_counter()
    run = load()
    outputs = run(images)
    load_ms = (time.perf_counter() - start) * 1e3
    version = importlib.metadata.version(package)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    logits = np.concatenate([np.asarray(output).ravel() for output in outputs])
    say({"version": version, "load_ms": load_ms, "logits": logits.tolist()})
    for line in sys.stdin:
        count, pause, *_ = [*map(int, line.split()[1:]), 0]
        times = []
        for _ in range(count):
            if pause:
                time.sleep(pause / 1e3)
            start = time.perf_counter()
            run(images)
            times.append((time.perf_counter() - start) * 1e3)
        say(times)
    say({"peak_rss_mb": peak_mb()})
