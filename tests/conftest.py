from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """Every test packs into a cache of its own, never into the user's."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("FACESMITH_CACHE", str(folder))
    return folder
