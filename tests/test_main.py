"""``python -m skphys``."""

import subprocess
import sys

from skphys import __main__ as check


def test_versions_and_checks():
    done = subprocess.run(
        [sys.executable, "-m", "skphys"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "scikit-learn" in done.stdout
    assert done.stdout.count("holds") >= 2 and "FAILS" not in done.stdout


def test_a_check_that_fails_says_so(monkeypatch, capsys):
    monkeypatch.setattr(check, "law", lambda: 1e-3)
    monkeypatch.setattr(check, "walls", lambda: 0.0)
    monkeypatch.setattr(check, "net", lambda: 0.0)
    assert check.main() == 1
    assert "FAILS, to 1.0e-03 relative" in capsys.readouterr().out
