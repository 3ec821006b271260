"""The tables of reproduce_probconserv.py, on the screen and as reStructuredText."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from operator import itemgetter
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
    "held": ("90 % holds, %", 1e2, ".0f"),
}
JUDGED = {"ll": -1.0, "mse": 1.0, "crps": 1.0}  # the scores to win by, and what makes less better
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


def parameters(records: list[dict]) -> list[str]:
    """Return the names of the sets of tests in order, the training range last."""
    return sorted(
        {record["parameter"] for record in records},
        key=lambda name: float("inf" if name == "range" else name),
    )


def score_table(records: list[dict], problem: str, noise: float | str) -> Table:
    """Compare the methods on each set of tests; methods without a law are the same in any noise."""
    title, symbol = PROBLEMS[problem]
    own = pooled(records, problem=problem)
    rows = []
    for parameter in parameters(own):
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


def cells(records: list[dict]) -> Iterator[tuple[tuple[str, str, str], dict[str, np.ndarray]]]:
    """Yield each problem, set of tests and score, with every function's score by each method.

    The law is exact. Lower is better. Methods that miss a seed of the others are left out.
    """
    own = pooled(records, noise=0.0)
    sets = [
        (problem, parameter)
        for problem in PROBLEMS
        for parameter in parameters(pooled(own, problem=problem))
    ]
    for problem, parameter in sets:
        tests = pooled(own, problem=problem, parameter=parameter)
        for score, sign in JUDGED.items():
            found = {
                method: sign * np.concatenate([r["scores"][score] for r in each])
                for method in LABELS
                if (each := sorted(pooled(tests, method=method), key=itemgetter("seed")))
            }
            most = max(map(len, found.values()))
            yield (
                (problem, parameter, score),
                {method: values for method, values in found.items() if len(values) == most},
            )


def no_worse(values: np.ndarray, rival: np.ndarray) -> bool:
    """Say whether a mean is lower, or within one standard error of the paired differences."""
    excess = values - rival
    error = excess.std(ddof=1) / np.sqrt(len(excess)) if len(excess) > 1 else 0.0
    return bool(excess.mean() <= error)


def count_table(records: list[dict]) -> Table:
    """Count for each method the cells that it wins, and those where ProbConserv does not win."""
    found = list(cells(records))
    rows = []
    for method, label in LABELS.items():
        row = [label]
        for score in (*JUDGED, None):
            own = [v for (*_, name), v in found if name == (score or name) and method in v]
            best = [no_worse(v[method], min(v.values(), key=np.mean)) for v in own]
            row.append(f"{sum(best)} of {len(own)}")
        known = [no_worse(v[method], v["probconserv"]) for v in own if "probconserv" in v]
        if own:
            rows.append([*row, f"{sum(known)} of {len(known)}"])
    heads = [SCORES[score][0].split(" x")[0] for score in JUDGED]
    title = "Cells of which a method is the best, or within one standard error of the best"
    return Table(title, ["method", *heads, "all", "no worse than ProbConserv"], rows)


def losses(records: list[dict], method: str = "ours", rival: str = "probconserv") -> str:
    """Name the cells where a method is worse than another by more than one standard error."""
    names = [
        f"{PROBLEMS[problem][0]}, {parameter_label(PROBLEMS[problem][1], parameter)} "
        f"({SCORES[score][0].split(' x')[0]})"
        for (problem, parameter, score), values in cells(records)
        if {method, rival} <= set(values) and not no_worse(values[method], values[rival])
    ]
    return (
        f"{LABELS[method]} is worse than {LABELS[rival]} in: " + ("; ".join(names) or "none") + "."
    )


def front_cells(fronts: list[dict]) -> list[str]:
    """Write the mean position, the root mean square distance, and the part that is covered."""
    position, distance, covered = (
        np.concatenate([front[name] for front in fronts])
        for name in ("position", "distance", "covered")
    )
    return [
        with_error(position, 1.0, ".4f"),
        f"{np.sqrt(np.mean(np.square(distance))):.4f}",
        f"{100 * np.mean(covered):.0f}",
    ]


def front_table(records: list[dict], problem: str) -> Table:
    """Say where draws of the field put the front, with the law exact."""
    title, symbol = PROBLEMS[problem]
    own = [r for r in pooled(records, problem=problem, noise=0.0) if "front" in r]
    rows = []
    for parameter, method in product(parameters(own), LABELS):
        found = [r["front"] for r in pooled(own, parameter=parameter, method=method)]
        if found:
            truth = np.concatenate([front["half"]["truth"] for front in found])
            ways = [front_cells([front[way] for front in found]) for way in ("half", "first")]
            head = [parameter_label(symbol, parameter), LABELS[method], f"{truth.mean():.4f}"]
            rows.append([*head, *(cell for way in ways for cell in way)])
    ways = [
        f"{head}{way}" for way in ("", ", paper") for head in ("mean", "rmse", "90 % covers, %")
    ]
    return Table(f"{title}, position of the front", ["tests", "method", "true front", *ways], rows)


def tables(records: list[dict], noises: Iterable[float | str] = NOISES) -> list[Table]:
    """Return all tables that there are results for."""
    present = [name for name in PROBLEMS if pooled(records, problem=name)]
    found = [score_table(records, name, noise) for noise in noises for name in present]
    fronts = [front_table(records, name) for name in present]
    counts = [count_table(records)] if records else []
    return [table for table in counts + found + fronts if table.rows]


def nets(records: list[dict]) -> str:
    """Say how many nets of each kind there are, and how long training and evaluating one took."""
    kinds: dict[tuple[str, str], dict[int, dict]] = {}
    for r in records:
        kinds.setdefault((r["problem"], r["backbone"]), {})[r["seed"]] = r["seconds"]
    said = []
    for (problem, kind), spent in sorted(kinds.items()):
        means = [
            f"{np.mean([each[what] for each in spent.values()]):.0f}"
            for what in ("training", "evaluation")
        ]
        said.append(f"{len(spent)} {PROBLEMS[problem][0]} {LABELS[kind]} {' + '.join(means)}")
    return "; ".join(said)


def print_tables(records: list[dict]) -> None:
    """Print what there is."""
    for table in tables(records):
        print(f"\n{table.markdown()}")
    print(f"\n{losses(records)}")
    print(f"\nNets, and seconds of training and evaluation of each: {nets(records)}")


def write_tables(path, records: list[dict], command: str, settings: str) -> None:
    """Write what there is of the exact law as reStructuredText, to be included in a page."""
    text = (
        f"``{command}``: means and, in brackets, standard errors over the functions of all nets. "
        f"{settings} CE is the trapezoid rule of the mean less the exact mass, LL the "
        "log-likelihood a point; LL, CRPS and 90 % intervals of skphys are those of its mixture, "
        "of the others, as in the paper, of a Gaussian with the moments. Nets, and seconds of "
        f"training and evaluation of each: {nets(records)}. Between methods the standard error is "
        f"that of differences function by function. {losses(records)}"
    )
    head = ["The comparison", "--------------", "", fill(text, 100, break_on_hyphens=False), ""]
    lines = head + [table.rst() for table in tables(records, [0.0])]
    path.write_text("\n".join(lines).rstrip() + "\n")
