"""Measures many image files on a Ray cluster, and in their order."""

import logging
import math
import os
import pickle
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fetal_tf.edge.bundle.net import Net
from fetal_tf.edge.bundle.prediction import Prediction
from fetal_tf.edge.bundle.workers import Job, Task, measured
from fetal_tf.edge.errors import FetalTFError, cause_of
from fetal_tf.edge.io.cluster import first_sentence
from fetal_tf.version import __version__

IMAGES_A_BLOCK = 8  # go to a worker together, and their rows come back together


def measured_on_cluster(
    job: Job, tasks: Sequence[Task], workers: int | None
) -> Generator[Prediction, None, None]:
    """Measure the images of `tasks`, in their order. Close it: its workers end with it.

    Call it within `fetal_tf.edge.io.cluster.cluster`. Every machine there must have the working
    folder and the files under the same names.

    Args:
        job: what every worker opens.
        tasks: the images.
        workers: how many; None: one for each core.

    Raises:
        FetalTFError: a worker has ended, or could not open the net. All that came before is whole.
    """
    if not tasks:
        return
    import ray.data
    from ray.exceptions import RayError

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    cores = int(ray.cluster_resources().get("CPU", 1))
    blocks = math.ceil(len(tasks) / IMAGES_A_BLOCK)
    count = min(workers or max(1, cores // job.threads), blocks)
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    items = [{"task": pickle.dumps(task)} for task in tasks]
    answers = ray.data.from_items(items, override_num_blocks=blocks).map_batches(
        _Worker,
        batch_size=IMAGES_A_BLOCK,
        fn_constructor_args=(job, os.getcwd(), __version__),
        compute=ray.data.ActorPoolStrategy(size=count),
        max_restarts=0,  # an image that ends its worker would end one after the other
    )
    try:
        # A batch fetched ahead would keep the rows before it waiting.
        for batch in answers.iter_batches(batch_size=None, prefetch_batches=0):
            for answer in map(pickle.loads, batch["answer"]):
                if isinstance(answer, FetalTFError):
                    raise answer
                yield answer
    except RayError as error:
        raise FetalTFError(
            f"a worker of the cluster has ended: {first_sentence(error)}; where memory was short, "
            "fewer --workers need less."
        ) from error


class _Worker:
    """Measures on a machine of the cluster; its net is opened once."""

    def __init__(self, job: Job, folder: str, version: str):
        self._job, self._folder, self._version = job, folder, version
        self._net: Net[Any] | None = None

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Measure the tasks of `batch`; the only answer is an error where that is not possible.

        An exception would reach the command as pages of Ray's.
        """
        try:
            self._net = self._net or self._open()
        except Exception as error:
            return _answers([FetalTFError(cause_of(error, Path(self._job.reference)))])
        tasks = map(pickle.loads, batch["task"])
        return _answers(measured(self._job, self._net, tasks, workers=1))

    def _open(self) -> Net[Any]:
        if __version__ != self._version:
            raise FetalTFError(
                f"a worker of the cluster has fetal_tf {__version__}, this machine "
                f"{self._version}: the same one is needed everywhere"
            )
        try:
            os.chdir(self._folder)  # relative names mean the same there
        except OSError as error:
            raise FetalTFError(
                f"{self._folder}: not there on a worker of the cluster ({error.strerror}); all "
                "machines need the files under the same names"
            ) from error
        return self._job.open()


def _answers(found: Iterable[Prediction | FetalTFError]) -> dict[str, np.ndarray]:
    return {"answer": np.array([pickle.dumps(answer) for answer in found], object)}
