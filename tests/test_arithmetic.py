"""Sums of latents: how they are parsed, and that they stay where the generator was trained."""

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
def test_sums_are_parsed(text, terms):
    assert parse_terms(text) == [Term(*each) for each in terms]


@given(
    st.lists(st.tuples(st.sampled_from("+-"), st.integers(0, 99_999), st.integers(0, 10**6)), min_size=1, max_size=9)
)
def test_formatted_sums_parse_to_their_terms(terms):
    text = " ".join(f"{sign} {thousandths / 1000:.3f}*{seed}" for sign, thousandths, seed in terms)
    signed = [(float(f"{sign}{thousandths / 1000:.3f}"), str(seed)) for sign, thousandths, seed in terms]
    assert [(term.coefficient, term.name) for term in parse_terms(text)] == signed


NAMES = st.text(st.characters(exclude_characters="\"'", exclude_categories=("C",)), min_size=1).map("{}.latent".format)


@given(st.lists(st.tuples(st.sampled_from("+-"), NAMES, st.sampled_from("\"'")), min_size=1, max_size=9))
def test_any_path_can_be_quoted(terms):
    text = " ".join(f"{sign}{quote}{name}{quote}" for sign, name, quote in terms)
    assert parse_terms(text) == [Term(-1 if sign == "-" else 1, name) for sign, name, _ in terms]


BARE = st.text("abc019./_-", max_size=10).map("m{}.latent".format).filter(lambda name: ".latent-" not in name)


@given(st.lists(st.tuples(st.sampled_from("+-"), BARE), min_size=1, max_size=9), st.sampled_from(("", " ")))
def test_ordinary_paths_need_no_quotes(terms, gap):
    text = gap.join(f"{sign}{gap}{name}" for sign, name in terms)
    assert parse_terms(text) == [Term(-1 if sign == "-" else 1, name) for sign, name in terms]


@given(st.text(alphabet="0123456789+-*. '\"abc/\u2212", max_size=40))
def test_any_text_is_a_sum_or_a_one_line_error(text):
    try:
        assert parse_terms(text)
    except BadOption as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at its end"),
        ("29 -", "starting at '-'"),
        ("29 - - 3", "starting at '- - 3'"),
        ("2*-3", "starting at '*-3'"),
        ("29 3", "has no sign between 29 and 3"),
        ("2*3*4", "starting at '*4'"),
        (f"{'9' * 400}*1", "can't be read"),
        ("+".join(["1"] * (MAX_TERMS + 1)), "too long"),
    ],
)
def test_error_shows_where_a_sum_is_wrong(text, message):
    with pytest.raises(BadOption) as error:
        parse_terms(text)
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["smile", "1.5", "9" * 20, "²", "3.safetensors", "me.latent"])
def test_unknown_names_are_refused(name):
    with pytest.raises(BadOption, match=r"neither a seed|out of range"):
        resolve(TinyG(16, 3), [name])


def test_names_can_be_seeds():
    G = TinyG(16, 3)
    assert torch.equal(resolve(G, ["7", "007"]), latents(G, [7, 7]))


def sum_of(text, G, **more):
    terms = parse_terms(text)
    w = resolve(G, [term.name for term in terms])
    return w, combine(G, w, [term.coefficient for term in terms], **more)


@pytest.mark.parametrize("text", ["29 - 3 + 34", "0.5*29 + 0.5*3", "5*29 - 4*3", "29 + 3 + 34 + 1 + 2"])
def test_sum_has_the_norm_of_its_terms_and_the_direction_of_the_plain_sum(text):
    G = TinyG(16, 3, z_dim=100)
    w, total = sum_of(text, G)
    _, plain = sum_of(text, G, plain=True)
    assert w.norm(dim=1).min() <= total.norm() <= w.norm(dim=1).max()
    assert torch.cosine_similarity(total, plain).item() == pytest.approx(1, abs=1e-5)
    coefficients = torch.tensor([term.coefficient for term in parse_terms(text)])
    assert torch.allclose(plain, coefficients @ w)


@pytest.mark.parametrize("text", ["29", "3*29", "29 + 29", "2*29 - 29", "29 + 0*3"])
def test_multiples_of_one_seed_give_its_face(text):
    w, total = sum_of(text, TinyG(16, 3))
    assert torch.allclose(total, w[:1], atol=1e-5)


@pytest.mark.parametrize("text", ["29 - 29", "0*29", "29 + 3 - 29 - 3"])
def test_terms_that_cancel_are_refused(text):
    with pytest.raises(BadOption, match="cancel"):
        sum_of(text, TinyG(16, 3))
    assert sum_of(text, TinyG(16, 3), plain=True)[1].norm() < 1e-5


def test_non_spherical_sums_are_relative_to_the_average():
    G = TinyG(16, 3)
    G.spherical = False
    G.w_avg += 5
    w, total = sum_of("29 - 3 + 34", G)
    assert torch.allclose(total, w[:1] - w[1:2] + w[2:], atol=1e-4)
    w, total = sum_of("29 + 3", G)
    assert torch.allclose(total, w.sum(0, keepdim=True) - 5, atol=1e-4)
