"""Proof that a model was not changed: a hash over every parameter and buffer, and its settings."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def fingerprint(model: nn.Module, settings: bytes = b"") -> str:
    """Hash names, dtypes, shapes and bytes of all parameters and buffers.

    Parameters
    ----------
    model : torch.nn.Module
    settings : bytes
        What else decides the answers: configuration, vocabulary, tokenizer.

    Returns
    -------
    str
        SHA-256, hexadecimal. It does not depend on the device or the memory layout.
    """
    digest = hashlib.sha256(settings)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        plain = tensor.detach().cpu().contiguous()
        digest.update(memoryview(plain.reshape(-1).view(torch.uint8).numpy()))
    return digest.hexdigest()
