"""The figures of reproduce_probconserv.py."""

import numpy as np
from _probconserv_tables import LABELS, PROBLEMS, parameter_label
from matplotlib.figure import Figure

COLORS = {
    "anp": "tab:gray",
    "softc": "tab:brown",
    "hardc": "tab:orange",
    "probconserv": "tab:blue",
    "smoothed": "tab:purple",
    "ours": "tab:red",
}


def save_figures(folder, fit, values, sets, shown):
    """Save the four figures of a problem, those of the law without noise."""
    exact = {method: result for (method, noise), result in shown.items() if noise == 0.0}
    name = f"{fit.problem}_{fit.seed}"
    curves(sets["curves"], exact, fit.problem).savefig(folder / f"mass_{name}.png", dpi=120)
    errors(sets["curves"], exact, fit.problem).savefig(folder / f"mse_{name}.png", dpi=120)
    profiles(sets, exact, fit.problem, values).savefig(folder / f"profile_{name}.png", dpi=120)
    fronts = [str(v) for v in values if any("positions" in r[str(v)] for r in exact.values())]
    if fronts:
        figure = histograms(exact, fit.problem, fronts)
        figure.savefig(folder / f"front_{name}.png", dpi=120)


def axes(n_rows=1, n_columns=1, width=4.0, height=3.0):
    """Return a figure and its axes, in an array of rows and columns."""
    figure = Figure((width * n_columns, height * n_rows), layout="constrained")
    return figure, figure.subplots(n_rows, n_columns, squeeze=False, sharex=True)


def over_time(data, values):
    """Return the times, and the mean over functions at each time."""
    times = data.data[:, -1].reshape(data.functions[-1] + 1, -1)[0]
    return times, values.reshape(-1, len(times)).mean(axis=0)


def curves(data, exact, problem):
    """Draw the mass over time."""
    figure, ((ax,),) = axes(width=5.0)
    weights = data.grid.weights()
    for method, result in exact.items():
        times, mass = over_time(data, result["curves"]["mean"] @ weights)
        ax.plot(times, mass, label=LABELS[method], color=COLORS[method])
    ax.plot(*over_time(data, data.masses), "k--", label="exact")
    ax.set(xlabel="t", ylabel="mass", title=f"{PROBLEMS[problem][0]}: mass over time")
    ax.legend(fontsize="small")
    return figure


def errors(data, exact, problem):
    """Draw the mean squared error over time."""
    figure, ((ax,),) = axes(width=5.0)
    for method, result in exact.items():
        squares = np.mean((result["curves"]["mean"] - data.target) ** 2, axis=1)
        ax.semilogy(*over_time(data, squares), label=LABELS[method], color=COLORS[method])
    ax.set(xlabel="t", ylabel="MSE", title=f"{PROBLEMS[problem][0]}: error over time")
    ax.legend(fontsize="small")
    return figure


def profiles(sets, exact, problem, values):
    """Draw one function of each test with bands of two standard deviations."""
    figure, grid = axes(len(values), len(exact), width=2.5, height=2.2)
    for row, value in zip(grid, map(str, values), strict=True):
        x = sets[value].grid["x"]
        for ax, (method, result) in zip(row, exact.items(), strict=True):
            mean, std = result[value]["mean"][0], result[value]["std"][0]
            ax.plot(x, sets[value].target[0], "k--", lw=1)
            ax.plot(x, mean, color=COLORS[method])
            ax.fill_between(x, mean - 2 * std, mean + 2 * std, color=COLORS[method], alpha=0.3)
            title = f"{LABELS[method]}, {parameter_label(PROBLEMS[problem][1], value)}"
            ax.set_title(title, fontsize="small")
    return figure


def histograms(exact, problem, values):
    """Draw where draws of one field put the front."""
    figure, grid = axes(len(values), len(exact), width=2.5, height=2.2)
    for row, value in zip(grid, values, strict=True):
        for ax, (method, result) in zip(row, exact.items(), strict=True):
            positions = result[value]["positions"][0]
            ax.hist(positions[np.isfinite(positions)], bins=30, color=COLORS[method])
            ax.axvline(result[value]["truth"][0], color="k", ls="--")
            ax.locator_params(axis="x", nbins=4)
            title = f"{LABELS[method]}, {parameter_label(PROBLEMS[problem][1], value)}"
            ax.set_title(title, fontsize="small")
    return figure
