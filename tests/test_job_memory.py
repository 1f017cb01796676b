"""The memory that jobs are given."""

from mmcl.job_memory import job_memory


def test_by_the_size_of_what_a_job_reads(tmp_path):
    sizes = {"skeletons.h5": 3 << 20, "001-of-002.h5": 1 << 20, "002-of-002.h5": 2 << 20}
    for name, size in sizes.items():
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    shards = [str(tmp_path / name) for name in list(sizes)[1:]]
    given = {"skeletons": str(tmp_path / "skeletons.h5"), "answer": shards, "picture": shards}
    needed = job_memory(1000, of_thread=50, skeletons=4, answer=2)
    assert needed(None, given, threads=3, attempt=1) == 1000 + 150 + 12 + 6
    assert needed(None, given, threads=3, attempt=2) == 2 * 1168
    # before they are made, and where a stage has no such input
    assert needed(None, {"skeletons": str(tmp_path / "later.h5")}, threads=1, attempt=1) == 1050
    # a factor that depends on what the job is for
    needed = job_memory(
        1000, answer=lambda wildcards: wildcards / 3, of_thread=lambda wildcards: 2 * wildcards
    )
    assert needed(5, given, threads=3, attempt=1) == 1000 + 30 + 5
