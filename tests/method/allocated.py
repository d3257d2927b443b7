"""What tensors take at most at one time: every storage that an operation makes, until the last tensor lets go of it."""

import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class Allocated(TorchDispatchMode):
    """Use as a context. peak: bytes of storages made inside it and alive together; what existed before is not its."""

    def __init__(self):
        super().__init__()
        self._alive = {}
        self.now = self.peak = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        with self:  # some operations come here before they are taken apart
            parts = function.decompose(*args, **kwargs)
        if parts is not NotImplemented:
            return parts
        known = {id(t.untyped_storage()) for t in tree_iter((args, kwargs)) if isinstance(t, torch.Tensor)}
        out = function(*args, **kwargs)
        for tensor in tree_iter(out):
            if isinstance(tensor, torch.Tensor):
                self._made(tensor.untyped_storage(), known)
        return out

    def _made(self, storage, known):
        key = id(storage)
        if key in known or key in self._alive:
            return
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        self._alive[key] = weakref.finalize(storage, self._gone, key, storage.nbytes())

    def _gone(self, key, size):
        self._alive.pop(key, None)
        self.now -= size
