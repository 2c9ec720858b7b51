"""Whether both libraries compute the same kernel."""

from __future__ import annotations

import numpy as np

from .contenders import Plan, blocks, flat, kernel
from .description import describe
from .process import Peer
from .work import Work

# Largest relative difference. Equal rows are left out: neural-tangents is off there by up to 1e-3
# in float32 and 1e-8 in float64, since it takes angles near 0 from rounded cosines. Photographs
# have equal patches.
TOLERANCES = {"float32": 1e-4, "float64": 1e-10}
FEW_ROWS, FEW_IMAGES = 500, 2
PHOTOGRAPHS = {"float32": 1e-3, "float64": 1e-8}


def difference(work: Work, peer: Peer, plan: Plan) -> float:
    """Largest relative difference of the libraries' kernels on a few inputs.

    Raises
    ------
    ValueError
        If it is above the tolerance: what is timed would not be the same.
    """
    few = FEW_ROWS if work.size is None else plan.peer_side or FEW_IMAGES
    X, Z = blocks(work, few, peer.dtype, plan)
    peer.prepare(describe(work.network), plan.get, X, Z)
    expected = peer.values()
    found = kernel(work, plan.get, peer.dtype)(*flat((X, Z))).reshape(expected.shape)
    relative = np.abs(found / expected - 1)
    if Z is None:
        relative[:, np.arange(few), np.arange(few)] = 0
    largest = float(relative.max())
    tolerance = (TOLERANCES if plan.images is None else PHOTOGRAPHS)[peer.dtype]
    if not largest <= tolerance:
        raise ValueError(f"{work.title}: kernels in {peer.dtype} differ by {largest:.1e}")
    return largest
