"""How the suite itself runs."""

import os

import numpy as np
import pytest
from threadpoolctl import threadpool_info


def test_conftest_comes_before_numpy():
    """One thread a process, unless more are asked for: tests/conftest.py says so in time."""
    if "OPENBLAS_NUM_THREADS" in os.environ or "MKL_NUM_THREADS" in os.environ:
        pytest.skip("the threads of BLAS are set by a variable of its own")
    np.linalg.inv(np.eye(2))
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    assert pools
    wanted = min(int(os.environ["OMP_NUM_THREADS"]), os.cpu_count())
    assert {pool["num_threads"] for pool in pools} == {wanted}
