"""The tables of reproduce_probconserv.py, on the screen and as reStructuredText."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import fill

import numpy as np

LABELS = {
    "anp": "ANP",
    "softc": "SoftC",
    "hardc": "HardC",
    "probconserv": "ProbConserv",
    "smoothed": "ProbConserv, smoothing",
    "ours": "skphys",
}
PROBLEMS = {
    "diffusion": ("Diffusion", "k"),
    "porous_medium": ("Porous medium", "m"),
    "stefan": ("Stefan", "u_star"),
    "advection": ("Advection", "beta"),
    "burgers": ("Burgers", "a"),
}
SCORES = {  # factor and format
    "ce": ("CE x 1e3", 1e3, ".2f"),
    "ll": ("LL", 1.0, ".3f"),
    "mse": ("MSE x 1e4", 1e4, ".2f"),
    "crps": ("CRPS x 1e3", 1e3, ".2f"),
}
NOISES = {0.0: "the law exact", "auto": 'the law with noise="auto"'}


@dataclass(frozen=True)
class Table:
    """A title, the names of columns, and rows of text."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """Write the table for the screen."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        return "\n".join([f"**{self.title}**\n", *("| " + " | ".join(x) + " |" for x in lines)])

    def rst(self) -> str:
        """Write the table for the documentation."""
        lines = [", ".join(f'"{cell}"' for cell in row) for row in (self.columns, *self.rows)]
        head = (
            f"{self.title.replace('*', chr(92) + '*')}:\n\n.. csv-table::\n   :header: {lines[0]}"
        )
        return "\n".join([head, "", *(f"   {line}" for line in lines[1:]), ""])


def with_error(values: Iterable[float], factor: float, form: str) -> str:
    """Write a mean and, in brackets, its standard error."""
    values = factor * np.asarray(list(values))
    mean = format(values.mean(), form)
    if float(mean) == 0.0:
        mean = format(0.0, form) if np.abs(values).max() > 1e-9 else "0"
    if len(values) < 2 or mean == "0":
        return mean
    return f"{mean} ({format(values.std(ddof=1) / np.sqrt(len(values)), form)})"


def pooled(records: list[dict], **wanted: object) -> list[dict]:
    """Return the records, one for each seed, that have these entries."""
    return [record for record in records if wanted.items() <= record.items()]


def parameter_label(symbol: str, parameter: str) -> str:
    """Say which tests these are."""
    return "training range" if parameter == "range" else f"{symbol} = {float(parameter):g}"


def score_table(records: list[dict], problem: str, noise: float | str) -> Table:
    """Compare the methods on each set of tests; methods without a law are the same in any noise."""
    title, symbol = PROBLEMS[problem]
    own = pooled(records, problem=problem)
    rows = []
    for parameter in dict.fromkeys(record["parameter"] for record in own):
        for method, label in LABELS.items():
            level = 0.0 if method in ("anp", "softc") else noise
            found = pooled(own, parameter=parameter, method=method, noise=level)
            if not found:
                continue
            cells = [
                with_error((v for record in found for v in record["scores"][name]), factor, form)
                for name, (_, factor, form) in SCORES.items()
            ]
            rows.append([parameter_label(symbol, parameter), label, *cells])
    heads = [head for head, _, _ in SCORES.values()]
    return Table(f"{title}, {NOISES[noise]}", ["tests", "method", *heads], rows)


def front_cells(front: dict) -> list[str]:
    """Write the mean position, the root mean square distance, and the part that is covered."""
    return [
        with_error(front["position"], 1.0, ".4f"),
        f"{np.sqrt(np.mean(np.square(front['distance']))):.4f}",
        f"{100 * np.mean(front['covered']):.0f} %",
    ]


def front_table(records: list[dict], problem: str) -> Table:
    """Say where draws of the field put the front."""
    title, symbol = PROBLEMS[problem]
    rows = []
    for record in (r for r in records if r["problem"] == problem and "front" in r):
        law = "-" if record["method"] in ("anp", "softc") else str(record["noise"])
        cells = [front_cells(record["front"][way]) for way in ("half", "first")]
        rows.append(
            [
                parameter_label(symbol, record["parameter"]),
                LABELS[record["method"]],
                "0" if law == "0.0" else law,
                f"{np.mean(record['front']['half']['truth']):.4f}",
                *(cell for way in cells for cell in way),
            ]
        )
    ways = [f"{head}{way}" for way in ("", ", paper") for head in ("mean", "rmse", "90 % covers")]
    columns = ["tests", "method", "noise", "true front", *ways]
    return Table(f"{title}, position of the front", columns, rows)


def tables(records: list[dict]) -> list[Table]:
    """Return all tables that there are results for."""
    present = [name for name in PROBLEMS if pooled(records, problem=name)]
    found = [score_table(records, name, noise) for noise in NOISES for name in present]
    fronts = [front_table(records, name) for name in present]
    return [table for table in found + fronts if table.rows]


def seconds(records: list[dict]) -> str:
    """Say how long training and evaluation took."""
    fits = {(r["problem"], r["backbone"], r["seed"]): r["seconds"] for r in records}
    return "; ".join(
        f"{PROBLEMS[name][0]} {LABELS[kind]} {spent['training']:.0f} + {spent['evaluation']:.0f}"
        for (name, kind, _), spent in sorted(fits.items())
    )


def print_tables(records: list[dict]) -> None:
    """Print what there is."""
    for table in tables(records):
        print(f"\n{table.markdown()}")
    print(f"\nSeconds of training and evaluation: {seconds(records)}")


def write_tables(path, records: list[dict], command: str, settings: str) -> None:
    """Write what there is as reStructuredText, to be included in a page."""
    text = (
        f"``{command}``: means and, in brackets, standard errors over the functions. {settings} CE "
        "is the trapezoid rule of the mean less the exact mass, LL the log-likelihood a point. "
        f"Seconds of training and evaluation: {seconds(records)}."
    )
    head = ["The comparison", "--------------", "", fill(text, 100, break_on_hyphens=False), ""]
    lines = head + [table.rst() for table in tables(records)]
    path.write_text("\n".join(lines).rstrip() + "\n")
