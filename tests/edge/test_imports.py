"""The tablet's part runs where nothing of the training stack is installed."""

import subprocess
import sys

BLOCKED = (
    "tensorflow", "keras", "jax", "torch", "pydantic", "yaml", "albumentations", "scipy",
    "matplotlib", "pandas", "onnxruntime", "onnx", "tensorboard",
)  # fmt: skip

SCRIPT = f"""
import importlib, importlib.abc, pkgutil, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {BLOCKED!r}:
            raise ImportError(f"blocked: {{name}}")

sys.meta_path.insert(0, Blocked())
for name in {BLOCKED!r}:  # the block itself works
    try:
        importlib.import_module(name)
    except ImportError:
        continue
    raise SystemExit(f"{{name}} was not blocked")

import fetal_tf.edge
names = [m.name for m in pkgutil.walk_packages(fetal_tf.edge.__path__, "fetal_tf.edge.")]
assert len(names) > 12, names
for name in [*names, "fetal_tf.predict"]:
    importlib.import_module(name)
leaked = sorted(set({BLOCKED!r}) & set(sys.modules))
assert not leaked, leaked
print(len(names))
"""


def test_every_edge_module_and_predict_import_without_the_training_stack():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 12
