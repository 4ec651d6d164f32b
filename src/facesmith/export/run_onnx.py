"""Draw from an exported file by onnxruntime. Nothing here loads torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facesmith.errors import BadData, BadModel, BadOption
from facesmith.export.onnx_format import INPUTS, METADATA_KEY, ONNX_FORMAT, OUTPUTS, Metadata, missing_extra
from facesmith.export.seeded_noise import DRAWS, Floats
from facesmith.io.batches import full_batches
from facesmith.io.files import sha256
from facesmith.io.images import Pixels, to_uint8_numpy
from facesmith.io.provenance import synthetic_metadata
from facesmith.io.seeds import BATCH_SIZE, check_psi, check_seeds

MOST_BYTES = 2 * 2**30


class Session:
    """An opened file, whatever its metadata say."""

    def __init__(self, opened: Any) -> None:
        self._opened = opened

    def run(self, z: Floats, w: Floats, psi: float) -> Floats:
        """Pictures float `[N + M, C, H, W]` of latents (`onnx.form`)."""
        images: Floats = self._opened.run(OUTPUTS[:1], {"z": z, "w": w, "psi": np.array(psi, np.float32)})[0]
        return images

    def latents(self, z: Floats, w: Floats) -> Floats:
        """What z is mapped to, and w, before truncation."""
        latents: Floats = self._opened.run(OUTPUTS[1:], {"z": z, "w": w, "psi": np.array(1, np.float32)})[0]
        return latents

    def told(self) -> dict[str, str]:
        """The metadata's texts by name."""
        return dict(self._opened.get_modelmeta().custom_metadata_map)

    def names(self) -> tuple[list[str], list[str]]:
        """Of inputs and outputs."""
        return [each.name for each in self._opened.get_inputs()], [each.name for each in self._opened.get_outputs()]


class OnnxModel:
    """A generator to draw with, as `sample.Model`, without torch.

    Arrays are numpy's: latents float32 `[N, w_dim]`, pictures uint8 `[N, H, W, C]`.
    """

    def __init__(self, path: Path, session: Session, told: Metadata) -> None:
        self.path, self.told, self.header = path, told, told["header"]
        self.hash = told["model"]
        self._session, self._file_hash = session, sha256(path)

    def sample(self, seeds: Sequence[int], psi: float = 1.0, condition: Mapping[str, float] | None = None) -> Pixels:
        """One face for each seed: within a level of 255, what the model it was made of draws with torch.

        Raises:
            BadOption: anything is given; a model in ONNX can't be told.
        """
        check_psi(psi)
        if condition:
            raise BadOption(f"{self.path} can't be told {', '.join(condition)}; models in ONNX have no condition.")
        z = self._z(seeds)
        return self._drawn(z, self._no_w(), psi)

    def latents(self, seeds: Sequence[int]) -> Floats:
        """`w` of seeds: `[N, w_dim]`, or `[N, num_ws, w_dim]` where a generator has a latent for each layer."""
        z = self._z(seeds)
        return self._session.latents(z, self._no_w()) if len(z) else self._no_w()

    def synthesize(self, w: Floats, psi: float = 1.0) -> Pixels:
        """Pictures of latents as `latents` gives them."""
        check_psi(psi)
        if w.shape[1:] != self._no_w().shape[1:]:
            raise BadData(f"Latents of shape {list(w.shape)} don't fit {self.path}.")
        return self._drawn(np.empty((0, self.told["z_dim"]), np.float32), np.ascontiguousarray(w, np.float32), psi)

    def provenance(self, shown: Mapping[str, str]) -> dict[str, str]:
        """What a picture of this model carries in its metadata, and in what file the model was."""
        return synthetic_metadata(self.header["recipe"], self.hash, {"Onnx": self._file_hash, **shown})

    def _z(self, seeds: Sequence[int]) -> Floats:
        check_seeds(seeds)
        if (name := self.told.get("z")) is None:
            raise BadModel(f"{self.path}: its recipe's latents can't be drawn without torch; use the model itself.")
        z = np.empty((len(seeds), self.told["z_dim"]), np.float32)
        for row, seed in zip(z, seeds, strict=True):
            row[:] = DRAWS[name](seed, len(row))
        return z

    def _no_w(self) -> Floats:
        told = self.told
        shape = (0, told["w_dim"]) if told["num_ws"] == 1 else (0, told["num_ws"], told["w_dim"])
        return np.empty(shape, np.float32)

    def _drawn(self, z: Floats, w: Floats, psi: float) -> Pixels:
        """One of z and w is empty; the other is drawn in batches of one size."""
        side, channels = self.told["resolution"], self.told["channels"]
        pictures = np.empty((len(z) + len(w), side, side, channels), np.uint8)
        for rows, n in full_batches(len(pictures), BATCH_SIZE):
            drawn = self._session.run(z[rows] if len(z) else z, w[rows] if len(w) else w, psi)
            pictures[rows[:n]] = to_uint8_numpy(drawn)[:n]
        return pictures


def load(path: Path, threads: int | None = None) -> OnnxModel:
    """Open a file that `facesmith export` has written.

    Args:
        threads: of the processor; by default all.

    Raises:
        MissingExtra: onnxruntime is not installed.
        BadModel: it is not there, damaged, or not one of ours.
    """
    if not path.is_file():
        raise BadModel(f"{path} does not exist. facesmith export writes such files.")
    if path.stat().st_size > MOST_BYTES:
        raise BadModel(f"{path} is larger than any model of ours.")
    session = open_session(path.read_bytes(), path, threads)
    return OnnxModel(path, session, _metadata(path, session))


def open_session(content: bytes, path: Path = Path("the model"), threads: int | None = None) -> Session:
    """Open ONNX by its bytes, so that it can't name other files to be read beside it.

    Raises:
        MissingExtra: onnxruntime is not installed.
        BadModel: it is no ONNX, or damaged.
    """
    try:
        import onnxruntime  # type: ignore[import-untyped]
    except ImportError as error:
        raise missing_extra(error) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3
    try:
        return Session(onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"]))
    except Exception as error:  # noqa: BLE001 - onnxruntime has a class for each status, and no common one
        raise BadModel(f"{path} can't be opened as ONNX ({' '.join(str(error).split())[:120]}). Is it whole?") from None


def _metadata(path: Path, session: Session) -> Metadata:
    wrong = BadModel(
        f"{path} is no model of Facesmith: only files that facesmith export has written can be drawn from."
    )
    try:
        told: Metadata = json.loads(session.told()[METADATA_KEY])
        if told["format"] != ONNX_FORMAT:
            raise BadModel(f"{path} has format {told['format']!r}; this version reads {ONNX_FORMAT}. Update facesmith.")
        sizes = (told["resolution"], told["channels"], told["z_dim"], told["w_dim"], told["num_ws"])
        fits = all(type(size) is int and 0 < size <= 2**16 for size in sizes)
        texts = (told["model"], told["header"]["recipe"], told["licence"])
        fits = fits and all(isinstance(text, str) for text in texts) and told.get("z", "normal") in DRAWS
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        raise wrong from None
    if not fits or session.names() != (list(INPUTS), list(OUTPUTS)):
        raise wrong
    return told
