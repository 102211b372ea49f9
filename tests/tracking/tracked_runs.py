"""Folders of runs as training leaves them, made in a moment, and a real MLflow server."""

import json
import os
import signal
import socket
import socketserver
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import keras
import numpy as np

from fetal_tf.config.loading import parse_config, save_config
from fetal_tf.tracking.sync import mlflow_client

STARTED = "2026-01-02T03:04:05+00:00"
STARTED_MS = 1767323045000


def config_tree(name, **sections):
    tree = {
        "name": name,
        "seed": 3,
        "data": {"dataset": "hc18", "root": "/home/someone/hearts", "image_size": [16, 24]},
        "task": {"name": "segmentation", "classes": ["head"], "measurement": "head"},
        "augment": [{"name": "HorizontalFlip", "p": 0.5}],
        "model": {"name": "unet", "base": 4, "depth": 2},
        "loss": {"name": "bce_dice"},
        "optimizer": {"name": "adamw", "learning_rate": 1e-3},
        "train": {"epochs": 3, "batch_size": 4},
        "tracking": ["tensorboard", "mlflow"],
    }
    return {**tree, **sections}


def tiny_model():
    """A network of one convolution, known weights: output = sigmoid(2 · input)."""
    model = keras.Sequential(
        [keras.Input((16, 24, 1)), keras.layers.Conv2D(1, 1, activation="sigmoid")]
    )
    model.set_weights([np.full((1, 1, 1, 1), 2.0), np.zeros(1)])
    return model


def write_run(path, epochs=3, best=False, **sections):
    """A run after `epochs` of its three, with `best.keras` if asked for; returns its config."""
    config = parse_config(config_tree(path.name, **sections), "test")
    path.mkdir(parents=True)
    save_config(config, path / "config.yaml")
    record = {
        "started": STARTED,
        "command": ["train", "--set", "data.root=/home/someone/hearts"],
        "git_commit": "0123abc+changes",
        "seeds": {"training": 3, "split": 0},
        "platform": "Linux x86_64",
        "keras_backend": "tensorflow",
        "versions": {"fetal_tf": "0.1.0", "keras": "3.15.1"},
    }
    (path / "environment.json").write_text(json.dumps(record))
    (path / "splits.csv").write_text("id,group,split\n")
    write_epochs(path, epochs)
    if best:
        tiny_model().save(path / "best.keras")
    return config


def write_epochs(path, epochs):
    lines = [f"{n},{1 / n},{2 / n},{n / 2}" for n in range(1, epochs + 1)]
    (path / "metrics.csv").write_text("\n".join(["epoch,loss,val_loss,seconds", *lines]) + "\n")


def write_evaluation(path, name="test-keras", dice=0.9, date="2026-01-03T00:00:00+00:00"):
    folder = path / "evaluation" / name
    folder.mkdir(parents=True, exist_ok=True)
    summary = {
        "schema": 1,
        "evaluated": {"date": date},
        "images": {"n": 5, "failed": 0},
        "metrics": {"dice": {"mean": dice, "sd": 0.1}, "hc_error_mm": {"mean": None}},
        "pooled": {"brain_dice": {"value": 0.75}},
        "pixels": {"heart": {"dice": 0.5, "roc_auc": {"value": 0.875}, "curves": {"roc": [1]}}},
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "report.html").write_text(f"<p>Dice {dice}</p>")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def new_database(path):
    """MLflow's tables, made by the first who asks for them, as in `mlflow.uri: sqlite:///…`."""
    mlflow_client(f"sqlite:///{path}").search_experiments()
    return path


def copy_database(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
    return f"sqlite:///{target}"


@contextmanager
def mlflow_server(folder: Path, database: Path):
    """Start `mlflow server` on a copy of `database` and wait until it answers; yields its address.

    It ends at once and without goodbye.
    """
    uri = f"http://127.0.0.1:{free_port()}"
    program = [
        *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
        *("--backend-store-uri", copy_database(database, folder / "server.db")),
        *("--artifacts-destination", str(folder / "artifacts")),
        *("--host", "127.0.0.1", "--port", uri.rpartition(":")[2]),
    ]
    quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    quiet["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # saves half a dozen processes
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            program, env=quiet, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait_for(uri, process, folder / "server.log")
        yield uri
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Relay(socketserver.ThreadingTCPServer):
    """A second address of a server, which can die alone: `close` cuts what is open, too."""

    daemon_threads = True

    def __init__(self, uri):
        super().__init__(("127.0.0.1", 0), _Line)
        self.target = ("127.0.0.1", int(uri.rpartition(":")[2]))
        self.uri = f"http://127.0.0.1:{self.server_address[1]}"
        self.open: list[socket.socket] = []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()
        for line in self.open:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)


class _Line(socketserver.BaseRequestHandler):
    def handle(self):
        with socket.create_connection(self.server.target) as there:
            self.server.open += [self.request, there]
            back = threading.Thread(target=_pass_on, args=(there, self.request), daemon=True)
            back.start()
            _pass_on(self.request, there)
            back.join()


def _pass_on(source, sink):
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _wait_for(uri, process, log):
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{uri}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(f"no MLflow server: {log.read_text()[-2000:]}")
