"""Compare nets by error and latency: `python -m tools.pareto BUNDLE BUNDLE… --out DIR`.

Times the nets of all bundles in turns within one run, takes each error from the bundle's
parity.json, and marks the Pareto front: the nets that no other net beats in both.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fetal_tf.cli.command_options import command_parser
from fetal_tf.cli.launching import run_command, use_tensorflow_on_cpu
from fetal_tf.edge.errors import ConfigError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns 0, or 2 with one line on stderr."""
    args = parser().parse_args(argv)
    use_tensorflow_on_cpu()
    return run_command(lambda: _compare(args), "nothing was written")


def _compare(args: argparse.Namespace) -> int:
    from fetal_tf.analysis.pareto import undominated
    from fetal_tf.edge.io.folders import write_all
    from fetal_tf.reporting.plots.figures import png_bytes
    from fetal_tf.reporting.plots.pareto import pareto_plot
    from fetal_tf.reporting.text.table import text_table
    from fetal_tf.scores.rows import csv_text
    from fetal_tf.scores.wording import metric_label

    contenders = _contenders(args.bundles, args.format, args.metric)
    front = undominated(contenders)
    fastest = min(c.latency_ms for c in contenders)
    label = metric_label(args.metric)
    plot = pareto_plot(contenders, label, f"{args.format}, one thread, ms a frame")
    rows = [
        {
            "name": c.name,
            "undominated": float(c in front),
            args.metric: c.error,
            f"{args.metric}_ci95_low": c.error_ci95[0],
            f"{args.metric}_ci95_high": c.error_ci95[1],
            "images": float(c.images),
            "latency_ms": c.latency_ms,
            "latency_over_fastest": c.latency_ms / fastest,
            "kilobytes": c.kilobytes,
            "gmacs": c.gmacs,
        }
        for c in contenders
    ]
    paths = write_all(args.out, {"pareto.csv": csv_text(rows), "pareto.png": png_bytes(plot)})
    header = ("net", "n", label, "ms", "over fastest", "KB", "GMAC", "")
    table = [
        (
            c.name,
            str(c.images),
            f"{c.error:.3f} [{c.error_ci95[0]:.3f}, {c.error_ci95[1]:.3f}]",
            f"{c.latency_ms:.2f}",
            f"{c.latency_ms / fastest:.2f}",
            f"{c.kilobytes:.0f}",
            f"{c.gmacs:.2f}",
            "worth its time" if c in front else "",
        )
        for c in contenders
    ]
    print(text_table([header, *table], rule=True))
    for path in paths:
        print(path)
    return 0


def _contenders(references: Sequence[str], form: str, metric: str) -> list:
    import json

    import numpy as np

    from fetal_tf.analysis.pareto import Contender
    from fetal_tf.edge.bundle.bundle import Bundle, resolve_bundle
    from fetal_tf.exporting.latency import interleaved_latency_ms, net_alone

    bundles = [Bundle.open(resolve_bundle(reference)) for reference in references]
    names = [bundle.name for bundle in bundles]
    if len(set(names)) < len(names):
        raise ConfigError(f"two bundles of one name: {', '.join(names)}")
    records = [_measured(bundle, form, metric) for bundle in bundles]
    counts = {bundle.name: int(r["n"]) for bundle, r in zip(bundles, records, strict=True)}
    if len(set(counts.values())) > 1:
        raise ConfigError(f"judged on different numbers of images: {counts}")
    rng = np.random.default_rng(0)
    calls = {
        bundle.name: net_alone(
            bundle.predictor(form), rng.integers(0, 256, (4, *bundle.input_shape)).astype(np.uint8)
        )
        for bundle in bundles
    }
    durations = interleaved_latency_ms(calls, rounds=20)
    found = []
    for bundle, record in zip(bundles, records, strict=True):
        low, high = record["ci95"]
        timing = json.loads((bundle.path / "benchmark.json").read_bytes())
        found.append(
            Contender(
                _shown_name(bundle),
                float(np.median(durations[bundle.name])),
                float(record["mean"]),
                (float(low), float(high)),
                int(record["n"]),
                bundle.manifest["files"][form]["bytes"] / 1000,
                timing["model"]["macs"] / 1e9,
            )
        )
    return found


def _shown_name(bundle) -> str:
    """The bundle's name. A refit also names the run that its figures come from."""
    measured_by = bundle.manifest["parity"].get("measured_by")
    return f"{bundle.name} (figures of {measured_by})" if measured_by else bundle.name


def _measured(bundle, form: str, metric: str) -> dict:
    import json

    formats = json.loads((bundle.path / "parity.json").read_bytes())["formats"]
    if form not in formats or form not in bundle.formats:
        raise ConfigError(f"{bundle.path}: no {form} in it; there is {', '.join(bundle.formats)}")
    metrics = formats[form]["measured"]["metrics"]
    if metric not in metrics:
        raise ConfigError(f"{bundle.path}: {metric} was not measured; {', '.join(metrics)}")
    return metrics[metric]


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    command = command_parser(
        "python -m tools.pareto", __doc__, "runs/one/bundle runs/two/bundle --out pareto"
    )
    command.add_argument("bundles", metavar="RUN|BUNDLE", nargs="+", help="exported, same images")
    command.add_argument("--format", default="int8", help="the file to time (default: int8)")
    command.add_argument(
        "--metric", default="hc_abs_error_mm", help="an error of the task, to be lowered"
    )
    command.add_argument("--out", type=Path, metavar="DIR", required=True)
    return command


if __name__ == "__main__":
    sys.exit(main())
