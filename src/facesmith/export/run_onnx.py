"""Draw faces from an exported file with onnxruntime. Doesn't import torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesmith.errors import BadData, BadModel, BadOption
from facesmith.export.check_onnx import check_onnx
from facesmith.export.onnx_format import OUTPUTS, Metadata, missing_extra
from facesmith.export.seeded_noise import DRAWS, Floats
from facesmith.io.batches import full_batches
from facesmith.io.cpus import usable_cpus
from facesmith.io.files import refuse_lfs_pointer, sha256
from facesmith.io.messages import as_typed, one_line
from facesmith.io.seeds import BATCH_SIZE, check_psi, checked_seeds
from facesmith.pictures.images import Pixels, to_uint8_numpy
from facesmith.pictures.provenance import synthetic_metadata
from facesmith.watermark.embed import watermarked

MAX_BYTES = 2**29


class Session:
    """An onnxruntime session. Its metadata is not checked."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, z: Floats, w: Floats, psi: float) -> Floats:
        """Draw images, float32 `[N + M, C, H, W]`, from latents (see `onnx_format`)."""
        images: Floats = self._session.run(OUTPUTS[:1], {"z": z, "w": w, "psi": np.array(psi, np.float32)})[0]
        return images

    def latents(self, z: Floats, w: Floats) -> Floats:
        """Map z to intermediate latents, before truncation; w is appended unchanged."""
        latents: Floats = self._session.run(OUTPUTS[1:], {"z": z, "w": w, "psi": np.array(1, np.float32)})[0]
        return latents

    def metadata(self) -> dict[str, str]:
        """The file's metadata entries."""
        return dict(self._session.get_modelmeta().custom_metadata_map)


class OnnxModel:
    """A generator in an ONNX file, with the drawing methods of `facesmith.Model`.

    Arrays are NumPy's: latents float32 `[N, w_dim]`, images uint8 `[N, H, W, C]`.
    """

    def __init__(self, path: Path, session: Session, metadata: Metadata) -> None:
        self.path, self.metadata, self.header = path, metadata, metadata["header"]
        self.hash = metadata["model"]
        self._session, self._file_hash = session, sha256(path)

    @property
    def resolution(self) -> int:
        """Height and width of its images."""
        return self.metadata["resolution"]

    def sample(
        self,
        seeds: Sequence[int],
        psi: float = 1.0,
        condition: Mapping[str, float] | None = None,
        *,
        watermark: bool = False,
    ) -> Pixels:
        """Draw one face per seed. Pixels differ from torch's by at most one level of 255.

        Args:
            watermark: add the invisible watermark. It can turn a difference of one level into one of several.

        Raises:
            BadOption: a condition is given; exported models are unconditional.
        """
        check_psi(psi)
        if condition:
            raise BadOption(f"{self.path} takes no condition ({', '.join(condition)}): ONNX models are unconditional.")
        faces = self._draw(self._draw_z(seeds), self._empty_w(), psi)
        return watermarked(faces) if watermark else faces

    def with_normal_prior(self) -> OnnxModel:
        """Raise BadOption, because exported models have their prior built in."""
        raise BadOption(f"{self.path} has its prior built in. For --prior, use the model it was exported from.")

    def distorted(self, seeds: Sequence[int], condition: Mapping[str, float] | None = None) -> NDArray[np.bool_]:
        """Raise BadOption, because this needs PyTorch."""
        raise BadOption(f"--quality needs PyTorch. Give the model that {self.path} was exported from.")

    def latents(self, seeds: Sequence[int]) -> Floats:
        """The `w` of seeds: `[N, w_dim]`, or `[N, num_ws, w_dim]` for a generator with one latent per layer."""
        z = self._draw_z(seeds)
        return self._session.latents(z, self._empty_w()) if len(z) else self._empty_w()

    def synthesize(self, w: Floats, psi: float = 1.0) -> Pixels:
        """Draw one image per latent, shaped as `latents` returns them."""
        check_psi(psi)
        if w.shape[1:] != self._empty_w().shape[1:]:
            raise BadData(f"Latents of shape {list(w.shape)} don't fit {self.path}.")
        no_z = np.empty((0, self.metadata["z_dim"]), np.float32)
        return self._draw(no_z, np.ascontiguousarray(w, np.float32), psi)

    def provenance(self, entries: Mapping[str, str]) -> dict[str, str]:
        """The metadata of an image of this model, including the sha256 of the ONNX file.

        Args:
            entries: how the image was made, such as its seeds.
        """
        return synthetic_metadata(self.header["recipe"], self.hash, {"Onnx": self._file_hash, **entries})

    def _draw_z(self, seeds: Sequence[int]) -> Floats:
        numbers = checked_seeds(seeds)
        if (name := self.metadata.get("z")) is None:
            raise BadModel(
                f"{self.path}: drawing this recipe's latents needs torch. Use the model it was exported from."
            )
        z = np.empty((len(numbers), self.metadata["z_dim"]), np.float32)
        for row, seed in zip(z, numbers, strict=True):
            row[:] = DRAWS[name](seed, len(row))
        return z

    def _empty_w(self) -> Floats:
        num_ws, w_dim = self.metadata["num_ws"], self.metadata["w_dim"]
        return np.empty((0, w_dim) if num_ws == 1 else (0, num_ws, w_dim), np.float32)

    def _draw(self, z: Floats, w: Floats, psi: float) -> Pixels:
        """Draw from z or from w, of which the other is empty, in padded batches of one size."""
        side, channels = self.metadata["resolution"], self.metadata["channels"]
        images = np.empty((len(z) + len(w), side, side, channels), np.uint8)
        for rows, n in full_batches(len(images), BATCH_SIZE):
            batch = self._run(z[rows] if len(z) else z, w[rows] if len(w) else w, psi)
            if batch.shape != (len(rows), channels, side, side) or not np.isfinite(batch).all():
                raise BadModel(f"{self.path} draws no valid images: they are not finite or of the wrong size.")
            images[rows[:n]] = to_uint8_numpy(batch)[:n]
        return images

    def _run(self, z: Floats, w: Floats, psi: float) -> Floats:
        try:
            return self._session.run(z, w, psi)
        except Exception as error:  # noqa: BLE001 - onnxruntime's errors have no common base class
            raise BadModel(f"{self.path} can't be run ({one_line(str(error), 150)}).") from None


def load(path: Path, threads: int | None = None) -> OnnxModel:
    """Open a file that `facesmith export` wrote.

    Args:
        threads: CPU threads; by default, as many as there are usable CPUs.

    Raises:
        MissingExtra: onnxruntime is not installed.
        BadModel: the file is missing, damaged, not ours, or unsafe to run.
    """
    if not path.is_file():
        problem = "is not a regular file" if path.exists() else "does not exist"
        raise BadModel(f"{as_typed(path)} {problem}. Write such a file with facesmith export.")
    if path.stat().st_size > MAX_BYTES:
        raise BadModel(f"{path} is larger than any model that Facesmith exports.")
    refuse_lfs_pointer(path)
    content = path.read_bytes()
    metadata = check_onnx(content, str(path))
    return OnnxModel(path, open_session(content, path, threads), metadata)


def open_session(content: bytes, path: Path = Path("the model"), threads: int | None = None) -> Session:
    """Open the content of an ONNX file. Given as bytes, it can't make onnxruntime read other files.

    Raises:
        MissingExtra: onnxruntime is not installed.
        BadModel: the content is not ONNX, or it is damaged.
    """
    try:
        import onnxruntime  # type: ignore[import-untyped]
    except ImportError as error:
        raise missing_extra(error) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or usable_cpus()
    options.log_severity_level = 3
    try:
        return Session(onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"]))
    except Exception as error:  # noqa: BLE001 - onnxruntime's errors have no common base class
        raise BadModel(f"{path} can't be opened as ONNX ({one_line(str(error), 120)}). Is the file complete?") from None
