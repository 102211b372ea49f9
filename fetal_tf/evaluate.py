"""Evaluate a run or a bundle: `python -m fetal_tf.evaluate RUN|BUNDLE|zoo:NAME`."""

import argparse
import sys
from functools import partial
from pathlib import Path

from fetal_tf.cli.command_options import add_judging_options, command_parser
from fetal_tf.cli.launching import run_command
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.edge.io.folders import is_replaceable

WORST_CASES = 12


def main(argv: list[str] | None = None) -> int:
    """Returns 0, or 2 with one line on stderr."""
    args = parser().parse_args(argv)
    return run_command(lambda: _evaluate(args), "nothing was written")


def _evaluate(args: argparse.Namespace) -> int:
    from fetal_tf.data.negatives import as_negatives
    from fetal_tf.edge.inference.runtimes import FlipAverage
    from fetal_tf.edge.io.folders import staged_entries
    from fetal_tf.evaluation.evaluate import (
        check_any_scored,
        draw_rows,
        evaluate_samples,
        summarise_rows,
        worst_rows,
        write_evaluation,
    )
    from fetal_tf.evaluation.negatives import negatives_section, negatives_text
    from fetal_tf.evaluation.provenance import count_learnt, describe
    from fetal_tf.evaluation.seen import seen_by, seen_section, seen_warning, with_seen
    from fetal_tf.evaluation.target import open_target
    from fetal_tf.reporting.page import Case, write_report
    from fetal_tf.tracking.tracker import track_results

    target = open_target(args.target, args.format)
    samples = target.samples(args.split, args.data_root, args.dataset)
    negatives = target.negatives(args.split, args.data_root, args.dataset)
    if args.negative:
        samples, negatives = [], as_negatives([*samples, *negatives])
    if not samples and not negatives:
        raise DataError(f"{args.data_root or target.config.data.root}: no annotated image found")
    out = args.out or target.default_out(
        args.split, args.tta, args.data_root, args.dataset, args.negative
    )
    _check_replaceable(out)
    predictor, task = target.predictor, target.task
    average = partial(FlipAverage, classes=task.classes) if args.tta == "flip" else None
    columns = task.headline if args.score is None else _official(task, args.score)

    gather = task.gather()
    judge = partial(evaluate_samples, predictor, task=task, progress=True, average=average)
    seen = partial(seen_by, target, data_root=args.data_root, dataset=args.dataset)
    rows = with_seen(judge(samples, gather=gather), seen(samples))
    answers = with_seen(judge(negatives), seen(negatives))
    summary = summarise_rows(rows, task, target.config.seed, gather)
    summary |= seen_section(rows, task, target.config.seed, summary)
    learnt = count_learnt(target, negatives, args.data_root, args.dataset)
    summary |= negatives_section(answers, negatives, learnt)
    evaluated = describe(
        target, samples, args.split, args.data_root, args.dataset, args.tta, negatives
    )
    worst = worst_rows(rows, task, WORST_CASES)
    overlays = draw_rows(predictor, samples, task, worst["id"], average)
    shown = zip(worst.to_dict("records"), overlays, strict=True)
    cases = [Case(row, overlay) for row, overlay in shown]

    with staged_entries(out) as folder:
        tables = {**task.tables(rows), **({} if answers.empty else {"negatives": answers})}
        paths = write_evaluation(folder, rows, summary, evaluated, tables)
        page = write_report(folder, rows, summary, evaluated, task, cases, target.history)
    if answers.empty:
        (out / "negatives.csv").unlink(missing_ok=True)  # of an older evaluation
    if evaluated.phantom:
        print("PHANTOM: generated images, which say nothing about patients")
    if len(rows):
        if warning := seen_warning(summary):
            print(warning)
        print(_table(summary, task, columns))
    if len(answers):
        print(negatives_text(summary["negatives"]))
    for path in (*paths, page):
        print(out / path.name)
    if target.run_path and args.out is None:
        track_results(target.config, target.run_path)
    check_any_scored(answers if rows.empty else rows)
    return 0


def _check_replaceable(out: Path) -> None:
    """Refuse to replace a folder that holds no evaluation."""
    if not is_replaceable(out, "summary.json"):
        raise DataError(
            f"{out}: is there and holds no evaluation (no summary.json in it); "
            "name another folder with --out"
        )


def _official(task, score: str) -> tuple[str, ...]:
    """The columns of a dataset's official score."""
    from fetal_tf.config.registry import nearest

    if score not in task.scores:
        known = ", ".join(task.scores) or "none"
        raise ConfigError(
            f"--score: {task.name} has no score {score!r}{nearest(score, task.scores)}; "
            f"its scores: {known}"
        )
    return task.scores[score]


def _table(summary, task, names) -> str:
    """The headline metrics as a table; below it the pooled ones if the task has any."""
    from fetal_tf.evaluation.seen import SEEN
    from fetal_tf.reporting.text.table import text_table
    from fetal_tf.scores.wording import metric_label, number

    counts = ("flagged", "refused", "failed")
    parts = [(SEEN[key], found) for key, found in summary.get("seen", {}).items()]
    parts = [*(parts if len(parts) > 1 else []), ("all", summary)]
    header = ["frames", "n", *map(metric_label, names), *counts]
    lines = [
        [label, str(found["images"]["n"])]
        + [number(found["metrics"][name]["mean"], name) for name in names]
        + [str(found["images"][name]) for name in counts]
        for label, found in parts
    ]
    # One part is its own label.
    shown = [header, *lines] if len(parts) > 1 else [header[1:], lines[0][1:]]
    table = [text_table(shown, text_columns=int(len(parts) > 1))]
    if task.pooled_headline and "pooled" in summary:
        figures = (
            f"{metric_label(name)} {number(summary['pooled'][name]['value'], name)}"
            for name in task.pooled_headline
        )
        rule = summary["absent_rule"]
        table.append(f"above: means over images (absent structures: {rule}); pooled over pixels: ")
        table[-1] += ", ".join(figures)
    return "\n".join(table)


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    command = command_parser(
        "python -m fetal_tf.evaluate", __doc__, "zoo:hc18 --data-root DATA --split all"
    )
    command.add_argument("target", metavar="RUN|BUNDLE|zoo:NAME", help="what to evaluate")
    add_judging_options(command)
    command.add_argument("--dataset", metavar="NAME", help="the layout of --data-root's files")
    command.add_argument(
        "--negative",
        action="store_true",
        help="the frames show nothing of what the net measures: count which of them it refuses",
    )
    command.add_argument(
        "--score",
        metavar="NAME",
        help="show one of the task's scores: focus (FOCUS' official one), diameters (of heads)",
    )
    command.add_argument("--tta", choices=("flip",), help="average with the mirror image's output")
    command.add_argument("--out", type=Path, metavar="DIR", help="where the results go")
    return command


if __name__ == "__main__":
    sys.exit(main())
