"""MODEL_CARD.md: `model_card.md.j2` holds the words; the tables are made here, from the records."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2

from fetal_tf.config.portable import portable
from fetal_tf.data.configured import negative_ids
from fetal_tf.data.mixture import source_and_id
from fetal_tf.exporting.card_texts import CARD_TEXTS, CardText
from fetal_tf.exporting.formats import FORMATS
from fetal_tf.exporting.parity import delta_label
from fetal_tf.reporting.sections.confidence import doubted_in, refused_table
from fetal_tf.reporting.sections.negatives import MEANINGS, format_table, sentence
from fetal_tf.reporting.sections.subgroups import subgroup_tables
from fetal_tf.reporting.text.table import markdown_table
from fetal_tf.reporting.text.table import significant as number
from fetal_tf.runs.run import Run
from fetal_tf.scores.wording import interval, metric_label
from fetal_tf.scores.wording import number as metric_number
from fetal_tf.tasks.task import Task

ABSENT_RULES = {
    "skip": "An image whose truth does not show a structure has no Dice of it.",
    "one": "An image whose truth does not show a structure counts 1 where none was found, else 0.",
    "zero": "An image whose truth does not show a structure counts 0.",
}
LARGEST = "probability_abs_delta_max"

Record = Mapping[str, Any]
Rows = list[list[str]]  # of cells, the header first


def model_card(bundle: Record, parity: Record, benchmark: Record, run: Run, grouping: str) -> str:
    """The card as Markdown.

    Args:
        bundle: the tree of bundle.json.
        parity: the tree of parity.json.
        benchmark: the tree of benchmark.json.
        run: the run, for its config, its split and its headline metrics.
        grouping: what the split promises about persons.
    """
    text = CARD_TEXTS[bundle["measurement"]].of(bundle["classes"])
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"table": markdown_table, "number": number}
    template = Path(__file__).with_name("model_card.md.j2").read_text(encoding="utf-8")
    card = environment.from_string(template).render(
        bundle=bundle,
        parity=parity,
        benchmark=benchmark,
        config=portable(run.config),
        grouping=grouping,
        text=text,
        absent_rules=ABSENT_RULES,
        conventions=_conventions(bundle),
        split=_split(run),
        negatives=_learnt_negatives(run),
        results=_results(parity, run.task),
        more_results=[*_scores(parity, run.task), *_subgroups(parity)],
        confidence=_confidence(parity),
        answers=_answers(parity),
        deltas=parity_table(parity, run.task),
        times=benchmark_table(benchmark),
        flags=_flags(parity, text),
        files=_files(bundle),
    )
    return re.sub(r"\n{3,}", "\n\n", card).rstrip() + "\n"


def parity_table(parity: Record, task: Task) -> Rows:
    """Every delta that some format is held to, as `value / limit`; a row for each format."""
    forms = parity["formats"]
    limited = {check["metric"]: None for form in forms.values() for check in form["checks"]}
    labels = [delta_label(name, task.columns) for name in (*limited, LARGEST)]
    rows = [["format", *labels, "verdict"]]
    for name, form in forms.items():
        limits = {check["metric"]: f" / {number(check['limit'])}" for check in form["checks"]}
        cells = [number(form["deltas"].get(m)) + limits.get(m, "") for m in (*limited, LARGEST)]
        rows.append([name, *cells, "pass" if form["passed"] else "FAIL"])
    return rows


def benchmark_table(benchmark: Record) -> Rows:
    """Size, speed and memory; a row for each format. Latencies are `p50 / p95` in ms."""
    header = [
        "format",
        "size (KB)",
        "1 thread (ms)",
        "2 threads (ms)",
        "image to mm (ms)",
        "time / float32",
        "time / Keras",
        "peak memory (MiB)",
    ]
    rows = [
        [
            name,
            f"{form['bytes'] / 1000:.0f}",
            *(
                f"{number(form[kind]['p50_ms'])} / {number(form[kind]['p95_ms'])}"
                for kind in ("threads_1", "threads_2", "whole_way_threads_1")
            ),
            number(form["time_over_float32"]),
            number(form["time_over_keras_predict"]),
            number(form["peak_memory_mib"]),
        ]
        for name, form in benchmark["formats"].items()
    ]
    return [header, *rows]


def _conventions(bundle: Record) -> Rows:
    """How far the outline exceeds what the experts of a dataset draw; only a header for most."""
    found = bundle["measurement_settings"].get("conventions") or {}
    rows = [
        [f"`{name}`", *(f"{f[axis]:g}" for axis in ("ofd", "bpd"))] for name, f in found.items()
    ]
    return [["dataset", "OFD, outline / expert", "BPD, outline / expert"], *rows]


def _split(run: Run) -> Rows:
    negative = negative_ids(run.config.data, run.splits)
    rows = [row for id, row in run.splits.items() if id not in negative]
    images = Counter(row.split for row in rows)
    groups = Counter(split for split, _ in {(row.split, row.group) for row in rows})
    parts = [[part, str(images[part]), str(groups[part])] for part in ("train", "val", "test")]
    return [["split", "images", "examinations"], *parts]


def _learnt_negatives(run: Run) -> dict[str, Any]:
    negative = negative_ids(run.config.data, run.splits)
    mixed = run.config.data.mixed_with
    learnt = sum(run.splits[id].split == "train" for id in negative)
    sources = ", ".join(sorted({source_and_id(id, mixed)[0] for id in negative}))
    return {"sources": sources, "learnt": learnt, "held_out": len(negative) - learnt}


def _subjects(parity: Record) -> dict[str, Record]:
    """Keras and every format, each with its own summary."""
    measured = {name: form["measured"] for name, form in parity["formats"].items()}
    return {"keras": parity["keras"], **measured}


def _results(parity: Record, task: Task) -> Rows:
    header = ["format", "n", *(f"{metric_label(m)} [95 % CI]" for m in task.headline)]
    header += [f"{metric_label(m)}, pooled over pixels" for m in task.pooled_headline]
    counts = ("flagged", "refused", "failed")
    rows = [
        [
            name,
            str(summary["images"]["n"]),
            *(_mean(summary, metric) for metric in task.headline),
            *(_pooled(summary, metric) for metric in task.pooled_headline),
            *(str(summary["images"][kind]) for kind in counts),
        ]
        for name, summary in _subjects(parity).items()
    ]
    return [[*header, *counts], *rows]


def _scores(parity: Record, task: Task) -> Iterator[tuple[str, Rows]]:
    """Title and table of each of the task's scores, on the same images."""
    for score, columns in task.scores.items():
        header = ["format", *(f"{metric_label(column)} [95 % CI]" for column in columns)]
        rows = [
            [form, *(_mean(summary, column) for column in columns)]
            for form, summary in _subjects(parity).items()
        ]
        yield f"Score `{score}`", [header, *rows]


def _subgroups(parity: Record) -> Iterator[tuple[str, Rows]]:
    """Of the first format, which is the file that ships in a bundle of one."""
    name, form = next(iter(parity["formats"].items()))
    for table in subgroup_tables(form["measured"]):
        yield f"{table.title}, `{name}`", [list(table.header), *map(list, table.rows)]


def _mean(summary: Record, name: str) -> str:
    metric = summary["metrics"][name]
    return (
        f"{metric_number(metric['mean'], name)} [{interval(metric['ci95'], name)}], n={metric['n']}"
    )


def _pooled(summary: Record, name: str) -> str:
    if "pooled" not in summary:
        return number(None)
    found = summary["pooled"][name]
    return f"{metric_number(found['value'], name)} [{interval(found['ci95'], name)}]"


def _confidence(parity: Record) -> dict[str, Any] | None:
    """Whose error is expected, and the error that is left where the least certain are refused."""
    found = parity["keras"].get("confidence")
    if not found:
        return None
    table = refused_table(found)
    return {"doubted": doubted_in(found), "refused": [table.header, *table.rows]}


def _answers(parity: Record) -> dict[str, Any] | None:
    """What each net says to frames that show something else."""
    found = {name: s["negatives"] for name, s in _subjects(parity).items() if s.get("negatives")}
    if not found:
        return None
    header, rows = format_table(found)
    first = next(iter(found.values()))
    return {"sentence": sentence(first), "meanings": MEANINGS, "rows": [["format", *header], *rows]}


def _flags(parity: Record, text: CardText) -> Rows:
    """What each code means and how often the float model gave it; only a header where none can."""
    seen = parity["keras"]["flags"] | parity["keras"]["refusals"]
    codes = text.flags | {code: "" for code in seen if code not in text.flags}
    rows = [[f"`{code}`", meaning, str(seen.get(code, 0))] for code, meaning in codes.items()]
    return [["code", "meaning", "images"], *rows]


def _files(bundle: Record) -> Rows:
    rows = [
        [f"`{entry['path']}`", FORMATS[name].summary, f"`{entry['sha256']}`", str(entry["bytes"])]
        for name, entry in bundle["files"].items()
    ]
    return [["file", "what", "SHA-256", "bytes"], *rows]
