"""In continuous integration, a skipped test is a failure, unless the machine itself can't run it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).with_name("conftest.py")
TESTS = """
import pytest

def test_passes(): pass

def test_without_browser(): pytest.skip("no browser at /usr/bin/chromium")

@pytest.mark.skipif(True, reason="this CPU has no bfloat16")
def test_beyond_this_machine(): pass

@pytest.mark.xfail(reason="known")
def test_known_failure(): assert False
"""
MODULE = "import pytest\npytest.importorskip('no_such_package')"


@pytest.fixture
def run(pytester):
    """Run these tests in a folder of their own, with our conftest."""
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))

    def run_tests(**files):
        pytester.makepyfile(**files)
        return pytester.runpytest("-p", "no:cacheprovider")

    return run_tests


def test_skips_stay_skips_on_a_users_machine(run, monkeypatch):
    monkeypatch.delenv("FACESMITH_NO_SKIPS", raising=False)
    run(test_a=TESTS, test_b=MODULE).assert_outcomes(passed=1, skipped=3, xfailed=1)


def test_skips_fail_in_continuous_integration(run, monkeypatch):
    monkeypatch.setenv("FACESMITH_NO_SKIPS", "1")
    result = run(test_a=TESTS)
    result.assert_outcomes(passed=1, failed=1, skipped=1, xfailed=1)
    result.stdout.fnmatch_lines(["*test_without_browser was skipped*no browser at /usr/bin/chromium*"])


def test_skipped_modules_fail_in_continuous_integration(run, monkeypatch):
    monkeypatch.setenv("FACESMITH_NO_SKIPS", "1")
    run(test_b=MODULE).assert_outcomes(errors=1)
