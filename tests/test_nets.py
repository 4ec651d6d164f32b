"""Layers against their definitions, growing networks, priors, and the loss terms of a VAE."""

from __future__ import annotations

import math

import pytest
import torch
from small import WithoutFloat64
from torch.nn.functional import conv2d, interpolate, log_softmax

from facesmith.gan.contracts import set_level
from facesmith.gan.recipe import make_recipe
from facesmith.gan.vae import kl_divergence, reconstruction_error, reparameterize
from facesmith.nets import dcgan, gray, modulated, progressive, strided, upsampling
from facesmith.nets.layers import Blur, EqualizedLR, MinibatchStd, PixelNorm, SmoothConv2d, UpConv2d, init_dcgan


def test_up_conv_equals_upsampling_and_a_5x5_convolution():
    torch.manual_seed(0)
    layer = UpConv2d(3, 5)
    x = torch.randn(2, 3, 7, 6, requires_grad=True)
    plain = conv2d(interpolate(x, scale_factor=2), layer.weight, layer.bias, padding=2)
    assert torch.allclose(layer(x), plain, atol=1e-5)
    direction = torch.randn_like(plain)
    expected = torch.autograd.grad((plain * direction).sum(), (x, layer.weight, layer.bias))
    gradients = torch.autograd.grad((layer(x) * direction).sum(), (x, layer.weight, layer.bias))
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(expected, gradients, strict=True))


@pytest.mark.parametrize(
    "make_layer", [lambda: torch.nn.Conv2d(64, 32, 3, padding=1), lambda: torch.nn.Linear(256, 64)]
)
def test_equalized_layers_scale_the_variance_by_their_gain(make_layer):
    torch.manual_seed(0)
    layer = EqualizedLR(make_layer(), gain=1.0)
    assert layer.weight.std().item() == pytest.approx(1, rel=0.05)
    x = torch.randn(64, 64, 8, 8) if layer.padding == 1 else torch.randn(512, 256)
    inner = layer(x)[..., 1:-1, 1:-1] if layer.padding == 1 else layer(x)  # without the border
    assert inner.std().item() == pytest.approx(1, rel=0.1)


def test_pixel_norm_scales_to_a_mean_square_of_1():
    x = torch.randn(4, 8, 3, 3) * 7
    assert torch.allclose(PixelNorm()(x).square().mean(1), torch.ones(4, 3, 3), atol=1e-4)


def test_blur_removes_alternating_patterns_and_keeps_linear_gradients():
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    patterns = torch.stack([1 - 2 * (rows % 2), 1 - 2 * (columns % 2), 1 - 2 * ((rows + columns) % 2)])
    gradient = 0.3 * rows - 0.1 * columns + 2
    blurred = Blur()((gradient + patterns)[None])[0]
    assert blurred.shape == patterns.shape
    assert torch.allclose(blurred[:, 1:-1, 1:-1], gradient[1:-1, 1:-1].expand(3, 6, 6), atol=1e-5)
    constant = torch.full((2, 1, 5, 5), 0.7)
    assert torch.allclose(Blur()(constant), constant)


def test_a_smooth_convolution_is_a_convolution_and_a_filter():
    torch.manual_seed(0)
    smooth, x = SmoothConv2d(4, 3, 3, padding=1), torch.randn(2, 4, 12, 12)
    plain = torch.nn.functional.conv2d(x, smooth.weight, smooth.bias, padding=1)
    taps = torch.tensor([0.25, 0.5, 0.25])
    kernel = torch.outer(taps, taps).expand(3, 1, 3, 3)
    filtered = torch.nn.functional.conv2d(plain, kernel, groups=3)  # without the border
    assert torch.allclose(smooth(x)[..., 1:-1, 1:-1], filtered, atol=1e-5)


def test_a_smooth_convolution_removes_stripes_of_two_pixels():
    layer = SmoothConv2d(1, 1, 3, padding=1, bias=False)
    torch.nn.init.dirac_(layer.weight)
    stripes = torch.tensor([1.0, -1.0]).repeat(8).expand(1, 1, 16, 16)
    for image in (stripes, stripes.mT):
        assert torch.allclose(layer(image)[..., 1:-1, 1:-1], torch.zeros(14, 14), atol=1e-6)
        assert torch.allclose(layer(image + 0.5)[..., 1:-1, 1:-1], torch.full((14, 14), 0.5), atol=1e-6)


def test_modulated_batch_norm_is_plain_at_initialization_and_then_scales_and_shifts_each_image():
    torch.manual_seed(0)
    layer, plain = modulated.ModulatedBatchNorm2d(3, 5), torch.nn.BatchNorm2d(5)
    x, w = torch.randn(4, 5, 6, 6), torch.randn(4, 3)
    normalized = plain(x)
    assert torch.equal(layer(x, w), normalized)
    torch.nn.init.normal_(layer.by.weight)
    scale, shift = (w @ layer.by.weight.T + layer.by.bias).split(5, 1)
    expected = normalized * (1 + scale[:, :, None, None]) + shift[:, :, None, None]
    assert torch.allclose(layer(x, w), expected, atol=1e-5)
    assert layer.eval()(x, w).shape == x.shape


@pytest.mark.parametrize(
    ("resolution", "channels"),
    [
        (64, [128, 128, 64, 32]),
        (128, [128, 128, 128, 64, 32]),
        (16, [64, 32]),
    ],
)
def test_quick_generator_has_more_channels_at_lower_resolutions(resolution, channels):
    G = modulated.Generator(8, 32, resolution)
    convolutions = [layer for layer in G.layers if isinstance(layer, UpConv2d)]
    assert [layer.weight.shape[1] for layer in convolutions] + [G.last.in_channels] == channels
    assert G(torch.randn(2, 8)).shape == (2, 3, resolution, resolution)


def test_latent_modulates_every_batch_norm_of_the_quick_generator():
    torch.manual_seed(0)
    G = modulated.Generator(8, 4, 64).eval()
    torch.nn.init.zeros_(G.layers[0].weight)
    z = torch.randn(2, 8)
    assert torch.equal(*G(z)), "at initialization only the first layer depends on the latent"
    layers = [layer for layer in G.modules() if isinstance(layer, modulated.ModulatedBatchNorm2d)]
    assert len(layers) == sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in G.modules()) == 5
    for layer in layers:
        torch.nn.init.normal_(layer.by.weight)
        assert not torch.allclose(*G(z)), layer
        torch.nn.init.zeros_(layer.by.weight)


def test_minibatch_std_is_0_for_identical_images():
    layer = MinibatchStd(4)
    varied, same = torch.randn(8, 2, 4, 4), torch.randn(1, 2, 4, 4).expand(8, -1, -1, -1)
    assert layer(varied).shape == (8, 3, 4, 4)
    assert layer(varied)[:, 2].mean() > 0.5
    assert layer(same)[:, 2].max() < 1e-3
    assert layer(torch.randn(3, 2, 4, 4)).shape == (3, 3, 4, 4)


def test_discriminator_without_batch_norm_has_logits_of_order_1_at_initialization():
    """DCGAN's initialization, N(0, 0.02), would make them a hundredth of that."""
    torch.manual_seed(0)
    x = torch.rand(16, 3, 64, 64) * 2 - 1
    D = dcgan.Discriminator(32, norm=False)
    assert 0.2 < D(x).square().mean().sqrt().item() < 5
    init_dcgan(D)
    assert D(x).square().mean().sqrt().item() < 0.05


def progressive_networks(level, resolution=32):
    torch.manual_seed(0)
    nets = torch.nn.ModuleDict(
        {
            "G": progressive.Generator(8, width=4, max_channels=8, resolution=resolution),
            "D": progressive.Discriminator(width=4, max_channels=8, resolution=resolution),
        }
    )
    set_level(nets, level)
    return nets["G"].eval(), nets["D"].eval()


@pytest.mark.parametrize(("level", "side"), [(0.0, 4), (1 / 3, 8), (2 / 3, 16), (1.0, 32)])
def test_below_the_full_level_images_are_upsampled_and_finer_detail_is_ignored(level, side):
    G, D = progressive_networks(level + 1e-7)
    z = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    images = G(z)
    small = images[..., :: 32 // side, :: 32 // side]
    assert torch.allclose(interpolate(small, scale_factor=32 // side), images, atol=1e-4)
    if side < 32:
        checkerboard = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(16, 16)
        assert torch.allclose(D(images + 0.5 * checkerboard), D(images), atol=1e-3)
        assert torch.allclose(D.limit_detail(images + 0.5 * checkerboard), images, atol=1e-3)


@pytest.mark.parametrize("boundary", [1 / 3, 2 / 3])
def test_networks_are_continuous_between_scales(boundary):
    z = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    before, after = progressive_networks(boundary - 1e-5), progressive_networks(boundary + 1e-5)
    images = before[0](z)
    assert torch.allclose(images, after[0](z), atol=1e-3)
    assert torch.allclose(before[1](images), after[1](images), atol=1e-3)


def test_level_alternates_between_constant_phases_and_fades():
    recipe = make_recipe("progressive64", {"growing": 0.8})
    levels = [recipe.level(i / 1000) for i in range(1001)]
    assert levels == sorted(levels)
    assert levels[0] == 0
    assert recipe.level(0.1) == 0  # the constant phase of the first of four scales
    assert recipe.level(0.15) == pytest.approx(0.125)
    assert recipe.level(0.2) == pytest.approx(0.25)
    assert set(levels[800:]) == {1.0}


def test_sigmoid_of_the_logit_is_the_softmax_of_a_head_with_two_classes():
    torch.manual_seed(0)
    D = gray.Discriminator().eval()
    x = torch.randn(5, 1, 64, 64)
    log_probability_real = log_softmax(D.layers(x), 1)[:, 0]
    assert torch.allclose(torch.nn.functional.logsigmoid(D(x)), log_probability_real, atol=1e-6)


def test_blur_removes_the_checkerboard_of_the_gray_generator():
    assert checkerboard_share(gray.Generator(smooth=True)) < 0.01
    assert checkerboard_share(gray.Generator(smooth=False)) > 0.5  # as in the text


def checkerboard_share(G):
    """The share of patterns that alternate from pixel to pixel in the variance of an untrained generator's images."""
    torch.manual_seed(0)
    G.load_state_dict(gray.Generator().state_dict())
    with torch.no_grad():
        images = G(torch.randn(16, 200))[:, 0, 2:-2, 2:-2]
    power = torch.fft.rfft2(images - images.mean((1, 2), keepdim=True)).abs().square().mean(0)
    half = images.shape[1] // 2
    return float((power[half, half] + power[0, half] + power[half, 0]) / power.sum())


@pytest.mark.parametrize("resolution", [16, 32, 64, 128, 256, 512])
def test_alpha_is_exactly_0_at_the_level_of_each_scale(resolution):
    growths = resolution.bit_length() - 3
    for scale in range(growths + 1):
        assert progressive.scale_and_alpha(torch.tensor(scale / growths), growths) == (scale, 0.0)
    scale, alpha = progressive.scale_and_alpha(torch.tensor(0.5 / growths), growths)
    assert (scale, alpha) == (0, pytest.approx(0.5, abs=1e-5))


@pytest.mark.parametrize("prior", ["normal", "uniform", "poisson"])
def test_every_prior_has_mean_0_and_variance_1(prior):
    z = gray.Generator(50, prior=prior).draw_z(2000, torch.Generator().manual_seed(0))
    assert z.mean().abs() < 0.02
    assert z.std().item() == pytest.approx(1, abs=0.02)
    assert (len(z.unique()) < 20) == (prior == "poisson")
    assert (z.abs().max() <= math.sqrt(3)) == (prior == "uniform")


@pytest.mark.parametrize("blocks", ["plain", "residual"])
@pytest.mark.parametrize("deeper", [0, 2])
def test_additional_blocks_add_layers_and_keep_shapes(blocks, deeper):
    G = strided.Generator(8, 4, 32, 3, 4, blocks, deeper)
    D = strided.Discriminator(4, 32, 3, 4, blocks, deeper, 0.1)
    images = G(torch.randn(3, 8))
    assert images.shape == (3, 3, 32, 32)
    assert D(images).shape == (3,)
    layers = sum(isinstance(m, torch.nn.Conv2d | torch.nn.ConvTranspose2d) for m in G.modules())
    assert layers == {("plain", 0): 4, ("plain", 2): 10, ("residual", 0): 10, ("residual", 2): 22}[blocks, deeper]


def test_vae_loss_terms_match_torch_distributions():
    zeros = torch.zeros(4, 3)
    assert kl_divergence(zeros, zeros).item() == 0
    mean, log_variance = torch.full((4, 3), 0.5), torch.full((4, 3), math.log(0.25))
    q, p = torch.distributions.Normal(0.5, 0.5), torch.distributions.Normal(0.0, 1.0)
    assert kl_divergence(mean, log_variance).item() == pytest.approx(
        3 * torch.distributions.kl_divergence(q, p).item(), rel=1e-5
    )
    x, y = torch.zeros(2, 1, 2, 2), torch.ones(2, 1, 2, 2)
    likelihood = torch.distributions.Normal(0.0, 0.5)
    difference = (likelihood.log_prob(x) - likelihood.log_prob(y)).sum((1, 2, 3)).mean()
    assert reconstruction_error(x, y, 0.5).item() == pytest.approx(difference.item())


@pytest.mark.parametrize("rng", [None, torch.Generator().manual_seed(0)])
def test_reparameterize_samples_with_the_given_mean_and_variance(rng):
    latents = reparameterize(torch.full((20_000, 1), 2.0), torch.full((20_000, 1), math.log(9.0)), rng)
    assert latents.mean().item() == pytest.approx(2, abs=0.1)
    assert latents.std().item() == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize(("prior", "spherical"), [("normal", True), ("uniform", False), ("poisson", False)])
def test_only_normal_latents_are_spherical(prior, spherical):
    assert gray.Generator(prior=prior).spherical is spherical


def test_fitted_prior_has_mean_and_covariance_of_the_encoded_faces():
    rng = torch.Generator().manual_seed(0)
    factor = torch.randn(6, 6, generator=rng)
    encoded = 3 + torch.randn(4000, 6, generator=rng) @ factor.T
    G = upsampling.GeneratorWithFittedPrior(6, 8, 16)
    z = torch.randn(20_000, 6, generator=rng)
    assert torch.equal(G.mapping(z), z)
    G.fit_prior(encoded)
    w, covariance = G.mapping(z), torch.cov(encoded.T)
    assert torch.allclose(w.mean(0), encoded.mean(0), atol=0.1)
    assert torch.allclose(torch.cov(w.T), covariance, atol=0.05 * float(covariance.max()))
    G.fit_prior(encoded[:3])  # fewer faces than dimensions
    assert torch.isfinite(G.mapping(z)).all()


def test_a_prior_is_fitted_to_latents_from_a_device_without_float64():
    G, encoded = upsampling.GeneratorWithFittedPrior(6, 8, 16), torch.randn(50, 6)
    G.fit_prior(encoded)
    expected = G.w_factor.clone()
    G.fit_prior(encoded.as_subclass(WithoutFloat64))
    assert torch.equal(G.w_factor, expected)
