"""Phantoms: generated frames with exact truth, in the layout of a real dataset, without downloads.

All phantoms share one scanner. `scanner` turns tissue along beams into a frame; `view` says what a
frame shows and how it was taken; `canvas` holds tissue under construction, and painters of what
surrounds every fetus; `burn_in` adds scales and text; `writing` runs the loop over frames and
writes their files. An anatomy (`head`, `brain`, `heart`) draws random geometry, and its painters
(`head_tissue` …) paint it on a canvas.

A new phantom is one file here and one line below::

    @PHANTOMS.register("abdomen")                    # the name of the dataset whose reader reads it
    def abdomen_phantom(seed: int, *, an_option: int = 1) -> Iterator[Frame]:
        for subject in itertools.count():
            anatomy, look, moment = random_streams(seed, subject)
            probe = probe_above(ellipse, …)                             # all drawn from `anatomy`
            view = View(ellipse, mm_per_pixel, probe, frame_shape)
            canvas = Canvas(view, look)
            paint_womb(canvas)                                          # then painters of its own
            image = canvas.scan(draw_settings(view, look), moment)
            yield Frame({f"images/{subject:03d}.png": image}, {"sizes.csv": {"name": …}})
"""

from fetal_tf.data.phantom import fetal_head_biometry as fetal_head_biometry
from fetal_tf.data.phantom import focus as focus
from fetal_tf.data.phantom import hc18 as hc18
from fetal_tf.data.phantom import landmarks as landmarks
from fetal_tf.data.phantom import planes as planes
from fetal_tf.data.phantom.writing import PHANTOMS as PHANTOMS
