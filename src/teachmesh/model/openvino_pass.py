"""The forward pass by OpenVINO, an optional package for processors.

The network is traced once and compiled for any number of images, and again for a single image,
which is faster. OpenVINO's own converter is not used, because it reports each use to its authors.
"""

from __future__ import annotations

import threading
import warnings
from typing import Any

import torch

from teachmesh.errors import BackboneError, DeviceError, MissingExtraError
from teachmesh.model.forward_pass import ForwardPass, Tensors, own_modules
from teachmesh.model.lanes import MAX_LANES

_PRECISION = {torch.float32: "f32", torch.bfloat16: "bf16"}
_ANY_NUMBER = -1


class OpenVinoPass:
    """A frozen network that OpenVINO runs. It is thread-safe.

    Args:
        forward: the forward pass of the same network by torch, on the CPU.
        dtype: number type, torch.float32 or torch.bfloat16.

    Raises:
        MissingExtraError: OpenVINO is not installed.
        DeviceError: OpenVINO is installed, but cannot be loaded.
        BackboneError: OpenVINO cannot run the network.
    """

    def __init__(self, forward: ForwardPass, dtype: torch.dtype = torch.float32) -> None:
        try:
            import openvino
        except ModuleNotFoundError as error:
            if error.name != "openvino":
                raise _unusable(error) from error
            raise MissingExtraError("openvino", "openvino") from error
        except (ImportError, RuntimeError) as error:  # such as a library that it needs
            raise _unusable(error) from error
        self._forward = forward
        self._openvino: Any = openvino
        threads = torch.get_num_threads()
        self._options = {
            "INFERENCE_PRECISION_HINT": _PRECISION[dtype],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": str(min(threads, MAX_LANES)),
        }
        try:
            model = self._converted()
            self._compiled = {n: self._compile(model.clone(), n) for n in (1, _ANY_NUMBER)}
        except ImportError as error:  # another version has other modules
            raise _unusable(error) from error
        except RuntimeError as error:
            raise BackboneError(
                f"expected a network that OpenVINO can run, it says: {_reason(error)}; use "
                "--engine torch"
            ) from error
        self._mine = threading.local()

    def taps(self, images: torch.Tensor) -> Tensors:
        """Compute the raw pooled taps, (N, C_i) float32 each.

        Args:
            images: (N, 3, S, S) uint8.

        Raises:
            BackboneError: the images have another shape or type.
        """
        self._forward.check(images)
        request = self._request(1 if len(images) == 1 else _ANY_NUMBER)
        request.infer([images.permute(0, 2, 3, 1).contiguous().numpy()])
        return tuple(torch.from_numpy(tensor.data.copy()) for tensor in request.output_tensors)

    def _request(self, n_images: int) -> Any:
        """Return the calling thread's own request, because a request runs one pass at a time."""
        if not hasattr(self._mine, "requests"):
            self._mine.requests = {
                n: compiled.create_infer_request() for n, compiled in self._compiled.items()
            }
        return self._mine.requests[n_images]

    def _compile(self, model: Any, n_images: int) -> Any:
        size = self._forward.preprocessing.size
        model.reshape([n_images, 3, size, size])
        model = self._from_pixels(model)
        return self._openvino.Core().compile_model(model, "CPU", self._options)

    def _converted(self) -> Any:
        from openvino.frontend import FrontEndManager
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

        size = self._forward.preprocessing.size
        example = torch.zeros(2, 3, size, size)
        net = own_modules(self._forward.net)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # tracing is deprecated in torch, but OpenVINO needs it
            decoder = TorchScriptPythonDecoder(net, example_input=(example,))
            front_end = FrontEndManager().load_by_framework("pytorch")
            # The decoder must live until the end of the conversion.
            return front_end.convert(front_end.load(decoder))

    def _from_pixels(self, model: Any) -> Any:
        """Let a model take (N, S, S, 3) uint8 images, and normalise them."""
        from openvino.preprocess import PrePostProcessor

        openvino, preprocessing = self._openvino, self._forward.preprocessing
        steps = PrePostProcessor(model)
        image = steps.input(0)
        image.tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
        pixels = image.preprocess().convert_element_type(openvino.Type.f32)
        pixels.mean([255 * x for x in preprocessing.mean]).scale(
            [255 * x for x in preprocessing.std]
        )
        image.model().set_layout(openvino.Layout("NCHW"))
        return steps.build()


def _unusable(error: Exception) -> DeviceError:
    """Return the error for an OpenVINO that is installed, but cannot be loaded."""
    return DeviceError(
        f"expected an OpenVINO that can be loaded, it says: {_reason(error)}; install the extra "
        "openvino again, or use --engine torch"
    )


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
