"""Find faces with MTCNN, run as a cascade over whole batches of photos.

P-Net scans a pyramid of every photo and proposes boxes. R-Net rejects most of them. O-Net decides and places five
landmarks. Photos of one size share their pyramid; the crops of all photos go through R-Net and O-Net together.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.ops import batched_nms

from facesmith.detection.mtcnn import load_networks
from facesmith.pictures.images import Pixels, resize

WINDOW_PX = 12  # side of P-Net's input
STRIDE_PX = 2
PYRAMID_STEP = 0.709  # scale from level to level: the area halves
PROPOSAL_THRESHOLD = 0.6
REFINED_THRESHOLD = 0.7
DEFAULT_THRESHOLD = 0.85
GRAY, BLACK = 0.0, -127.5 / 128  # in the networks' range
CROP_BATCH_SIZE = 64  # larger batches no longer fit in the processor's cache

# How `shows_face` checks generated pictures.
FACE_CHECK_SIZE_PX = 64
FACE_CHECK_MIN_FACE_PX = 30
FACE_CHECK_THRESHOLD = 0.9


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
    """Boxes that may be faces: photo `[K]`, corners `[K, 4]` in pixels (float64), probability `[K]`."""

    photo: Tensor
    corners: Tensor
    probability: Tensor

    def take(self, chosen: Tensor) -> _Candidates:
        return _Candidates(self.photo[chosen], self.corners[chosen], self.probability[chosen])

    def without_overlaps(self, max_overlap: float) -> _Candidates:
        """Non-maximum suppression: drop boxes that overlap (by IoU) a more probable one of the same photo."""
        return self.take(batched_nms(self.corners, self.probability.double(), self.photo, max_overlap))


@dataclass
class _SizeGroup:
    """The photos of a batch that have one size.

    Attributes:
        photo_indices: `[n]`, index in the batch of each photo of the group.
        rows: `[N]`, row in this group of each photo of the batch, or -1.
        halvings: uint8 `[n, 3, H, W]`, stored channels last: the photos, then halved again and again.
    """

    photo_indices: Tensor
    rows: Tensor
    halvings: list[Tensor]


class Detector:
    """Finds faces in photos. Threads may share one detector.

    Args:
        min_face_px: smaller faces may be missed; larger values are faster.
        threshold: lowest probability of a face.
        surroundings: what the networks see outside the photo. MTCNN was trained with `BLACK`. `GRAY` finds more of the
            faces that the photo's edge cuts.
    """

    def __init__(self, min_face_px: int = 40, threshold: float = DEFAULT_THRESHOLD, surroundings: float = GRAY) -> None:
        self.min_face_px = min_face_px
        self.threshold = threshold
        self.surroundings = surroundings
        self.pnet, self.rnet, self.onet = load_networks()

    def with_settings(self, min_face_px: int, threshold: float) -> Detector:
        """A detector with the same networks and other settings."""
        other = copy.copy(self)
        other.min_face_px, other.threshold = min_face_px, threshold
        return other

    @torch.inference_mode()
    def detect(self, photos: Sequence[Pixels]) -> list[Detections]:
        """The faces in each of N photos, uint8 RGB `[H, W, 3]` of any sizes."""
        groups = _group_by_size(photos)
        if not groups:
            return []
        proposals = _concatenate([self._propose(group) for group in groups])
        return self._decide(groups, self._refine(groups, proposals), len(photos))

    def _propose(self, group: _SizeGroup) -> _Candidates:
        """P-Net over the pyramid of photos of one size."""
        height, width = group.halvings[0].shape[2:]
        levels = []
        for level_height, level_width in pyramid_sizes(height, width, self.min_face_px):
            source = next(each for each in reversed(group.halvings) if each.shape[2] >= level_height)
            level = interpolate(source, (level_height, level_width), mode="bilinear", antialias=True)
            probability, correction = self.pnet(_normalize(level))
            photo, y, x = (probability > PROPOSAL_THRESHOLD).nonzero(as_tuple=True)
            windows = torch.stack((x, y, x, y), 1).double() * STRIDE_PX
            windows[:, 2:] += WINDOW_PX
            corners = windows + correction[photo, y, x].double() * WINDOW_PX
            corners *= corners.new_tensor((width / level_width, height / level_height)).repeat(2)
            levels.append(_Candidates(photo, corners, probability[photo, y, x]).without_overlaps(0.5))
        proposals = _concatenate(levels).without_overlaps(0.7)
        return _Candidates(
            group.photo_indices[proposals.photo], _enclosing_squares(proposals.corners), proposals.probability
        )

    def _refine(self, groups: list[_SizeGroup], candidates: _Candidates) -> _Candidates:
        """R-Net on the proposals."""
        crops = _crops(groups, candidates, 24, self.surroundings)
        outputs = [self.rnet(batch) for batch in torch.split(crops, CROP_BATCH_SIZE)]
        probability, correction = (torch.cat(parts) for parts in zip(*outputs, strict=True))
        refined = _Candidates(candidates.photo, _apply_correction(candidates.corners, correction), probability)
        refined = refined.take(probability > REFINED_THRESHOLD).without_overlaps(0.7)
        return _Candidates(refined.photo, _enclosing_squares(refined.corners), refined.probability)

    def _decide(self, groups: list[_SizeGroup], candidates: _Candidates, n_photos: int) -> list[Detections]:
        """O-Net on R-Net's boxes; the results are in the order of the photos."""
        crops = _crops(groups, candidates, 48, self.surroundings)
        outputs = [self.onet(batch) for batch in torch.split(crops, CROP_BATCH_SIZE)]
        probability, correction, points = (torch.cat(parts) for parts in zip(*outputs, strict=True))
        sides = (candidates.corners[:, 2:] - candidates.corners[:, :2])[:, None]
        landmarks = candidates.corners[:, None, :2] + points.double() * sides
        corners = _apply_correction(candidates.corners, correction)
        results = []
        for photo in range(n_photos):
            rows = ((candidates.photo == photo) & (probability > self.threshold)).nonzero()[:, 0]
            rows = rows[probability[rows].argsort(descending=True, stable=True)]
            rows = rows[_without_shared_area(corners[rows], 0.7)]
            boxes = torch.cat((corners[rows, :2], corners[rows, 2:] - corners[rows, :2]), 1)
            arrays = (values.float().numpy() for values in (boxes, probability[rows], landmarks[rows]))
            results.append(Detections(*arrays))
        return results


def shows_face(pictures: Pixels) -> NDArray[np.bool_]:
    """For pictures uint8 `[N, S, S, 3]`, whether each is clearly filled by a face; bool `[N]`.

    The share of True among samples measures how many are faces. It says nothing about their variety. Protocol:
    pictures resized to 64 px, faces of 30 px or more, probability above 0.9, black around the picture. On 500 real
    CelebA faces, cropped as in DCGAN tutorials, it finds 0.988; on the same faces upside down 0.05; with their 8x8
    tiles shuffled 0.
    """
    detector = Detector(FACE_CHECK_MIN_FACE_PX, FACE_CHECK_THRESHOLD, BLACK)
    results: list[bool] = []
    for start in range(0, len(pictures), CROP_BATCH_SIZE):
        batch = [resize(picture, FACE_CHECK_SIZE_PX) for picture in pictures[start : start + CROP_BATCH_SIZE]]
        results += [len(faces) > 0 for faces in detector.detect(batch)]
    return np.array(results, dtype=np.bool_)


def pyramid_sizes(height: int, width: int, min_face_px: int) -> list[tuple[int, int]]:
    """Heights and widths of the reduced copies in which faces of `min_face_px` and more become 12 px high."""
    sizes, scale = [], WINDOW_PX / min_face_px
    while min(height, width) * scale >= WINDOW_PX:
        sizes.append((round(height * scale), round(width * scale)))
        scale *= PYRAMID_STEP
    return sizes


def _concatenate(parts: list[_Candidates]) -> _Candidates:
    empty = _Candidates(torch.empty(0, dtype=torch.long), torch.empty(0, 4, dtype=torch.double), torch.empty(0))
    photos, corners, probabilities = zip(*((p.photo, p.corners, p.probability) for p in (empty, *parts)), strict=True)
    return _Candidates(torch.cat(photos), torch.cat(corners), torch.cat(probabilities))


def _group_by_size(photos: Sequence[Pixels]) -> list[_SizeGroup]:
    by_size: dict[tuple[int, ...], list[int]] = {}
    for index, photo in enumerate(photos):
        by_size.setdefault(photo.shape, []).append(index)
    groups = []
    for indices in by_size.values():
        rows = torch.full((len(photos),), -1)
        rows[indices] = torch.arange(len(indices))
        halvings = [torch.from_numpy(np.stack([photos[index] for index in indices])).permute(0, 3, 1, 2)]
        while min(halvings[-1].shape[2:]) >= 2 * WINDOW_PX:
            half = (-(-halvings[-1].shape[2] // 2), -(-halvings[-1].shape[3] // 2))
            halvings.append(interpolate(halvings[-1], half, mode="bilinear", antialias=True))
        groups.append(_SizeGroup(torch.tensor(indices), rows, halvings))
    return groups


def _normalize(pixels: Tensor) -> Tensor:
    return pixels.float().sub_(127.5).mul_(1 / 128)


def _enclosing_squares(corners: Tensor) -> Tensor:
    """The smallest squares around boxes `[K, 4]`, with the same centers."""
    center = (corners[:, :2] + corners[:, 2:]) / 2
    half = (corners[:, 2:] - corners[:, :2]).amax(1, keepdim=True) / 2
    return torch.cat((center - half, center + half), 1)


def _apply_correction(corners: Tensor, correction: Tensor) -> Tensor:
    """Boxes `[K, 4]` moved by corrections `[K, 4]`, which are fractions of their sides."""
    return corners + correction.double() * (corners[:, 2:] - corners[:, :2]).repeat(1, 2)


def _crops(groups: list[_SizeGroup], candidates: _Candidates, size_px: int, surroundings: float) -> Tensor:
    """The pixels in each box, float `[K, 3, size_px, size_px]`, in the networks' range.

    Each box is cut from the halved copy in which its side is closest to `size_px`. One sample per pixel is then
    enough: it neither blurs nor aliases.
    """
    crops = torch.empty(len(candidates.photo), 3, size_px, size_px)
    sides_px = (candidates.corners[:, 2:] - candidates.corners[:, :2]).amax(1)
    halvings = (sides_px / size_px).log2().round().clamp(min=0)  # how often the best copy was halved, per box
    for group in groups:
        in_group = group.rows[candidates.photo] >= 0
        full_height, full_width = group.halvings[0].shape[2:]
        for level, halving in enumerate(group.halvings):
            is_last = level == len(group.halvings) - 1
            boxes = (in_group & ((halvings >= level) if is_last else (halvings == level))).nonzero()[:, 0]
            if len(boxes):
                scale = torch.tensor((halving.shape[3] / full_width, halving.shape[2] / full_height)).repeat(2)
                rows = group.rows[candidates.photo[boxes]]
                crops[boxes] = _regions(halving, rows, candidates.corners[boxes] * scale, size_px, surroundings)
    return crops.contiguous(memory_format=torch.channels_last)


def _regions(photos: Tensor, rows: Tensor, corners: Tensor, size_px: int, surroundings: float) -> Tensor:
    """Regions of photos, float `[K, 3, size_px, size_px]` in the networks' range; one bilinear sample per pixel.

    The same as `torchvision.ops.roi_align` with `sampling_ratio=1` and `aligned=True`. But only the pixels that are
    needed are converted to float, which takes a third of the time in large photos.

    Args:
        photos: uint8 `[N, 3, H, W]`, stored channels last.
        rows: `[K]`, the photo of each region.
        corners: `[K, 4]` in pixels, float64.
    """
    channels, height, width = photos.shape[1:]
    left, right, x_share, x_inside = _sample_positions(corners[:, 0], corners[:, 2], size_px, width)
    upper, lower, y_share, y_inside = _sample_positions(corners[:, 1], corners[:, 3], size_px, height)
    pixels = photos.permute(0, 2, 3, 1).reshape(-1, channels)

    def read(y: Tensor, x: Tensor) -> Tensor:
        positions = ((rows[:, None] * height + y) * width)[:, :, None] + x[:, None]
        return pixels.index_select(0, positions.flatten()).view(*positions.shape, channels).float()

    x_share, y_share = x_share[:, None, :, None], y_share[:, :, None, None]
    above = read(upper, left).lerp_(read(upper, right), x_share)
    below = read(lower, left).lerp_(read(lower, right), x_share)
    values = _normalize(above.lerp_(below, y_share))
    inside = (y_inside[:, :, None] & x_inside[:, None])[..., None]
    return values.where(inside, values.new_tensor(surroundings)).permute(0, 3, 1, 2)


def _sample_positions(first: Tensor, last: Tensor, size_px: int, length: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Where the samples along one axis lie: centers of `size_px` equal parts from `first` to `last`, each `[K]`.

    Returns:
        The indices of the two neighboring pixels, the share of the second one, and whether the sample is less than a
        pixel outside the photo; each `[K, size_px]`.
    """
    step = (last - first) / size_px
    position = first[:, None] - 0.5 + (torch.arange(size_px) + 0.5) * step[:, None]
    inside = (position >= -1) & (position <= length)
    position = position.clamp(0, length - 1)
    low = position.floor()
    return low.long(), (low + 1).clamp(max=length - 1).long(), (position - low).float(), inside


def _without_shared_area(corners: Tensor, max_share: float) -> Tensor:
    """Indices of boxes `[K, 4]`, best first, that share at most `max_share` of the smaller box with any better one."""
    low = torch.maximum(corners[:, None, :2], corners[None, :, :2])
    high = torch.minimum(corners[:, None, 2:], corners[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(2)
    area = (corners[:, 2:] - corners[:, :2]).prod(1)
    overlap = shared / torch.minimum(area[:, None], area[None, :])
    kept: list[int] = []
    for i in range(len(corners)):
        if all(overlap[i, j] <= max_share for j in kept):
            kept.append(i)
    return torch.tensor(kept, dtype=torch.long)
