"""Run a module that ends with the process that has started it, however that ends.

`python -m fetal_tf.training.attended MODULE OPTIONS…` with a pipe as standard input: when nobody
holds its other end any more, the module gets a SIGTERM.
"""

import os
import runpy
import signal
import sys
import threading


def _end_with_the_other() -> None:
    while os.read(0, 1):
        continue
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_other, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
