"""
Mixture fractions with honest intervals
=======================================

The fractions of a mixture are not negative, and their sum is one. A regressor knows neither, and
where a fraction is small its error bars reach below zero. :class:`~skphys.constraints.Bounds` and a
:class:`~skphys.constraints.ConservationLaw` cut the Gaussian of the fractions off where one of them
would be negative: what is left is no Gaussian, and its mean, its intervals and its draws obey
both.

The task: how much of five pigments is in a powder, from its noisy spectrum.
"""

# %%
# The data
# --------
#
# A spectrum is the sum of those of the pigments, of which three are much alike, and noise. Any
# mixture is as likely as any other. One row a powder.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from skphys import ConservationConstrainedRegressor
from skphys.constraints import Bounds, ConservationLaw
from skphys.metrics import crps_ensemble

NAMES = ["ochre", "umber", "sienna", "smalt", "chalk"]
N_TRAIN, N_TEST, N_DRAWS, NOISE = 150, 400, 256, 0.06

wavelength = np.linspace(0.0, 1.0, 25)
centers, widths = np.array([0.3, 0.38, 0.46, 0.8, 0.6]), np.array([0.12, 0.12, 0.12, 0.1, 0.5])
SPECTRA = np.exp(-(((wavelength - centers[:, None]) / widths[:, None]) ** 2))


def draw_data(n, rng):
    """Return spectra and fractions."""
    y = rng.dirichlet(np.ones(5), n)
    return y @ SPECTRA + rng.normal(0.0, NOISE, (n, len(wavelength))), y


rng = np.random.default_rng(0)
X_train, y_train = draw_data(N_TRAIN, rng)
X_test, y_test = draw_data(N_TEST, rng)

# %%
# A backbone that states its errors
# ---------------------------------
#
# It learns the spectra, and unmixes a new one by least squares. Its covariance is that of least
# squares, which knows nothing of bounds.


class Unmixing(RegressorMixin, BaseEstimator):
    """Learns spectra from mixtures, then fractions by least squares."""

    def fit(self, X, y):
        """Learn the spectra, and the noise."""
        self.n_features_in_ = X.shape[1]
        self.spectra_, *_ = np.linalg.lstsq(y, X)
        self.noise_ = np.std(X - y @ self.spectra_)
        return self

    def predict(self, X, return_cov=False):
        """Return fractions, and their covariances on demand."""
        mean = X @ np.linalg.pinv(self.spectra_)
        cov = self.noise_**2 * np.linalg.inv(self.spectra_ @ self.spectra_.T)
        return (mean, np.broadcast_to(cov, (len(X), *cov.shape))) if return_cov else mean


# %%
# Three ways
# ----------
#
# The sum alone leaves negative fractions. With bounds, ``inequality_posterior="projected"`` moves
# the mean, and each draw, to the nearest mixture there is, so that many draws lie on a bound;
# "truncated" takes the distribution of the mixtures that are possible. "auto", the default, takes
# the second here, since the backbone states its errors, and fractions of the training data stay
# inside their bounds.

total, positive = ConservationLaw(total=1.0), Bounds(lower=0.0)
ways = {
    "sum": ConservationConstrainedRegressor(Unmixing(), [total]),
    "projected": ConservationConstrainedRegressor(
        Unmixing(), [total, positive], inequality_posterior="projected"
    ),
    "truncated": ConservationConstrainedRegressor(Unmixing(), [total, positive]),
}
found = {}
for name, model in ways.items():
    model.fit(X_train, y_train)
    draws = model.sample_y(X_test, N_DRAWS, random_state=0)
    low, high = np.quantile(draws, [0.05, 0.95], axis=-1, method="weibull")
    found[name] = draws
    mean = model.predict(X_test)
    error = np.sqrt(np.mean((mean - y_test) ** 2))
    inside = np.mean((low <= y_test) & (y_test <= high))
    print(
        f"{name:10} RMSE {error:.4f}  CRPS {crps_ensemble(y_test, draws):.4f}  intervals hold "
        f"{inside:.1%}  negative draws {np.mean(draws < 0):.1%}  sums off "
        f"{np.abs(mean.sum(axis=1) - 1).max():.0e}"
    )

# %%
# One mixture
# -----------
#
# The sum is one in each draw, and no fraction is negative.

one = int(np.argmin(np.abs(y_test[:, :3] - [0.02, 0.5, 0.1]).sum(axis=1)))
figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), sharey=True, layout="constrained")
for axis, (name, draws) in zip(axes, found.items(), strict=True):
    parts = axis.violinplot(draws[one].T, showextrema=False, widths=0.8)
    for body in parts["bodies"]:
        body.set_alpha(0.5)
    axis.plot(np.arange(1, 6), y_test[one], "kx", label="truth")
    axis.plot(np.arange(1, 6), draws[one].mean(axis=1), "C3_", ms=14, label="mean of the draws")
    axis.axhline(0.0, color="0.6", lw=0.8)
    axis.set_xticks(np.arange(1, 6), NAMES, rotation=30)
    axis.set_title(name)
axes[0].set_ylabel("fraction")
axes[0].legend()
figure.savefig("mixture_fractions.png", dpi=110)
