from mmcl.files import locked
from mmcl.leftovers import discard


def make(folder):
    (folder / "s.h5.part").mkdir(parents=True)
    for name in ("model.pt", "settings.json", "last.pt", "s.h5", "s.h5.part/plan.json", "s.h5.part/sealed"):
        (folder / name).write_text(name)
    return [str(folder / name) for name in ("model.pt", "settings.json", "s.h5", "absent.pt")]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_jobs_kept_is_removed(tmp_path):
    outputs = make(tmp_path)
    discard(outputs)
    discard(outputs)
    assert names(tmp_path) == ["model.pt", "s.h5", "settings.json"]


def test_a_training_in_progress_beside_a_store_is_left(tmp_path):
    make(tmp_path)
    discard([str(tmp_path / "s.h5")])
    assert names(tmp_path) == ["last.pt", "model.pt", "s.h5", "settings.json"]


def test_what_another_process_works_on_is_left(tmp_path):
    outputs = make(tmp_path)
    with locked(tmp_path / "last.lock", ""), locked(tmp_path / "s.h5.part/lock", ""):
        discard(outputs)
        assert (tmp_path / "last.pt").exists()
        assert (tmp_path / "s.h5.part/sealed").exists()
