"""In which order rows are trained on: a pure function of the seed.

The order of a whole run is one list, so that a resumed run continues at an index, whatever the
epoch, the process count or the state of any random generator.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def num_steps(num_rows: int, global_batch: int, epochs: float) -> int:
    """Return the optimizer steps of a run; the last one of an epoch may be filled from the next."""
    return max(1, math.ceil(num_rows * epochs / global_batch))


def sample_order(
    lengths: npt.NDArray[np.int64], *, steps: int, global_batch: int, seed: int
) -> npt.NDArray[np.int64]:
    """Return row numbers, int64 [steps * global_batch].

    Every epoch is a new permutation. Within one global batch rows stand by length, so that
    micro-batches hold rows alike and little is padded; which rows share a global batch stays
    random, and so does the gradient.
    """
    wanted = steps * global_batch
    epochs = math.ceil(wanted / len(lengths))
    order = np.concatenate(
        [np.random.default_rng([seed, epoch]).permutation(len(lengths)) for epoch in range(epochs)]
    )[:wanted]
    batches = order.reshape(steps, global_batch)
    by_length = np.argsort(lengths[batches], axis=1, kind="stable")
    return np.take_along_axis(batches, by_length, axis=1).reshape(-1)
