from made_benchmark import make
from PIL import Image

from mmcl import paths
from mmcl.evaluation.finished import find_benchmark
from mmcl.report import summary


def test_pictures_lie_in_the_report(tmp_path, monkeypatch):
    make(tmp_path, classes=3, streams=2, seeds=1, clips=4)
    monkeypatch.chdir(tmp_path)
    drawn = summary._pictures(find_benchmark(tmp_path / "results/many"))
    assert [file.stem for file in drawn] == ["accuracy", "confusion", "classes", "training"]
    for file in drawn:
        assert str(file.parent) == paths.at(paths.REPORT, benchmark="b")
        with Image.open(file) as picture:
            assert min(picture.size) > 200
