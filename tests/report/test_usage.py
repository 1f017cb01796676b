import pytest

from mmcl.errors import UserError
from mmcl.report.usage import table, usage

BASIC = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time"
EXTENDED = f"{BASIC}\tjobid\trule_name\twildcards\tparams\tthreads\tcpu_usage\tresources\tinput_size_mb"


def write(folder, name, header, *lines):
    path = folder / f"results/times/{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines]) + "\n")


def measured(seconds, memory, cpu):
    return f"{seconds}\t0:00:01\t{memory}\t9\t9\t9\t0\t0\t50\t{cpu}"


def given(**resources):
    question = {"settings": {"question": 'what\'s "it"?'}}
    return f"\t0\ttrain_stream\t{{'run': 'seed-1'}}\t{question}\t4\t99\t{resources}\t{{}}"


@pytest.fixture
def folder(tmp_path):
    asked = {"mem_mb": 4000, "runtime": 720, "gpu": 1, "tmpdir": "/tmp"}
    again = asked | {"mem_mb": 8000}
    write(tmp_path, "train_stream/streams/a", EXTENDED, measured(60, 900.5, 30) + given(**asked))
    write(tmp_path, "train_stream/streams/b", EXTENDED, measured(120, 1100, 150) + given(**again))
    write(tmp_path, "crop_people/crops/c", BASIC, measured(30, "NA", "NA"))
    return tmp_path


def test_one_row_a_rule_with_the_most_of_its_jobs(folder):
    train, crops = usage(folder)
    assert train == {
        "rule": "train_stream",
        "jobs": 2,
        "memory_asked_mb": 8000,
        "memory_used_mb": 1100,
        "minutes_asked": 720,
        "minutes_used": 2.0,
        "cores_asked": 4,
        "cores_used": 1.0,
        "gpus": 1,
    }
    assert (crops["rule"], crops["memory_asked_mb"], crops["memory_used_mb"]) == ("crop_people", None, None)
    assert (crops["minutes_used"], crops["cores_used"]) == (0.5, 0.0)
    cells = [list(column.cells) for column in table([train, crops]).columns]
    assert cells[:4] == [["train_stream", "crop_people"], ["2", "1"], ["8000", "–"], ["1100", "–"]]


def test_without_a_finished_job_it_says_so(tmp_path):
    with pytest.raises(UserError, match=r"results/times: no finished job has left its time and memory there"):
        usage(tmp_path)
    write(tmp_path, "train_stream/x", "nonsense", "1")
    with pytest.raises(UserError, match=r"x\.tsv: is no benchmark file of Snakemake"):
        usage(tmp_path)
