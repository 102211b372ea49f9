"""MODEL_CARD.md: `model_card.md.j2` holds the words; the tables are made here, from the records."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from fetal_tf.config.loading import load_config
from fetal_tf.config.portable import portable
from fetal_tf.config.tree import Config
from fetal_tf.data.configured import negative_ids
from fetal_tf.data.credit import groupings, inherited_origins, own_origins
from fetal_tf.data.mixture import source_and_id
from fetal_tf.data.splits import SplitRow, read_splits
from fetal_tf.edge.bundle.bundle import Bundle
from fetal_tf.experiment import open_experiment
from fetal_tf.exporting.card_texts import CARD_TEXTS, CardText
from fetal_tf.exporting.formats import FORMATS
from fetal_tf.exporting.held_out import MEASURED_BY
from fetal_tf.exporting.parity import delta_label
from fetal_tf.reporting.sections.confidence import doubted_in, refused_table
from fetal_tf.reporting.sections.negatives import MEANINGS, format_table, sentence
from fetal_tf.reporting.sections.subgroups import subgroup_tables
from fetal_tf.reporting.text.table import markdown_table
from fetal_tf.reporting.text.table import significant as number
from fetal_tf.scores.wording import interval, metric_label
from fetal_tf.scores.wording import number as metric_number
from fetal_tf.tasks.task import Task

ABSENT_RULES = {
    "skip": "An image whose truth does not show a structure has no Dice of it.",
    "one": "An image whose truth does not show a structure counts 1 where none was found, else 0.",
    "zero": "An image whose truth does not show a structure counts 0.",
}
LARGEST = "probability_abs_delta_max"
CARD = "MODEL_CARD.md"
_COUNTS = ("flagged", "refused", "failed")

Record = Mapping[str, Any]
Rows = list[list[str]]  # of cells, the header first


@dataclass(frozen=True)
class CardFacts:
    """What a card is made of.

    Attributes:
        bundle: the tree of bundle.json.
        parity: the tree of parity.json.
        benchmark: the tree of benchmark.json.
        config: of the run.
        splits: of the run, by id.
        task: of the run, for its headline metrics.
        shelf: the net's name in the zoo; None for a bundle that does not ship.
    """

    bundle: Record
    parity: Record
    benchmark: Record
    config: Config
    splits: Mapping[str, SplitRow]
    task: Task
    shelf: str | None = None

    @classmethod
    def read(cls, bundle: Bundle, shelf: str | None = None) -> "CardFacts":
        """The facts of a bundle that is there, from its own files, which its seal protects."""
        config = load_config(bundle.path / "config.yaml")
        parity, benchmark = (
            json.loads((bundle.path / f"{name}.json").read_text(encoding="utf-8"))
            for name in ("parity", "benchmark")
        )
        return cls(
            bundle.manifest,
            parity,
            benchmark,
            config,
            read_splits(bundle.path / "splits.csv"),
            open_experiment(config, bundle.measurement_settings).task,
            shelf,
        )


def model_card(facts: CardFacts) -> str:
    """The card as Markdown."""
    bundle, parity, config = facts.bundle, facts.parity, portable(facts.config)
    text = CARD_TEXTS[bundle["measurement"]].of(bundle["classes"])
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"table": markdown_table, "number": number}
    template = Path(__file__).with_name("model_card.md.j2").read_text(encoding="utf-8")
    card = environment.from_string(template).render(
        bundle=bundle,
        parity=parity,
        benchmark=facts.benchmark,
        config=config,
        shelf=facts.shelf,
        title=f"zoo:{facts.shelf}" if facts.shelf else bundle["name"],
        glance=_glance(facts),
        datasets=sorted(set(config.data.readers.values())),
        roots=_roots(config),
        needed=list(_needed(config)),
        groupings=groupings(bundle["trained_on"]),
        inherited=inherited_origins(bundle["trained_on"]),
        text=text,
        absent_rules=ABSENT_RULES,
        conventions=_conventions(bundle),
        data=_data(facts),
        negatives=_learnt_negatives(facts),
        results=_results(parity, facts.task),
        more_results=[*_scores(parity, facts.task), *_subgroups(facts)],
        confidence=_confidence(parity),
        answers=_answers(parity),
        deltas=parity_table(parity, facts.task),
        times=benchmark_table(facts.benchmark),
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


def _glance(facts: CardFacts) -> Rows:
    """What a reader asks first: the file, what was learnt, and how well it measures."""
    bundle, form = facts.bundle, facts.bundle["default_format"]
    file, parity = bundle["files"][form], facts.parity
    measured = parity["formats"][form]["measured"]
    images, negatives = measured["images"], _learnt_negatives(facts)
    learnt = _counts(facts, "train")
    if negatives["learnt"]:
        learnt += f", and {negatives['learnt']} frames in which there is nothing to find"
    judged = f"{images['n']} images of the {parity['split']} split"
    if (by := parity.get(MEASURED_BY)) is not None:
        judged += f", by `{by}`, which has not learnt them"
    official = [column for columns in facts.task.scores.values() for column in columns]
    names = dict.fromkeys([*facts.task.headline, *official])
    rows = [
        ["file", f"`{file['path']}`, {file['bytes'] / 1e6:.1f} MB"],
        ["learnt", learnt],
        ["measured on", judged],
        *([metric_label(name), _mean(measured, name)] for name in names),
        ["flagged, refused, failed", ", ".join(str(images[k]) for k in _COUNTS)],
    ]
    if shown := measured.get("negatives"):
        rows.append(["frames of something else", f"{shown['refused']} of {shown['n']} refused"])
    return [["at a glance", f"`{form}`"], *rows]


def _counts(facts: CardFacts, part: str, source: str | None = None) -> str:
    """`699 images of 547 examinations` of a part of the split, negatives left out."""
    negative = negative_ids(facts.config.data, facts.splits)
    mixed = facts.config.data.mixed_with
    groups = [
        row.group
        for id, row in facts.splits.items()
        if row.split == part
        and (id not in negative if source is None else source_and_id(id, mixed)[0] == source)
    ]
    return f"{len(groups)} images of {len(set(groups))} examinations" if groups else "none"


def _data(facts: CardFacts) -> Rows:
    """Of each dataset, what was learnt and what was held out."""
    sources = facts.config.data.sources
    origins = own_origins(facts.bundle["trained_on"])
    names = origins if len(origins) == len(sources) else facts.config.data.readers.values()
    header = ["dataset", "learnt", "to choose by (val)", "held out (test)"]
    return [header] + [
        [name, *(_counts(facts, part, source) for part in ("train", "val", "test"))]
        for name, (source, settings) in zip(names, sources.items(), strict=True)
        if not settings.negative
    ]


def _roots(config: Config) -> list[tuple[str, str]]:
    """The keys of the datasets' folders, and a name for each folder."""
    return [
        (f"data.mixed_with.{source}.root" if source else "data.root", dataset.upper())
        for source, dataset in config.data.readers.items()
    ]


def _needed(config: Config) -> Iterator[str]:
    """What the recipe rests on beside the data."""
    if config.model.init:
        yield f"`{config.model.init}` (`model.init`), whose weights it starts with"
    if config.teacher:
        bundles = "`, `".join(map(str, config.teacher.bundles))
        yield (
            f"`{bundles}` (`teacher.bundles`), exported: {100 * config.teacher.share:g} % of the "
            "targets are its answers"
        )
    if config.train.refit:
        yield (
            f"`{config.train.refit}` (`train.refit`), trained by the same `config.yaml` without "
            "that key, and exported"
        )


def _learnt_negatives(facts: CardFacts) -> dict[str, Any]:
    negative = negative_ids(facts.config.data, facts.splits)
    mixed = facts.config.data.mixed_with
    learnt = sum(facts.splits[id].split == "train" for id in negative)
    sources = ", ".join(sorted({source_and_id(id, mixed)[0] for id in negative}))
    return {"sources": sources, "learnt": learnt, "held_out": len(negative) - learnt}


def _subjects(parity: Record) -> dict[str, Record]:
    """Keras and every format, each with its own summary."""
    measured = {name: form["measured"] for name, form in parity["formats"].items()}
    return {"keras": parity["keras"], **measured}


def _results(parity: Record, task: Task) -> Rows:
    header = ["format", "n", *(f"{metric_label(m)} [95 % CI]" for m in task.headline)]
    header += [f"{metric_label(m)}, pooled over pixels" for m in task.pooled_headline]
    rows = [
        [
            name,
            str(summary["images"]["n"]),
            *(_mean(summary, metric) for metric in task.headline),
            *(_pooled(summary, metric) for metric in task.pooled_headline),
            *(str(summary["images"][kind]) for kind in _COUNTS),
        ]
        for name, summary in _subjects(parity).items()
    ]
    return [[*header, *_COUNTS], *rows]


def _scores(parity: Record, task: Task) -> Iterator[tuple[str, Rows]]:
    """Title and table of each of the task's scores, on the same images."""
    for score, columns in task.scores.items():
        header = ["format", *(f"{metric_label(column)} [95 % CI]" for column in columns)]
        rows = [
            [form, *(_mean(summary, column) for column in columns)]
            for form, summary in _subjects(parity).items()
        ]
        yield f"Score `{score}`", [header, *rows]


def _subgroups(facts: CardFacts) -> Iterator[tuple[str, Rows]]:
    """Of the first format, which is the file that ships in a bundle of one."""
    name, form = next(iter(facts.parity["formats"].items()))
    for table in subgroup_tables(form["measured"], facts.config.data.dataset):
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
