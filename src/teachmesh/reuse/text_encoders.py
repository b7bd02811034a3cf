"""Compute the similarity of class names, with or without a text encoder.

- `minilm`: a sentence encoder in an installable package; works offline (extra `text`).
- `clip`: CLIP's text tower, as in the paper; downloads its weights from a hub (extra `clip`).
- `names`: no encoder; cleaned names are either equal or different.

Every result includes the name of the encoder, or "names".
"""

from __future__ import annotations

import importlib
import importlib.util
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from teachmesh.data.text_files import DISTRIBUTION, encoder_is_installed
from teachmesh.errors import ConfigError, MissingExtraError, UsageError
from teachmesh.reuse.class_names import Label

ENCODERS = ("auto", "minilm", "clip", "names")
SAME_SYMBOL = 0.97
"""Similarity of names with the same symbol but different words ("digit 3" and "plate 3")."""
OPEN_CLIP = ("ViT-B-32", "openai")
TRANSFORMERS = "openai/clip-vit-base-patch32"
_BATCH = 64


class Encoder(Protocol):
    """Encodes sentences as unit vectors.

    Attributes:
        name: name of the encoder, included in every result.
    """

    name: str

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        """Return an (N, E) float32 array with one unit vector per sentence."""


class NameComparer:
    """Computes similarities between class names, from 0 to 1.

    Args:
        encoder: text encoder; None to check only whether cleaned names are equal.
    """

    def __init__(self, encoder: Encoder | None = None) -> None:
        self._encoder = encoder
        self._vectors: dict[str, np.ndarray] = {}

    @property
    def name(self) -> str:
        """Name of the encoder, or "names" if none is used."""
        return self._encoder.name if self._encoder is not None else "names"

    def similarity(self, one: Sequence[Label], other: Sequence[Label]) -> np.ndarray:
        """Return (A, B) float64 similarities: 1 for equal names, 0 if a name is meaningless.

        Symbols are only compared for equality, as are names in scripts that the encoder does not
        support.
        """
        result = self._cosines(one, other)
        for i, a in enumerate(one):
            for j, b in enumerate(other):
                if not a.words or not b.words:
                    result[i, j] = 0.0
                elif a.words == b.words:
                    result[i, j] = 1.0
                elif a.symbol is not None or b.symbol is not None:
                    result[i, j] = SAME_SYMBOL if a.symbol == b.symbol else 0.0
        return result

    def _cosines(self, one: Sequence[Label], other: Sequence[Label]) -> np.ndarray:
        result = np.zeros((len(one), len(other)))
        if self._encoder is None:
            return result
        rows = [i for i, label in enumerate(one) if _is_readable(label)]
        columns = [j for j, label in enumerate(other) if _is_readable(label)]
        if rows and columns:
            a = self._encoded(self._encoder, [one[i].prompt for i in rows])
            b = self._encoded(self._encoder, [other[j].prompt for j in columns])
            result[np.ix_(rows, columns)] = np.clip(a @ b.T, 0.0, 1.0)
        return result

    def _encoded(self, encoder: Encoder, sentences: Sequence[str]) -> np.ndarray:
        """Return an (N, E) float64 array, and cache it so that no sentence is encoded twice."""
        fresh = sorted(set(sentences) - set(self._vectors))
        if fresh:
            self._vectors |= dict(zip(fresh, encoder.encode(fresh).astype(np.float64), strict=True))
        return np.stack([self._vectors[sentence] for sentence in sentences])


def _is_readable(label: Label) -> bool:
    """Return whether all letters are Latin; English encoders cannot read other scripts."""
    letters = [c for c in label.words if c.isalpha()]
    return bool(letters) and all(unicodedata.name(c, "").startswith("LATIN") for c in letters)


def check_encoder(wanted: str) -> None:
    """Reject an unknown encoder, even if no encoder is needed.

    Raises:
        UsageError: the encoder is unknown.
    """
    if wanted not in ENCODERS:
        raise UsageError(f"expected an encoder out of {', '.join(ENCODERS)}, got {wanted!r}")


def choose_encoder(wanted: str = "auto") -> NameComparer:
    """Return a comparer with the requested encoder; "auto" uses MiniLM if it is installed.

    Raises:
        UsageError: the encoder is unknown.
        MissingExtraError: the requested encoder is not installed.
        StorageError: the files of the encoder are damaged.
        ConfigError: CLIP's weights could not be loaded.
    """
    check_encoder(wanted)
    if wanted == "clip":
        return NameComparer(ClipText())
    if wanted == "names" or (wanted == "auto" and not encoder_is_installed()):
        return NameComparer()
    if not encoder_is_installed():
        raise MissingExtraError(DISTRIBUTION, "text")
    from teachmesh.reuse.minilm import MiniLm

    return NameComparer(MiniLm())


class ClipText:
    """CLIP's text tower, which encodes sentences as unit vectors.

    Raises:
        MissingExtraError: neither open_clip nor transformers is installed.
        ConfigError: the weights are not on this machine and could not be downloaded.
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
        """Return an (N, 512) float32 array with one unit vector per sentence."""
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
