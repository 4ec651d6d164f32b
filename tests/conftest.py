"""Settings of all tests: an own cache per test, and no silent skips in continuous integration."""

from __future__ import annotations

import os

import pytest

NO_SKIPS = "FACESMITH_NO_SKIPS"


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """Give each test its own cache of packed faces and features, so that none uses the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("FACESMITH_CACHE", str(folder))
    return folder


def fail_if_skipped(report):
    """With FACESMITH_NO_SKIPS=1, turn a skipped test or module into a failure.

    Skips whose reason starts with "this" stay skips. They name something that can't be installed: "this CPU has ...".
    """
    if os.environ.get(NO_SKIPS) != "1" or not report.skipped or hasattr(report, "wasxfail"):
        return report
    reason = report.longrepr[2].removeprefix("Skipped: ")
    if not reason.startswith("this "):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped, but {NO_SKIPS} is set. Reason: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    return fail_if_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    return fail_if_skipped((yield))
