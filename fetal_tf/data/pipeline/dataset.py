"""The tf.data pipeline: decode → letterbox → cache → augment → encode → batch → prefetch.

The order of an epoch and the augmentation of each of its frames depend on (seed, epoch, index)
alone. So a run that is killed and resumed at epoch 7 sees the same batches as a run that was not,
with any number of threads.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from fetal_tf.data.pipeline.augment import Augmenter
from fetal_tf.data.pipeline.mixing import Mixer
from fetal_tf.data.pipeline.sampler import draw_partner
from fetal_tf.data.pipeline.targets import Target
from fetal_tf.data.pipeline.teacher import Teacher
from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.letterbox import Letterbox, letterboxed
from fetal_tf.edge.io.images import read_gray


@dataclass(frozen=True)
class Example:
    """A letterboxed frame, uint8 [h, w, 1], and its target, before augmentation."""

    image: np.ndarray
    target: Target


class FrameCache:
    """Decoded and letterboxed frames by index; each is read from disk once."""

    def __init__(
        self,
        samples: Sequence[Sample],
        target: Callable[[Sample, Letterbox], Target],
        image_size: tuple[int, int],
        encode: Callable[[Target], np.ndarray],
    ):
        """Hold `samples` at `image_size` (height, width).

        Args:
            samples: the frames, in the order of their indices.
            target: makes the target of a sample in the letterboxed frame.
            image_size: of the network's input.
            encode: turns an augmented target into what the loss takes, float32.
        """
        self.samples = list(samples)
        self.encode = encode
        self._target = target
        self._image_size = image_size
        self._frames: dict[int, Example] = {}

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Example:
        # Two threads may read the same frame at once; both store the same.
        if index not in self._frames:
            self._frames[index] = self._read(self.samples[index])
        return self._frames[index]

    def fill(self, label: str, workers: int) -> None:
        """Read every frame now, so that a broken file stops the run before training begins.

        Raises:
            DataError: names the first five broken files and says how many there are.
        """
        with ThreadPoolExecutor(workers) as pool:
            faults = list(
                tqdm(
                    pool.map(self._fault, range(len(self))),
                    f"reading {label}",
                    len(self),
                    unit="frame",
                    disable=None,  # no bar in a log file
                    leave=False,
                )
            )
        found = [fault for fault in faults if fault]
        if found:
            shown = "\n".join(found[:5])
            raise DataError(f"{len(found)} of {len(self)} frames cannot be used:\n{shown}")

    def _fault(self, index: int) -> str | None:
        try:
            self[index]
        except DataError as error:
            return str(error)
        return None

    def _read(self, sample: Sample) -> Example:
        frame, letterbox = letterboxed(read_gray(sample.image_path), (*self._image_size, 1))
        try:
            target = self._target(sample, letterbox)
        except ValueError as error:
            raise DataError(f"{sample.image_path}: {error}") from error
        return Example(frame, target)


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Whole batches in an epoch; frames that are left over are shuffled into the next one."""
    return max(count // batch_size, 1)


def training_dataset(
    cache: FrameCache,
    augmenter: Augmenter,
    *,
    batch_size: int,
    seed: int,
    first_epoch: int,
    last_epoch: int,
    workers: int,
    weights: np.ndarray | None = None,
    mixer: Mixer | None = None,
    teacher: Teacher | None = None,
    share: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Batches of the epochs from `first_epoch` to `last_epoch - 1`, one epoch after the other.

    An epoch holds each frame once. With `weights` (float32 [frames]) it holds as many draws, in
    proportion to them; each draw of a frame is augmented anew. With `mixer` some frames are mixed
    with another one, which is drawn by the same weights and augmented on its own. With `teacher`
    the teacher's answer to the frame is part of the target. With `share` (part, parts) each batch
    is divided evenly, in order, and one part of it is yielded: of a batch of 8 part 1 of 2 is the
    last 4 frames.

    Yields:
        image float32 [batch, h, w, 1] in 0..255, and the encoded target float32 [batch, …].
        Every batch is full, so that shapes are static.
    """
    count = len(cache)
    batch_size = min(batch_size, count)
    kept = steps_per_epoch(count, batch_size) * batch_size
    partner_weights = np.ones(count) if weights is None else weights

    def epoch_items(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=[seed, epoch])
        if weights is None:
            chosen, draws = order[:kept], tf.zeros(kept, tf.int32)
        else:
            chosen = systematic_draw(order, tf.constant(weights), kept, tf.stack([seed, epoch]))
            draws = tf.range(kept)
        items = tf.data.Dataset.from_tensor_slices((chosen, draws))
        return items.map(lambda index, draw: (epoch, index, draw))

    def load(
        epoch: np.ndarray, index: np.ndarray, draw: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        entropy = np.random.SeedSequence([seed, int(epoch), int(index), int(draw)])
        image, target = mixed(int(index), entropy)
        return image, target if teacher is None else teacher.blend(image, target)

    def mixed(index: int, entropy: np.random.SeedSequence) -> tuple[np.ndarray, np.ndarray]:
        pair = augmented(index, entropy)
        if mixer is None:
            return pair
        rng = np.random.default_rng(entropy.spawn(1)[0])
        kind = mixer.draw(rng)
        if kind is None:
            return pair
        other = augmented(draw_partner(index, partner_weights, rng), entropy.spawn(1)[0])
        return mixer.mix(kind, pair, other, rng)

    def augmented(index: int, entropy: np.random.SeedSequence) -> tuple[np.ndarray, np.ndarray]:
        frame = cache[index]
        item_seed = int(entropy.generate_state(1)[0])
        image, target = augmenter(frame.image, frame.target, item_seed)
        return image, cache.encode(target)

    epochs = tf.data.Dataset.range(first_epoch, last_epoch, output_type=tf.int32)
    items = epochs.flat_map(epoch_items)
    part, parts = share
    size = batch_size // parts
    if parts > 1:
        items = items.window(size, drop_remainder=True).shard(parts, part).flat_map(_zipped)
    return _batches(items, load, cache, size, workers)


def _zipped(*windows: tf.data.Dataset) -> tf.data.Dataset:
    return tf.data.Dataset.zip(windows)


def systematic_draw(order: tf.Tensor, weights: tf.Tensor, count: int, seed: tf.Tensor) -> tf.Tensor:
    """Draw `count` indices in proportion to `weights`, each its expected number of times ± 1.

    Systematic sampling: `count` equally spaced points with one common random offset are laid on
    the cumulated weights. Independent draws would miss a third of the frames of an epoch by chance.

    Args:
        order: int32 [n], a shuffled order of indices.
        weights: float32 [n], by index, above zero.
        count: how many to draw.
        seed: int32 [2]; the same seed, the same draw.

    Returns:
        int32 [count], shuffled.
    """
    ends = tf.cumsum(tf.cast(tf.gather(weights, order), tf.float64))
    offset = tf.random.stateless_uniform([], seed=seed, dtype=tf.float64)
    points = (offset + tf.cast(tf.range(count), tf.float64)) * (ends[-1] / count)
    places = tf.minimum(tf.searchsorted(ends, points, side="right"), tf.size(order) - 1)
    return tf.random.experimental.stateless_shuffle(tf.gather(order, places), seed=seed)


def evaluation_dataset(cache: FrameCache, *, batch_size: int, workers: int) -> tf.data.Dataset:
    """Every frame once, in order, without augmentation; the last batch may be smaller."""

    def load(_: np.ndarray, index: np.ndarray, __: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        frame = cache[int(index)]
        return frame.image, cache.encode(frame.target)

    items = tf.data.Dataset.range(len(cache), output_type=tf.int32).map(lambda i: (0, i, 0))
    return _batches(items, load, cache, batch_size, workers)


def _batches(items, load, cache: FrameCache, batch_size: int, workers: int) -> tf.data.Dataset:
    example = cache[0]
    target_shape = cache.encode(example.target).shape

    def read(*item: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, target = tf.numpy_function(load, list(item), [tf.uint8, tf.float32])
        image.set_shape(example.image.shape)
        target.set_shape(target_shape)
        return image, target

    def as_float(image: tf.Tensor, target: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.cast(image, tf.float32), target

    options = tf.data.Options()
    options.deterministic = True
    # Nothing is left to be tuned; and the tuner's thread, which sleeps ever longer, lets an
    # iterator end only when it wakes up: a pass of 5.2 seconds took 10.2.
    options.autotune.enabled = False
    options.threading.private_threadpool_size = workers
    return (
        items.map(read, num_parallel_calls=workers)
        .batch(batch_size)
        .map(as_float)
        .prefetch(2)
        .with_options(options)
    )


def make_deterministic() -> None:
    """Choose TensorFlow's slower ops whose results repeat exactly; no-op on other backends."""
    if keras.backend.backend() == "tensorflow":
        tf.config.experimental.enable_op_determinism()
