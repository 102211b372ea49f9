from fetal_tf.runs.history import read_history, write_history


def test_history_is_rewritten_whole(tmp_path):
    path = tmp_path / "metrics.csv"
    write_history([{"loss": 1.0}, {"loss": 0.123456789}], path)
    assert path.read_text() == "epoch,loss\n1,1\n2,0.123457\n"
    assert read_history(path) == [{"epoch": 1, "loss": 1}, {"epoch": 2, "loss": 0.123457}]
