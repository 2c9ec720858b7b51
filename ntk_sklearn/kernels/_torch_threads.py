"""Torch on one thread in the threads that compute tiles."""

from __future__ import annotations

import threading

import torch

_lock = threading.Lock()


def single_threaded_torch() -> None:
    """Limit torch to the calling thread, which is to compute tiles and nothing else.

    ``torch.set_num_threads`` sets the number of the calling thread (OpenMP's and MKL's, which the
    product of matrices takes) and beside it the one that threads start with that have not used
    torch so far. The latter is put back, by a thread made for it.
    """
    with _lock:
        if torch.get_num_threads() == 1:
            return
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        helper = threading.Thread(target=torch.set_num_threads, args=(before,))
        helper.start()
        helper.join()
