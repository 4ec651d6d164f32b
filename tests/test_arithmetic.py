"""Sums of seeds: how they are written, and that their faces stay among those the generator knows."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import TinyG

from facesmith.errors import BadOption
from facesmith.latent import latents
from facesmith.latent.arithmetic import MAX_TERMS, Term, combine, parse_terms, resolve


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("29 - 3 + 34", [(1, "29"), (-1, "3"), (1, "34")]),
        ("0.5*29 + .5 * 3", [(0.5, "29"), (0.5, "3")]),
        ("-3+29", [(-1, "3"), (1, "29")]),
        ("29 \N{MINUS SIGN} 2\N{MULTIPLICATION SIGN}3", [(1, "29"), (-2, "3")]),
        (" 7 ", [(1, "7")]),
        ("29 - 3 + me.latent", [(1, "29"), (-1, "3"), (1, "me.latent")]),
        ("29-me.latent", [(1, "29"), (-1, "me.latent")]),
        ("me.latent-29", [(1, "me.latent"), (-1, "29")]),
        ("my-face.latent - ../b-c/d.e.latent", [(1, "my-face.latent"), (-1, "../b-c/d.e.latent")]),
        ("2024-me.latent", [(1, "2024"), (-1, "me.latent")]),
        ("./2024-me.latent", [(1, "./2024-me.latent")]),
        ("1.5.latent + 29.latent", [(1, "1.5.latent"), (1, "29.latent")]),
        (".5*'my face.latent'-\"a+b.latent\"", [(0.5, "my face.latent"), (-1, "a+b.latent")]),
    ],
)
def test_sums_are_read_as_written(text, terms):
    assert parse_terms(text) == [Term(*each) for each in terms]


@given(
    st.lists(st.tuples(st.sampled_from("+-"), st.integers(0, 99_999), st.integers(0, 10**6)), min_size=1, max_size=9)
)
def test_what_is_written_comes_back(terms):
    text = " ".join(f"{sign} {thousandths / 1000:.3f}*{seed}" for sign, thousandths, seed in terms)
    signed = [(float(f"{sign}{thousandths / 1000:.3f}"), str(seed)) for sign, thousandths, seed in terms]
    assert [(term.coefficient, term.name) for term in parse_terms(text)] == signed


NAMES = st.text(st.characters(exclude_characters="\"'", exclude_categories=("C",)), min_size=1).map("{}.latent".format)


@given(st.lists(st.tuples(st.sampled_from("+-"), NAMES, st.sampled_from("\"'")), min_size=1, max_size=9))
def test_any_path_can_be_written_in_quotes(terms):
    text = " ".join(f"{sign}{quote}{name}{quote}" for sign, name, quote in terms)
    assert parse_terms(text) == [Term(-1 if sign == "-" else 1, name) for sign, name, _ in terms]


BARE = st.text("abc019./_-", max_size=10).map("m{}.latent".format).filter(lambda name: ".latent-" not in name)


@given(st.lists(st.tuples(st.sampled_from("+-"), BARE), min_size=1, max_size=9), st.sampled_from(("", " ")))
def test_usual_paths_need_no_quotes(terms, gap):
    text = gap.join(f"{sign}{gap}{name}" for sign, name in terms)
    assert parse_terms(text) == [Term(-1 if sign == "-" else 1, name) for sign, name in terms]


@given(st.text(alphabet="0123456789+-*. '\"abc/\u2212", max_size=40))
def test_whatever_is_written_is_a_sum_or_one_line(text):
    try:
        assert parse_terms(text)
    except BadOption as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "at its end"),
        ("29 -", "from '-' on"),
        ("29 - - 3", "from '- - 3' on"),
        ("2*-3", "from '*-3' on"),
        ("29 3", "lacks a sign between 29 and 3"),
        ("2*3*4", "from '*4' on"),
        (f"{'9' * 400}*1", "can't be read"),
        ("+".join(["1"] * (MAX_TERMS + 1)), "too long"),
    ],
)
def test_other_texts_end_in_a_line_that_says_where(text, told):
    with pytest.raises(BadOption) as error:
        parse_terms(text)
    assert told in str(error.value)


@pytest.mark.parametrize("name", ["smile", "1.5", "9" * 20, "²", "3.safetensors", "me.latent"])
def test_names_that_stand_for_nothing_are_told(name):
    with pytest.raises(BadOption, match=r"no seed|outside"):
        resolve(TinyG(16, 3), [name])


def test_names_are_seeds():
    G = TinyG(16, 3)
    assert torch.equal(resolve(G, ["7", "007"]), latents(G, [7, 7]))


def sum_of(text, G, **more):
    terms = parse_terms(text)
    w = resolve(G, [term.name for term in terms])
    return w, combine(G, w, [term.coefficient for term in terms], **more)


@pytest.mark.parametrize("text", ["29 - 3 + 34", "0.5*29 + 0.5*3", "5*29 - 4*3", "29 + 3 + 34 + 1 + 2"])
def test_a_sum_is_as_long_as_its_terms_and_points_where_the_plain_one_does(text):
    G = TinyG(16, 3, z_dim=100)
    w, total = sum_of(text, G)
    _, plain = sum_of(text, G, plain=True)
    assert w.norm(dim=1).min() <= total.norm() <= w.norm(dim=1).max()
    assert torch.cosine_similarity(total, plain).item() == pytest.approx(1, abs=1e-5)
    coefficients = torch.tensor([term.coefficient for term in parse_terms(text)])
    assert torch.allclose(plain, coefficients @ w)


@pytest.mark.parametrize("text", ["29", "3*29", "29 + 29", "2*29 - 29", "29 + 0*3"])
def test_multiples_of_one_seed_are_its_face(text):
    w, total = sum_of(text, TinyG(16, 3))
    assert torch.allclose(total, w[:1], atol=1e-5)


@pytest.mark.parametrize("text", ["29 - 29", "0*29", "29 + 3 - 29 - 3"])
def test_what_cancels_out_is_told(text):
    with pytest.raises(BadOption, match="cancel"):
        sum_of(text, TinyG(16, 3))
    assert sum_of(text, TinyG(16, 3), plain=True)[1].norm() < 1e-5


def test_where_latents_are_not_spherical_sums_are_taken_around_the_average():
    G = TinyG(16, 3)
    G.spherical = False
    G.w_avg += 5
    w, total = sum_of("29 - 3 + 34", G)
    assert torch.allclose(total, w[:1] - w[1:2] + w[2:], atol=1e-4)
    w, total = sum_of("29 + 3", G)
    assert torch.allclose(total, w.sum(0, keepdim=True) - 5, atol=1e-4)
