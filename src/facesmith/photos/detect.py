"""Find faces: MTCNN as a cascade over whole batches of photos.

P-Net looks at a pyramid of every photo and proposes boxes, R-Net rejects most of them, O-Net decides and places five
landmarks. Photos of one size share their pyramid; crops of all photos go through R- and O-Net together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.ops import batched_nms, roi_align

from facesmith.io.images import Pixels, resize
from facesmith.photos.mtcnn import load_networks

WINDOW_PX = 12  # what P-Net looks at
STRIDE_PX = 2
PYRAMID_STEP = 0.709  # area halves from level to level
PROPOSAL_THRESHOLD = 0.6
REFINED_THRESHOLD = 0.7
DEFAULT_THRESHOLD = 0.85
CROPS_AT_ONCE = 64  # more fall out of the processor's cache
FACE_CHECK_SIZE_PX, FACE_CHECK_MIN_FACE_PX, FACE_CHECK_THRESHOLD = (
    64,
    30,
    0.9,
)  # how samples are asked whether they are faces


@dataclass(frozen=True)
class Detections:
    """The faces of one photo, most confident first, in pixels from its upper left corner.

    Attributes:
        boxes: float32 `[K, 4]`: left, top, width, height; may reach beyond the photo.
        confidence: float32 `[K]`, 0-1.
        landmarks: float32 `[K, 5, 2]`: x and y of the left eye, right eye, nose, left and right corner of the mouth;
            left is the viewer's left.
    """

    boxes: NDArray[np.float32]
    confidence: NDArray[np.float32]
    landmarks: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.confidence)


@dataclass
class _Candidates:
    """Boxes under examination: photo `[K]`, corners `[K, 4]` in pixels (float64), probability `[K]`."""

    photo: Tensor
    corners: Tensor
    probability: Tensor

    def take(self, chosen: Tensor) -> _Candidates:
        return _Candidates(self.photo[chosen], self.corners[chosen], self.probability[chosen])

    def without_overlaps(self, limit: float, apart: Tensor | None = None) -> _Candidates:
        """Drop boxes that overlap a likelier one of their photo (or of their part, if given)."""
        return self.take(
            batched_nms(self.corners, self.probability.double(), self.photo if apart is None else apart, limit)
        )


@dataclass
class _Group:
    """Photos of one size.

    Attributes:
        places: `[n]`, which photos of the batch these are.
        rows: `[N]`, for each photo of the batch its row here, or -1.
        reduced: uint8 `[n, 3, H, W]` stored channels last: the photos, then their copies halved again and again.
    """

    places: Tensor
    rows: Tensor
    reduced: list[Tensor]


class Detector:
    """Finds faces in photos. One detector may be used by many threads at once.

    Args:
        min_face_px: smaller faces may be missed; larger values are faster.
        threshold: probability from which a face counts.
    """

    def __init__(self, min_face_px: int = 40, threshold: float = DEFAULT_THRESHOLD) -> None:
        self.min_face_px = min_face_px
        self.threshold = threshold
        self.pnet, self.rnet, self.onet = load_networks()

    @torch.inference_mode()
    def detect(self, photos: Sequence[Pixels]) -> list[Detections]:
        """The faces of each of N photos, uint8 RGB `[H, W, 3]` of any sizes."""
        groups = _grouped(photos)
        if not groups:
            return []
        proposed = _joined([self._propose(group) for group in groups])
        return self._decide(groups, self._refine(groups, proposed), len(photos))

    def _propose(self, group: _Group) -> _Candidates:
        """P-Net over the pyramid of photos of one size."""
        height, width = group.reduced[0].shape[2:]
        levels = []
        for level_height, level_width in pyramid_sizes(height, width, self.min_face_px):
            nearest = next(copy for copy in reversed(group.reduced) if copy.shape[2] >= level_height)
            level = interpolate(nearest, (level_height, level_width), mode="bilinear", antialias=True)
            probability, correction = self.pnet(_normalised(level))
            photo, y, x = (probability > PROPOSAL_THRESHOLD).nonzero(as_tuple=True)
            windows = torch.stack((x, y, x, y), 1).double() * STRIDE_PX
            windows[:, 2:] += WINDOW_PX
            corners = windows + correction[photo, y, x].double() * WINDOW_PX
            corners *= corners.new_tensor((width / level_width, height / level_height)).repeat(2)
            here = _Candidates(photo, corners, probability[photo, y, x])
            levels.append(here.without_overlaps(0.5))
        proposed = _joined(levels).without_overlaps(0.7)
        return _Candidates(group.places[proposed.photo], _squared(proposed.corners), proposed.probability)

    def _refine(self, groups: list[_Group], candidates: _Candidates) -> _Candidates:
        """R-Net on the proposals."""
        crops = _crops(groups, candidates, 24)
        answers = [self.rnet(part) for part in torch.split(crops, CROPS_AT_ONCE)]
        probability, correction = (torch.cat(parts) for parts in zip(*answers, strict=True))
        refined = _Candidates(candidates.photo, _corrected(candidates.corners, correction), probability)
        refined = refined.take(probability > REFINED_THRESHOLD).without_overlaps(0.7)
        return _Candidates(refined.photo, _squared(refined.corners), refined.probability)

    def _decide(self, groups: list[_Group], candidates: _Candidates, n_photos: int) -> list[Detections]:
        """O-Net on what R-Net left; the results are in the order of the photos."""
        crops = _crops(groups, candidates, 48)
        answers = [self.onet(part) for part in torch.split(crops, CROPS_AT_ONCE)]
        probability, correction, points = (torch.cat(parts) for parts in zip(*answers, strict=True))
        sides = (candidates.corners[:, 2:] - candidates.corners[:, :2])[:, None]
        landmarks = candidates.corners[:, None, :2] + points.double() * sides
        corners = _corrected(candidates.corners, correction)
        results = []
        for number in range(n_photos):
            mine = ((candidates.photo == number) & (probability > self.threshold)).nonzero()[:, 0]
            mine = mine[probability[mine].argsort(descending=True, stable=True)]
            mine = mine[_apart(corners[mine], 0.7)]
            boxes = torch.cat((corners[mine, :2], corners[mine, 2:] - corners[mine, :2]), 1)
            arrays = (part.float().numpy() for part in (boxes, probability[mine], landmarks[mine]))
            results.append(Detections(*arrays))
        return results


def shows_face(pictures: Pixels) -> NDArray[np.bool_]:
    """Which of pictures, uint8 `[N, S, S, 3]`, are filled by a face for sure; bool `[N]`.

    The share of True among samples tells how many of them are faces at all, and nothing of their variety. Protocol:
    pictures reduced to 64 px, faces of 30 px or more, probability above .9. Of 500 real CelebA faces as DCGAN
    tutorials crop them it finds .988, upside down .05, with their tiles of 8x8 shuffled 0.
    """
    detector = Detector(FACE_CHECK_MIN_FACE_PX, FACE_CHECK_THRESHOLD)
    found: list[bool] = []
    for start in range(0, len(pictures), CROPS_AT_ONCE):
        batch = [resize(picture, FACE_CHECK_SIZE_PX) for picture in pictures[start : start + CROPS_AT_ONCE]]
        found += [len(faces) > 0 for faces in detector.detect(batch)]
    return np.array(found, dtype=np.bool_)


def pyramid_sizes(height: int, width: int, min_face_px: int) -> list[tuple[int, int]]:
    """Heights and widths of the reduced copies in which faces from `min_face_px` up become 12 px high."""
    sizes, scale = [], WINDOW_PX / min_face_px
    while min(height, width) * scale >= WINDOW_PX:
        sizes.append((round(height * scale), round(width * scale)))
        scale *= PYRAMID_STEP
    return sizes


def _joined(parts: list[_Candidates]) -> _Candidates:
    none = _Candidates(torch.empty(0, dtype=torch.long), torch.empty(0, 4, dtype=torch.double), torch.empty(0))
    photos, corners, probabilities = zip(*((p.photo, p.corners, p.probability) for p in (none, *parts)), strict=True)
    return _Candidates(torch.cat(photos), torch.cat(corners), torch.cat(probabilities))


def _grouped(photos: Sequence[Pixels]) -> list[_Group]:
    by_size: dict[tuple[int, ...], list[int]] = {}
    for place, photo in enumerate(photos):
        by_size.setdefault(photo.shape, []).append(place)
    groups = []
    for places in by_size.values():
        rows = torch.full((len(photos),), -1)
        rows[places] = torch.arange(len(places))
        reduced = [torch.from_numpy(np.stack([photos[place] for place in places])).permute(0, 3, 1, 2)]
        while min(reduced[-1].shape[2:]) >= 2 * WINDOW_PX:
            half = (-(-reduced[-1].shape[2] // 2), -(-reduced[-1].shape[3] // 2))
            reduced.append(interpolate(reduced[-1], half, mode="bilinear", antialias=True))
        groups.append(_Group(torch.tensor(places), rows, reduced))
    return groups


def _normalised(pixels: Tensor) -> Tensor:
    return pixels.float().sub_(127.5).mul_(1 / 128)


def _squared(corners: Tensor) -> Tensor:
    """The smallest squares around boxes `[K, 4]`, on the same centres."""
    centre = (corners[:, :2] + corners[:, 2:]) / 2
    half = (corners[:, 2:] - corners[:, :2]).amax(1, keepdim=True) / 2
    return torch.cat((centre - half, centre + half), 1)


def _corrected(corners: Tensor, correction: Tensor) -> Tensor:
    """Boxes `[K, 4]` moved by corrections `[K, 4]` in parts of their sides."""
    return corners + correction.double() * (corners[:, 2:] - corners[:, :2]).repeat(1, 2)


def _crops(groups: list[_Group], candidates: _Candidates, size_px: int) -> Tensor:
    """What candidates show, float `[K, 3, size_px, size_px]`; black outside the photo, as in MTCNN's training.

    Each box is cut from the copy in which it is nearest to `size_px`: one sample per pixel neither blurs nor aliases.
    """
    crops = torch.empty(len(candidates.photo), 3, size_px, size_px)
    sides_px = (candidates.corners[:, 2:] - candidates.corners[:, :2]).amax(1)
    halvings = (sides_px / size_px).log2().round().clamp(min=0)
    for group in groups:
        here = group.rows[candidates.photo] >= 0
        full_height, full_width = group.reduced[0].shape[2:]
        for halved, copy in enumerate(group.reduced):
            last = halved == len(group.reduced) - 1
            mine = (here & ((halvings >= halved) if last else (halvings == halved))).nonzero()[:, 0]
            if len(mine):
                scale = torch.tensor((copy.shape[3] / full_width, copy.shape[2] / full_height)).repeat(2)
                rows, row = torch.unique(group.rows[candidates.photo[mine]], return_inverse=True)
                # Only photos with something to cut: as floats, photos take so much memory that time goes with it.
                planes = copy[rows].to(torch.float32, memory_format=torch.contiguous_format)
                regions = torch.cat((row[:, None], candidates.corners[mine] * scale), 1)
                crops[mine] = roi_align(planes, regions.float(), size_px, sampling_ratio=1, aligned=True)
    return _normalised(crops.contiguous(memory_format=torch.channels_last))


def _apart(corners: Tensor, limit: float) -> Tensor:
    """Which of boxes `[K, 4]`, best first, to keep when none may share `limit` of the smaller's area with a better."""
    low = torch.maximum(corners[:, None, :2], corners[None, :, :2])
    high = torch.minimum(corners[:, None, 2:], corners[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(2)
    area = (corners[:, 2:] - corners[:, :2]).prod(1)
    overlap = shared / torch.minimum(area[:, None], area[None, :])
    kept: list[int] = []
    for i in range(len(corners)):
        if all(overlap[i, j] <= limit for j in kept):
            kept.append(i)
    return torch.tensor(kept, dtype=torch.long)
