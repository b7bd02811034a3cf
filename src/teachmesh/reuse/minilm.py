"""The sentence encoder all-MiniLM-L6-v2: a BERT model with six layers and mean pooling.

The package with the weights depends on half a gigabyte of other packages. The forward pass in this
module needs only torch and the tokenizer, and gives the same cosines.

References:
    Wang et al., MiniLM, NeurIPS 2020; Reimers and Gurevych, Sentence-BERT, EMNLP 2019.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from teachmesh.data.text_files import EncoderFiles, read_encoder_files

LAYERS, HEADS, WIDTH = 6, 12, 384
MAX_TOKENS = 64
_BATCH = 64
_EPSILON = 1e-12


class MiniLm:
    """Encodes sentences as unit vectors.

    Args:
        files: published weights and tokenizer; read from the installed package by default.

    Raises:
        StorageError: the files are missing or differ from the published files.
    """

    name = "all-minilm-l6-v2"

    def __init__(self, files: EncoderFiles | None = None) -> None:
        from safetensors.torch import load
        from tokenizers import Tokenizer

        files = files or read_encoder_files()
        self._weights = load(files.weights)
        self._tokenizer = Tokenizer.from_str(files.tokenizer)
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding()

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        """Return an (N, 384) float32 array with one unit vector per sentence."""
        parts = [
            self._batch(sentences[start : start + _BATCH])
            for start in range(0, len(sentences), _BATCH)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, WIDTH), dtype=np.float32)

    @torch.inference_mode()
    def _batch(self, sentences: Sequence[str]) -> np.ndarray:
        tokens = self._tokenizer.encode_batch(list(sentences))
        ids = torch.tensor([token.ids for token in tokens])  # (B, L)
        mask = torch.tensor([token.attention_mask for token in tokens])
        hidden = self._weights["embeddings.word_embeddings.weight"][ids]
        hidden = hidden + self._weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        hidden = hidden + self._weights["embeddings.token_type_embeddings.weight"][0]
        hidden = self._norm("embeddings.LayerNorm", hidden)
        for layer in range(LAYERS):
            hidden = self._layer(f"encoder.layer.{layer}", hidden, mask[:, None, None, :].bool())
        share = mask / mask.sum(1, keepdim=True)
        pooled = (hidden * share[:, :, None]).sum(1)
        return np.asarray(torch.nn.functional.normalize(pooled).numpy())

    def _layer(self, name: str, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        split = (*x.shape[:2], HEADS, WIDTH // HEADS)
        query, key, value = (
            self._linear(f"{name}.attention.self.{part}", x).view(split).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        context = torch.nn.functional.scaled_dot_product_attention(query, key, value, mask)
        context = context.transpose(1, 2).reshape(x.shape)
        attended = self._linear(f"{name}.attention.output.dense", context)
        x = self._norm(f"{name}.attention.output.LayerNorm", attended + x)
        inner = torch.nn.functional.gelu(self._linear(f"{name}.intermediate.dense", x))
        outer = self._linear(f"{name}.output.dense", inner)
        return self._norm(f"{name}.output.LayerNorm", outer + x)

    def _linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return torch.nn.functional.linear(x, weight, bias)

    def _norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return torch.nn.functional.layer_norm(x, (WIDTH,), weight, bias, _EPSILON)
