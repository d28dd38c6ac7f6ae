"""Random streams that depend on a seed and on names, and on nothing else."""

import hashlib

import numpy as np


def random_stream(seed: int, *names: str) -> np.random.Generator:
    """Generator that depends on the seed and the names alone, on every machine and in every order.

    A hash keeps the streams of firm types apart without numbering them, so that adding a firm type
    changes no other type's draw.
    """
    digest = hashlib.sha256("/".join([str(seed), *names]).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))
