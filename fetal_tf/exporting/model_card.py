"""MODEL_CARD.md: every figure in it is read from what was measured for this bundle."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from fetal_tf.config.portable import portable
from fetal_tf.config.tree import Config
from fetal_tf.data.configured import negative_ids
from fetal_tf.data.mixture import source_and_id
from fetal_tf.exporting.card_texts import CARD_TEXTS, CardText
from fetal_tf.exporting.formats import FORMATS
from fetal_tf.exporting.held_out import MEASURED_BY
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

PHANTOM_WARNING = (
    "> **PHANTOM.** This model was trained and measured on generated images. The figures show that "
    "the software works; they say nothing about patients. Do not use it on anybody."
)


ABSENT_RULES = {
    "skip": " An image whose truth does not show a structure has no Dice of it.",
    "one": " An image whose truth does not show a structure counts 1 where none was found, else 0.",
    "zero": " An image whose truth does not show a structure counts 0.",
}

LARGEST = "probability_abs_delta_max"


def model_card(
    bundle: Mapping[str, Any],
    parity: Mapping[str, Any],
    benchmark: Mapping[str, Any],
    run: Run,
    grouping: str,
) -> str:
    """The card as Markdown.

    Args:
        bundle: the tree of bundle.json.
        parity: the tree of parity.json.
        benchmark: the tree of benchmark.json.
        run: the run, for its split and its headline metrics.
        grouping: what the split promises about persons.
    """
    text = CARD_TEXTS.get(bundle["measurement"]) or _plain_text(bundle)
    text = text.of(bundle["classes"])
    sections = [
        f"# {bundle['name']}: {text.title}",
        PHANTOM_WARNING if bundle["phantom"] else "",
        _verdict(bundle),
        f"## What it does\n\n{text.does}",
        _use(bundle, text),
        _interface(bundle, text),
        _gate(bundle),
        _conventions(bundle),
        _data(bundle, run, grouping),
        _results(parity, run, bundle["phantom"]),
        _scores(parity, run.task),
        _subgroups(parity),
        _confidence(bundle, parity),
        _negatives(parity),
        _parity(parity, run.task),
        _speed(benchmark),
        _failures(parity, text),
        _reproduce(bundle, portable(run.config)),
        _checksums(bundle),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _plain_text(bundle: Mapping[str, Any]) -> CardText:
    return CardText(f"measurement `{bundle['measurement']}`", "", (), {}, {})


def _verdict(bundle: Mapping[str, Any]) -> str:
    failures = bundle["parity"]["failures"]
    if not failures:
        return ""
    lines = "\n".join(f"> - {line}" for line in failures)
    return (
        "> **Parity FAILED.** These files do not measure as well as the float model. "
        f"Do not ship a format named here:\n>\n{lines}"
    )


def _use(bundle: Mapping[str, Any], text: CardText) -> str:
    never = "".join(f"\n- Not for {what}." for what in text.not_for)
    return f"## Intended use\n\n{bundle['intended_use']}\n{never}".rstrip()


def _interface(bundle: Mapping[str, Any], text: CardText) -> str:
    image = bundle["input"]
    size = f"{image['height']}, {image['width']}"
    quantities = "".join(
        f"\n- `{name}`: {meaning}; {bundle['units'].get(name, 'no unit')}"
        for name, meaning in text.quantities.items()
    )
    return (
        f"## Input and output\n\n"
        f"- Input [1, {size}, {image['channels']}]: {image['range']}. Scaling is inside the model. "
        "`int8` takes uint8 with scale 1 and zero point 0: pass the pixels as they are. Every "
        "other file takes the same 0 to 255 values as float32. No file takes a batch other than "
        f"1.\n- Output [1, {size}, {len(bundle['classes'])}]: {_output(bundle)}. `int8` gives "
        "uint8, to be multiplied by the output tensor's scale (1/256 for a sigmoid or softmax "
        "head); every other file gives float32.\n"
        "- Letterbox, contour, ellipse and units are in `fetal_tf.edge`, which needs neither "
        "TensorFlow nor Keras: `python -m fetal_tf.predict BUNDLE IMAGE --mm-per-pixel X`. Default "
        f"format: `{bundle['default_format']}`.\n{quantities}"
    ).rstrip()


def _output(bundle: Mapping[str, Any]) -> str:
    if bundle["measurement"] == "plane":
        return "gray values 0 to 1 of the reconstructed frame"
    return f"probability of {', '.join(bundle['classes'])}"


def _gate(bundle: Mapping[str, Any]) -> str:
    gate = bundle.get("gate")
    if gate is None:
        return ""
    return (
        f"## Gate\n\nBefore this model stands another one, `{gate['name']}`, in the folder "
        f"`{gate['path']}`, with a card of its own. It flags frames that do not look like its own "
        f"plane ({', '.join(gate['classes'])}); its threshold was set to flag "
        f"{100 * gate['false_alarm_rate']:g} % of {gate['n']} validation images. `predict` and "
        "`evaluate` give its flag first and its `plane_score`. The figures, limits and times of "
        "this card are those of the model without it."
    )


def _conventions(bundle: Mapping[str, Any]) -> str:
    found = bundle["measurement_settings"].get("conventions")
    if not found:
        return ""
    rows = [
        [f"`{name}`", *(f"{f[axis]:g}" for axis in ("ofd", "bpd"))] for name, f in found.items()
    ]
    return (
        "## Calipers\n\nThe experts of these datasets do not draw the outline. Their heads were "
        "learnt as outlines, and the figures of this card judge each dataset by its own experts: "
        "the measured axes are divided by these factors. `predict` gives the outline, `predict "
        "--convention NAME` what they would measure.\n\n"
        + markdown_table([["dataset", "OFD, outline / expert", "BPD, outline / expert"], *rows])
    )


def _data(bundle: Mapping[str, Any], run: Run, grouping: str) -> str:
    negative = negative_ids(run.config.data, run.splits)
    rows = [row for id, row in run.splits.items() if id not in negative]
    images = Counter(row.split for row in rows)
    groups = Counter(split for split, _ in {(row.split, row.group) for row in rows})
    table = markdown_table(
        [
            ["split", "images", "examinations"],
            *([s, str(images[s]), str(groups[s])] for s in ("train", "val", "test")),
        ]
    )
    if negative:
        parts = Counter(run.splits[id].split for id in negative)
        mixed = run.config.data.mixed_with
        names = ", ".join(sorted({source_and_id(id, mixed)[0] for id in negative}))
        table += (
            f"\n\nBeside them {parts['train']} frames of {names} were learnt as negatives, in "
            f"which there is nothing to find; {parts['val'] + parts['test']} others were held out."
        )
    if run.config.train.refit is not None:
        table += (
            "\n\nThe validation images were learnt as well, once the same recipe without them "
            f"(`{run.config.train.refit.name}`) had been measured on them; what is fitted to "
            "validation images was fitted there."
        )
    credits = "".join(f"\n\nAttribution: {line}" for line in bundle["attribution"])
    return (
        f"## Data\n\nTrained on {bundle['trained_on']}. The split is drawn by examination: all "
        f"frames of one stay together. {grouping}\n\n{table}{credits}"
    )


def _results(parity: Mapping[str, Any], run: Run, phantom: bool) -> str:
    headline, pooled = run.task.headline, run.task.pooled_headline
    subjects = _subjects(parity)
    header = ["format", "n", *(f"{metric_label(m)} [95 % CI]" for m in headline)]
    header += [f"{metric_label(m)}, pooled over pixels" for m in pooled]
    rows = [
        [
            name,
            str(summary["images"]["n"]),
            *(_with_interval(summary["metrics"][metric], metric) for metric in headline),
            *(_pooled(summary, metric) for metric in pooled),
            *(str(summary["images"][kind]) for kind in ("flagged", "refused", "failed")),
        ]
        for name, summary in subjects.items()
    ]
    chosen_by_val = parity["split"] == "val" and run.config.train.monitor.startswith("val_")
    caution = (
        " The validation images chose the epoch that was kept, so these figures flatter."
        if chosen_by_val
        else ""
    )
    if MEASURED_BY in parity:
        caution += (
            f" **The figures are those of `{parity[MEASURED_BY]}`**: the same recipe without these "
            "images. The net of this bundle has learnt them as well, so it cannot be measured on "
            "them."
        )
    kind = "PHANTOM images" if phantom else "images"
    absent = parity["keras"].get("absent_rule")
    rule = ABSENT_RULES[absent] if absent else ""
    return (
        f"## Measured\n\nMeans over the {parity['images']} {kind} of the {parity['split']} "
        f"split, flagged ones included.{caution}{rule} The interval is a bootstrap over whole "
        f"examinations.\n\n{markdown_table([[*header, 'flagged', 'refused', 'failed'], *rows])}"
    )


def _scores(parity: Mapping[str, Any], task: Task) -> str:
    """A table for each of the task's scores, the same images as above."""
    return "\n\n".join(
        f"### Score `{name}`\n\n"
        + markdown_table(
            [
                ["format", *(f"{metric_label(column)} [95 % CI]" for column in columns)],
                *(
                    [form, *(_with_interval(summary["metrics"][name], name) for name in columns)]
                    for form, summary in _subjects(parity).items()
                ),
            ]
        )
        for name, columns in task.scores.items()
    )


def _subjects(parity: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Keras and every format, each with its own summary."""
    return {"keras": parity["keras"], **{n: f["measured"] for n, f in _formats(parity)}}


def _subgroups(parity: Mapping[str, Any]) -> str:
    """Of the first format, which for a bundle of one is the file that ships."""
    name, form = next(iter(parity["formats"].items()))
    tables = [*subgroup_tables(form["measured"])]
    return "\n\n".join(
        f"### {table.title}, `{name}`\n\n{markdown_table([table.header, *table.rows])}"
        for table in tables
    )


def _confidence(bundle: Mapping[str, Any], parity: Mapping[str, Any]) -> str:
    found = parity["keras"].get("confidence")
    if not found:
        return ""
    settings, table = bundle["measurement_settings"], refused_table(found)
    doubted = doubted_in(found)
    same = (
        " (the very images that it was fitted to: the table flatters)"
        if parity["split"] == "val"
        else ""
    )
    return (
        f"## Confidence\n\nThe expected error of {doubted.title} was fitted to the errors of "
        f"{settings['n']} validation images and is right in their mean; above "
        f"{settings['limit_percent']:.2f} {doubted.unit} an image is flagged `uncertain`. The "
        f"images measured above{same}, by the float model, when those of the largest expected "
        f"error are refused:\n\n{markdown_table([table.header, *table.rows])}"
    )


def _negatives(parity: Mapping[str, Any]) -> str:
    answers = {
        name: found
        for name, summary in _subjects(parity).items()
        if (found := summary.get("negatives"))
    }
    if not answers:
        return ""
    header, rows = format_table(answers)
    meanings = "\n".join(f"- {name}: {meaning}" for name, meaning in MEANINGS.items())
    return (
        f"## Frames that show something else\n\n{sentence(next(iter(answers.values())))}"
        f"\n\n{meanings}\n\n{markdown_table([['format', *header], *rows])}"
    )


def _pooled(summary: Mapping[str, Any], name: str) -> str:
    if "pooled" not in summary:
        return number(None)
    found = summary["pooled"][name]
    return f"{metric_number(found['value'], name)} [{interval(found['ci95'], name)}]"


def _with_interval(metric: Mapping[str, Any], name: str) -> str:
    return (
        f"{metric_number(metric['mean'], name)} [{interval(metric['ci95'], name)}], n={metric['n']}"
    )


def _parity(parity: Mapping[str, Any], task: Task) -> str:
    rows = parity_table(parity, task)
    learnt = (
        " These are differences between this bundle's own nets, on images that both have learnt."
        if MEASURED_BY in parity
        else ""
    )
    return (
        "## Parity with the float model\n\nThe same images, the same evaluation, the files of this "
        "bundle: differences from Keras, paired by image, each with its limit. *Measured by one of "
        f"the two* is the share of images that only one of the two could measure.{learnt}\n\n"
        f"{markdown_table(rows)}"
    )


def parity_table(parity: Mapping[str, Any], task: Task) -> list[list[str]]:
    """Header and rows: every delta that some format is held to, as `value / limit`."""
    limited = {c["metric"]: None for _, form in _formats(parity) for c in form["checks"]}
    labels = [delta_label(name, task.columns) for name in (*limited, LARGEST)]
    rows = [["format", *labels, "verdict"]]
    for name, form in _formats(parity):
        checks = {check["metric"]: check for check in form["checks"]}
        cells = [
            f"{number(checks[m]['value'])} / {number(checks[m]['limit'])}"
            if m in checks
            else number(form["deltas"].get(m))
            for m in limited
        ]
        probability = number(form["deltas"][LARGEST])
        rows.append([name, *cells, probability, "pass" if form["passed"] else "FAIL"])
    return rows


def _speed(benchmark: Mapping[str, Any]) -> str:
    machine, model = benchmark["machine"], benchmark["model"]
    rows = benchmark_table(benchmark)
    bound = "at least " if model["macs_lower_bound_without"] else ""
    return (
        f"## Speed and memory\n\n{model['parameters']:,} parameters, {bound}"
        f"{model['macs'] / 1e6:,.0f} million multiply-accumulates per frame. Measured on "
        f"{machine['cpu']}, {machine['cores']} cores, one frame at a time, formats in turns.\n\n"
        "- `1 thread`, `2 threads`: the net alone, median / 95th percentile.\n"
        "- `image to mm`: the whole way from the frame in memory to the measurement, one thread.\n"
        "- `time / float32`, `time / Keras`: median on one thread over that of the float32 TFLite "
        "file, and over Keras `predict`. Below 1 is faster. Compare these with another machine, "
        "not the milliseconds.\n"
        "- `peak memory`: what loading and running the file adds to a bare process.\n\n"
        f"{markdown_table(rows)}\n\nKeras `predict` of one frame on all cores: "
        f"{number(benchmark['keras_predict']['p50_ms'])} ms "
        f"(p95 {number(benchmark['keras_predict']['p95_ms'])})."
    )


def benchmark_table(benchmark: Mapping[str, Any]) -> list[list[str]]:
    """Header and rows, one per format; latencies as `p50 / p95` in ms."""
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


def _failures(parity: Mapping[str, Any], text: CardText) -> str:
    seen = parity["keras"]["flags"] | parity["keras"]["refusals"]
    codes = {**text.flags, **{code: "" for code in seen if code not in text.flags}}
    if not codes:
        return ""
    rows = [[f"`{code}`", meaning, str(seen.get(code, 0))] for code, meaning in codes.items()]
    return (
        "## Flags and failure modes\n\nA flagged measurement is returned with its reason and is to "
        "be looked at; a refused one has no number. Counts are of the images measured above, by "
        "the float model.\n\n"
        f"{markdown_table([['code', 'meaning', 'images'], *rows], text_columns=2)}"
    )


def _reproduce(bundle: Mapping[str, Any], config: Config) -> str:
    run, ranges = f"runs/{bundle['name']}", bundle["calibration"]
    commands = (
        "python -m fetal_tf.train --config config.yaml",
        f"python -m fetal_tf.evaluate {run}",
        f"python -m export {run}",
    )
    images = (
        f"\n\nThe 8-bit files were calibrated on {len(ranges['images'])} training images "
        f"(seed {ranges['seed']}), listed in `bundle.json`."
        if ranges["images"]
        else ""
    )
    start = ""
    if config.model.init:
        start += (
            f"\n\nTraining starts with the weights of `{config.model.init}` (`model.init`), which "
            "have to be there."
        )
    if config.teacher:
        names = ", ".join(f"`{path}`" for path in config.teacher.bundles)
        start += (
            f"\n\nIts targets are {100 * config.teacher.share:g} % the answers of {names} "
            "(`teacher.bundles`), which have to be there as well, trained and exported."
        )
    if config.train.refit:
        start += (
            f"\n\nThe run `{config.train.refit}` (`train.refit`) has to be there as well, trained "
            "by the same `config.yaml` without that key, and exported."
        )
    return (
        f"## Reproduce\n\nWith fetal_tf {bundle['fetal_tf_version']}, the `config.yaml` of this "
        f"bundle and the same data:\n\n```\n{chr(10).join(commands)}\n```{start}{images}"
    )


def _checksums(bundle: Mapping[str, Any]) -> str:
    rows = [
        [f"`{entry['path']}`", FORMATS[name].summary, f"`{entry['sha256']}`", str(entry["bytes"])]
        for name, entry in bundle["files"].items()
    ]
    return (
        "## Files\n\n`sha256sum -c SHA256SUMS` checks the whole folder.\n\n"
        f"{markdown_table([['file', 'what', 'SHA-256', 'bytes'], *rows], text_columns=3)}"
    )


def _formats(parity: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    return parity["formats"].items()
