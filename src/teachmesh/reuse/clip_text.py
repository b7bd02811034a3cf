"""CLIP's text tower, the paper's encoder of class names, from either of two packages.

Its weights come from a hub, so this is the online choice; `text.choose_encoder` never takes it
unasked. Without a network it works from what an earlier call left in the package's own cache.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from teachmesh.errors import ConfigError, MissingExtraError

OPEN_CLIP = ("ViT-B-32", "openai")
TRANSFORMERS = "openai/clip-vit-base-patch32"
_BATCH = 64


class ClipText:
    """Sentences -> unit vectors (N, 512) in float32.

    Raises:
        MissingExtraError: neither open_clip nor transformers is installed.
        ConfigError: the weights are not here and could not be fetched.
    """

    name = "clip-vit-b-32"

    def __init__(self) -> None:
        try:
            if importlib.util.find_spec("transformers") is not None:
                self._encode = _transformers()
            elif importlib.util.find_spec("open_clip") is not None:
                self._encode = _open_clip()
            else:
                raise MissingExtraError("transformers", "clip")
        except (OSError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ConfigError(
                f"could not load CLIP's text tower ({reason}); it is fetched from a hub once, "
                "use --encoder minilm without a network"
            ) from error

    @torch.inference_mode()
    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        """(N, 512) float32 of length 1."""
        parts = [
            self._encode(list(sentences[start : start + _BATCH]))
            for start in range(0, len(sentences), _BATCH)
        ]
        if not parts:
            return np.zeros((0, 512), dtype=np.float32)
        return np.asarray(torch.nn.functional.normalize(torch.cat(parts).float()).numpy())


def _open_clip() -> Callable[[list[str]], torch.Tensor]:
    open_clip: Any = importlib.import_module("open_clip")
    model = open_clip.create_model(OPEN_CLIP[0], pretrained=OPEN_CLIP[1]).eval()
    tokenizer = open_clip.get_tokenizer(OPEN_CLIP[0])
    return lambda sentences: torch.as_tensor(model.encode_text(tokenizer(sentences)))


def _transformers() -> Callable[[list[str]], torch.Tensor]:
    package: Any = importlib.import_module("transformers")
    model = package.CLIPTextModelWithProjection.from_pretrained(TRANSFORMERS).eval()
    tokenizer = package.CLIPTokenizerFast.from_pretrained(TRANSFORMERS)

    def encode(sentences: list[str]) -> torch.Tensor:
        tokens = tokenizer(sentences, padding=True, truncation=True, return_tensors="pt")
        return torch.as_tensor(model(**tokens).text_embeds)

    return encode
