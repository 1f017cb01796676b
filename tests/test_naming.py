import hashlib
import subprocess
import sys

import pytest

from mmcl.errors import UserError
from mmcl.naming import find_weights, members, parse_shard, sha256, shard_names, slug


def test_slug_is_four_words_and_a_hash_of_the_exact_text():
    text = "whether the people are holding objects?"
    assert slug(text) == "whether-the-people-are-" + hashlib.sha256(text.encode()).hexdigest()[:8]
    assert slug(text) != slug(text.capitalize())


@pytest.mark.parametrize("text", ["{cup}?", "Was hält er?", "../../etc", "?"])
def test_slugs_are_safe_in_paths(text):
    assert set(slug(text)) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_shards_partition_the_sorted_names():
    names = [f"c{i}" for i in range(10)][::-1]
    assert shard_names(3) == ["000-of-003", "001-of-003", "002-of-003"]
    parts = [members(names, parse_shard(shard)) for shard in shard_names(3)]
    assert parts[1] == ["c1", "c4", "c7"]
    assert sorted(name for part in parts for name in part) == sorted(names)


def test_weights_are_found_and_checked(tmp_path):
    with pytest.raises(UserError, match="get it there"):
        find_weights(tmp_path / "no.pt", None, "get it there")
    file = tmp_path / "w.pt"
    file.write_bytes(b"abc")
    assert find_weights(file, sha256(file), "") == file
    with pytest.raises(UserError, match="sha256 is ba7816bf"):
        find_weights(file, "0" * 64, "get the right one")


def test_the_sha256_of_a_folder_is_over_all_files_that_a_model_is_read_from(tmp_path):
    files = {"model.safetensors": b"abc", "config.json": b"{}", "vocab.txt": b"a"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    own = sha256(tmp_path)
    # cd folder; sha256sum * | sort -k2 | sha256sum
    assert own == "898436cd9dced76287c2e38cef370282dbd3139bd2ef7437f5ae7f47595c1349"
    assert find_weights(tmp_path, own, "") == tmp_path
    (tmp_path / ".cache").mkdir()
    for name in ("README.md", "evil.py", ".gitattributes", ".cache/of.json"):
        (tmp_path / name).write_text("none of them is read")
    assert sha256(tmp_path) == own
    for name, content in files.items():
        (tmp_path / name).write_bytes(content + b" ")
        assert sha256(tmp_path) != own, name
        with pytest.raises(UserError, match="sha256, over the list of its files, is"):
            find_weights(tmp_path, own, "")
        (tmp_path / name).write_bytes(content)
    (tmp_path / "vocab.txt").rename(tmp_path / "merges.txt")
    assert sha256(tmp_path) != own
    (tmp_path / "merges.txt").rename(tmp_path / "vocab.txt")
    (tmp_path / "second_tokenizer").mkdir()
    (tmp_path / "second_tokenizer/vocab.txt").write_bytes(b"a")
    # cd folder; sha256sum *.* */* | LC_ALL=C sort -k2 | sha256sum
    assert sha256(tmp_path) == "f05deb7bd275970cf3e8520490996f12b8a13de662cb577c57b22f4410f85d9f"


def test_what_the_snakefile_imports_is_light():
    code = (
        "import sys, mmcl.plan, mmcl.config; from mmcl.naming import PROJECT; "
        "mmcl.config.load(PROJECT / 'config.yaml'); print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "cv2", "transformers", "ultralytics", "pandas", "scipy"} & set(loaded)
