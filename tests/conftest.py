"""One thread: the matrices are small, and waiting for a busy core costs more than it saves.

And Ctrl-C is heard, also where a shell without job control started the suite in the background.
"""

from __future__ import annotations

import signal

import torch
from threadpoolctl import threadpool_limits

torch.set_num_threads(1)
threadpool_limits(1)
signal.signal(signal.SIGINT, signal.default_int_handler)
