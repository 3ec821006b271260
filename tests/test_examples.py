"""The example that reads and writes files; CI runs the others as they stand."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def csv_example():
    path = EXAMPLES / "csv_in_csv_out.py"
    spec = importlib.util.spec_from_file_location("csv_in_csv_out", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_csv_out_holds_fields_that_conserve_their_total(csv_example, tmp_path):
    train, _, out = csv_example.write_demo(tmp_path, quick=True)
    x = np.linspace(0, 1, 201)  # the nodes of the law, so that the integral can be checked here
    query = pd.DataFrame({"t": np.repeat([0.3, 0.6], 201), "x": np.tile(x, 2)})
    query["total"] = np.repeat([0.2, 0.7], 201)
    shuffled = query.sample(frac=1, random_state=0)
    shuffled.to_csv(tmp_path / "query.csv", index=False)
    csv_example.run(train, tmp_path / "query.csv", out, domain=(0.0, 1.0), error=0.02)
    result = pd.read_csv(out)
    assert list(result) == ["t", "x", "total", "u", "u_std", "lower", "upper"]
    np.testing.assert_allclose(result["x"], shuffled["x"], rtol=1e-15)
    fields = result.sort_values(["t", "x"])["u"].to_numpy().reshape(2, 201)
    np.testing.assert_allclose(np.trapezoid(fields, x), [0.2, 0.7], rtol=0, atol=1e-12)
    assert ((result["lower"] <= result["u"]) & (result["u"] <= result["upper"])).all()


def test_missing_column_is_named(csv_example, tmp_path):
    train, query, out = csv_example.write_demo(tmp_path, quick=True)
    with pytest.raises(SystemExit, match=r"query\.csv lacks the column\(s\) \['u'\]"):
        csv_example.run(query, train, out, domain=(0.0, 1.0), error=0.02)
