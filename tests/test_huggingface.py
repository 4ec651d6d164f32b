"""What extract writes is read by the library `datasets`, and what that writes is read by Facesmith."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("datasets")
pytest.importorskip("pyarrow")
