"""What the networks promise beyond their shapes: layers against their plain forms, growing, two-way heads."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import conv2d, interpolate, log_softmax

from facesmith.gan.contracts import set_level
from facesmith.gan.recipe import make_recipe
from facesmith.gan.vae import kl_divergence, reconstruction_error, reparameterize
from facesmith.nets import dcgan, gray, progressive, quick, strided, upsampling
from facesmith.nets.layers import Blur, EqualizedLR, MinibatchStd, PixelNorm, UpConv2d, init_dcgan


def test_doubling_and_smoothing_in_one_is_the_same_function():
    torch.manual_seed(0)
    layer = UpConv2d(3, 5)
    x = torch.randn(2, 3, 7, 6, requires_grad=True)
    plain = conv2d(interpolate(x, scale_factor=2), layer.weight, layer.bias, padding=2)
    assert torch.allclose(layer(x), plain, atol=1e-5)
    weight = torch.randn_like(plain)
    expected = torch.autograd.grad((plain * weight).sum(), (x, layer.weight, layer.bias))
    found = torch.autograd.grad((layer(x) * weight).sum(), (x, layer.weight, layer.bias))
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(expected, found, strict=True))


@pytest.mark.parametrize(
    "make_layer", [lambda: torch.nn.Conv2d(64, 32, 3, padding=1), lambda: torch.nn.Linear(256, 64)]
)
def test_equalised_layers_keep_the_variance_that_their_gain_says(make_layer):
    torch.manual_seed(0)
    layer = EqualizedLR(make_layer(), gain=1.0)
    assert layer.weight.std().item() == pytest.approx(1, rel=0.05)
    x = torch.randn(64, 64, 8, 8) if layer.padding == 1 else torch.randn(512, 256)
    inner = layer(x)[..., 1:-1, 1:-1] if layer.padding == 1 else layer(x)
    assert inner.std().item() == pytest.approx(1, rel=0.1)


def test_pixel_norm_brings_the_mean_square_to_1():
    x = torch.randn(4, 8, 3, 3) * 7
    assert torch.allclose(PixelNorm()(x).square().mean(1), torch.ones(4, 3, 3), atol=1e-4)


def test_smoothing_takes_a_lattice_away_and_leaves_slopes():
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    lattices = torch.stack([1 - 2 * (rows % 2), 1 - 2 * (columns % 2), 1 - 2 * ((rows + columns) % 2)])
    slope = 0.3 * rows - 0.1 * columns + 2
    smoothed = Blur()((slope + lattices)[None])[0]
    assert smoothed.shape == lattices.shape
    assert torch.allclose(smoothed[:, 1:-1, 1:-1], slope[1:-1, 1:-1].expand(3, 6, 6), atol=1e-5)
    flat = torch.full((2, 1, 5, 5), 0.7)
    assert torch.allclose(Blur()(flat), flat)


def test_modulated_norm_is_plain_at_first_and_then_scales_and_shifts_each_face_apart():
    torch.manual_seed(0)
    layer, plain = quick.ModulatedBatchNorm2d(3, 5), torch.nn.BatchNorm2d(5)
    x, w = torch.randn(4, 5, 6, 6), torch.randn(4, 3)
    normal = plain(x)
    assert torch.equal(layer(x, w), normal)
    torch.nn.init.normal_(layer.by.weight)
    scale, shift = (w @ layer.by.weight.T + layer.by.bias).split(5, 1)
    assert torch.allclose(layer(x, w), normal * (1 + scale[:, :, None, None]) + shift[:, :, None, None], atol=1e-5)
    assert layer.eval()(x, w).shape == x.shape


@pytest.mark.parametrize(
    ("resolution", "channels"),
    [
        (64, [128, 128, 64, 32]),
        (128, [128, 128, 128, 64, 32]),
        (16, [64, 32]),
    ],
)
def test_quick_generator_is_wide_where_maps_are_small(resolution, channels):
    G = quick.Generator(8, 32, resolution)
    convolutions = [layer for layer in G.layers if isinstance(layer, UpConv2d)]
    assert [layer.weight.shape[1] for layer in convolutions] + [G.last.in_channels] == channels
    assert G(torch.randn(2, 8)).shape == (2, 3, resolution, resolution)


def test_every_norm_of_a_modulated_generator_hears_its_latent():
    torch.manual_seed(0)
    G = quick.Generator(8, 4, 64).eval()
    torch.nn.init.zeros_(G.layers[0].weight)
    z = torch.randn(2, 8)
    assert torch.equal(*G(z)), "without its first layer nothing is heard at first"
    heard = [layer for layer in G.modules() if isinstance(layer, quick.ModulatedBatchNorm2d)]
    assert len(heard) == sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in G.modules()) == 5
    for layer in heard:
        torch.nn.init.normal_(layer.by.weight)
        assert not torch.allclose(*G(z)), layer
        torch.nn.init.zeros_(layer.by.weight)


def test_minibatch_std_sees_a_lack_of_variety():
    layer = MinibatchStd(4)
    varied, same = torch.randn(8, 2, 4, 4), torch.randn(1, 2, 4, 4).expand(8, -1, -1, -1)
    assert layer(varied).shape == (8, 3, 4, 4)
    assert layer(varied)[:, 2].mean() > 0.5
    assert layer(same)[:, 2].max() < 1e-3
    assert layer(torch.randn(3, 2, 4, 4)).shape == (3, 3, 4, 4)


def test_a_critic_without_batchnorm_begins_with_a_slope_that_can_be_felt():
    """N(0, .02), which BatchNorm would make good, leaves a hundredth of it."""
    torch.manual_seed(0)
    x = torch.rand(16, 3, 64, 64) * 2 - 1
    logits = dcgan.Discriminator(32, norm=False)(x)
    assert 0.2 < logits.square().mean().sqrt().item() < 5
    layers = dcgan.Discriminator(32, norm=False)
    init_dcgan(layers)
    assert layers(x).square().mean().sqrt().item() < 0.05


def grown(level, resolution=32):
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
def test_below_the_full_level_pictures_are_enlarged_small_ones(level, side):
    G, D = grown(level + 1e-7)
    z = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    pictures = G(z)
    small = pictures[..., :: 32 // side, :: 32 // side]
    assert torch.allclose(interpolate(small, scale_factor=32 // side), pictures, atol=1e-4)
    if side < 32:  # and the critic sees no finer: a pattern within the pixels of this level is nothing to it
        pattern = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(16, 16)
        assert torch.allclose(D(pictures + 0.5 * pattern), D(pictures), atol=1e-3)
        assert torch.allclose(D.limit_detail(pictures + 0.5 * pattern), pictures, atol=1e-3)


@pytest.mark.parametrize("boundary", [1 / 3, 2 / 3])
def test_a_fade_has_no_jumps(boundary):
    z = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    before, after = grown(boundary - 1e-5), grown(boundary + 1e-5)
    pictures = before[0](z)
    assert torch.allclose(pictures, after[0](z), atol=1e-3)
    assert torch.allclose(before[1](pictures), after[1](pictures), atol=1e-3)


def test_the_level_grows_in_rests_and_fades_up_to_the_full_size():
    held = make_recipe("progressive64", {"growing": 0.8})
    levels = [held.level(i / 1000) for i in range(1001)]
    assert levels == sorted(levels)
    assert levels[0] == 0
    assert held.level(0.1) == 0  # the rest of the first of four shares
    assert held.level(0.15) == pytest.approx(0.125)
    assert held.level(0.2) == pytest.approx(0.25)
    assert set(levels[800:]) == {1.0}


def test_a_two_way_head_is_its_log_softmax():
    torch.manual_seed(0)
    D = gray.Discriminator().eval()
    x = torch.randn(5, 1, 64, 64)
    log_probability_real = log_softmax(D.layers(x), 1)[:, 0]
    assert torch.allclose(torch.nn.functional.logsigmoid(D(x)), log_probability_real, atol=1e-6)


def test_the_grey_generator_draws_no_lattice_of_single_pixels():
    assert lattice_share(gray.Generator(smooth=True)) < 0.01
    assert lattice_share(gray.Generator(smooth=False)) > 0.5  # of the new one's contrast, as the text has it


def lattice_share(G):
    """Of the variance of its pictures, what alternates from pixel to pixel."""
    torch.manual_seed(0)
    G.load_state_dict(gray.Generator().state_dict())
    with torch.no_grad():
        pictures = G(torch.randn(16, 200))[:, 0, 2:-2, 2:-2]
    power = torch.fft.rfft2(pictures - pictures.mean((1, 2), keepdim=True)).abs().square().mean(0)
    half = pictures.shape[1] // 2
    return float((power[half, half] + power[0, half] + power[half, 0]) / power.sum())


@pytest.mark.parametrize("resolution", [16, 32, 64, 128, 256, 512])
def test_at_rest_nothing_of_the_next_scale_is_computed(resolution):
    growths = resolution.bit_length() - 3
    for grown in range(growths + 1):
        assert progressive.scale_and_alpha(torch.tensor(grown / growths), growths) == (grown, 0.0)
    whole, fading = progressive.scale_and_alpha(torch.tensor(0.5 / growths), growths)
    assert (whole, fading) == (0, pytest.approx(0.5, abs=1e-5))


@pytest.mark.parametrize("prior", ["normal", "uniform", "poisson"])
def test_every_prior_has_mean_0_and_variance_1(prior):
    z = gray.Generator(50, prior=prior).draw_z(2000, torch.Generator().manual_seed(0))
    assert z.mean().abs() < 0.02
    assert z.std().item() == pytest.approx(1, abs=0.02)
    assert (len(z.unique()) < 20) == (prior == "poisson")
    assert (z.abs().max() <= math.sqrt(3)) == (prior == "uniform")


@pytest.mark.parametrize("blocks", ["plain", "residual"])
@pytest.mark.parametrize("deeper", [0, 2])
def test_deeper_networks_have_more_layers_and_the_same_shapes(blocks, deeper):
    G = strided.Generator(8, 4, 32, 3, 4, blocks, deeper)
    D = strided.Discriminator(4, 32, 3, 4, blocks, deeper, 0.1)
    pictures = G(torch.randn(3, 8))
    assert pictures.shape == (3, 3, 32, 32)
    assert D(pictures).shape == (3,)
    layers = sum(isinstance(m, torch.nn.Conv2d | torch.nn.ConvTranspose2d) for m in G.modules())
    assert layers == {("plain", 0): 4, ("plain", 2): 10, ("residual", 0): 10, ("residual", 2): 22}[blocks, deeper]


def test_a_vaes_errors_have_their_closed_forms():
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
    drawn = reparameterize(torch.full((20_000, 1), 2.0), torch.full((20_000, 1), math.log(9.0)))
    assert drawn.mean().item() == pytest.approx(2, abs=0.1)
    assert drawn.std().item() == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize(("prior", "spherical"), [("normal", True), ("uniform", False), ("poisson", False)])
def test_only_normal_latents_are_walked_on_a_sphere(prior, spherical):
    assert gray.Generator(prior=prior).spherical is spherical


def test_a_fitted_generator_draws_as_faces_are_spread_and_truncates_to_their_mean():
    rng = torch.Generator().manual_seed(0)
    slant = torch.randn(6, 6, generator=rng)
    encoded = 3 + torch.randn(4000, 6, generator=rng) @ slant.T
    G = upsampling.GeneratorWithFittedPrior(6, 8, 16)
    z = torch.randn(20_000, 6, generator=rng)
    assert torch.equal(G.mapping(z), z)
    G.fit_prior(encoded)
    drawn = G.mapping(z)
    assert torch.allclose(drawn.mean(0), encoded.mean(0), atol=0.1)
    assert torch.allclose(torch.cov(drawn.T), torch.cov(encoded.T), atol=0.05 * float(torch.cov(encoded.T).max()))
    G.fit_prior(encoded[:3])  # fewer faces than numbers: still a Gaussian
    assert torch.isfinite(G.mapping(z)).all()
