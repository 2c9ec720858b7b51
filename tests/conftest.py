"""One thread: the matrices are small, and waiting for a busy core costs more than it saves."""

from __future__ import annotations

import torch
from threadpoolctl import threadpool_limits

torch.set_num_threads(1)
threadpool_limits(1)
