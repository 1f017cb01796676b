"""Putting weights where the configuration looks, from a server, a mirror and a folder."""

import errno
import hashlib
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fetch.conftest import BYTES
from fetch.web import Page

from mmcl.errors import UserError
from mmcl.fetch import place
from mmcl.fetch.place import MISSING, OTHER, SAME, THERE, check, fetch, mirrored
from mmcl.files import Busy, DiskFull, locked


@pytest.fixture
def to(tmp_path):
    return tmp_path / "weights"


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_file_is_fetched_once(shop, to):
    [first] = fetch("net", to)
    assert (first.path, first.new, first.pinned) == (to / "net.pt", True, True)
    assert first.sha256 == hashlib.sha256(BYTES["net.pt"]).hexdigest()
    assert first.path.read_bytes() == BYTES["net.pt"]
    [second] = fetch("net.pt", to)  # the file's name will do
    assert not second.new
    assert shop.asked == ["release/net.pt"]
    assert names(to) == ["net.pt"]


def test_a_folder_is_fetched_and_completed(shop, to):
    assert [item.path.name for item in fetch("folder", to)] == ["config.json", "model.safetensors"]
    assert names(to) == ["folder/config.json", "folder/model.safetensors"]
    (to / "folder/model.safetensors").unlink()
    assert [item.new for item in fetch("folder", to)] == [False, True]


def test_what_is_not_pinned_is_said(shop, to):
    [item] = fetch("loose", to)
    assert not item.pinned
    assert item.sha256 == hashlib.sha256(BYTES["net.pt"]).hexdigest()


def test_another_file_of_that_name_stays(shop, to):
    to.mkdir()
    (to / "net.pt").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"net\.pt: not the published file: it has 4 bytes, .* move it away"):
        fetch("net", to)
    assert (to / "net.pt").read_bytes() == b"mine"
    assert shop.asked == []
    (to / "net.pt").unlink()
    (to / "net.pt").mkdir()
    with pytest.raises(UserError, match="it is no file"):
        fetch("net", to)


def test_an_unknown_name(shop, to):
    with pytest.raises(
        UserError, match=r"nett: no weights .* did you mean 'net'\?; known: folder, loose, net"
    ):
        fetch("nett", to)
    assert not to.exists()


def test_without_network_it_says_what_to_put_where(shop, to):
    digest = hashlib.sha256(BYTES["net.pt"]).hexdigest()
    with pytest.raises(UserError) as told:
        fetch("net", to, mirror="http://127.0.0.1:9")
    text = str(told.value)
    assert text.startswith("http://127.0.0.1:9/release/net.pt: cannot be reached (")
    assert f"put net.pt (1,024,000 bytes, sha256 {digest}) of {shop['page']} into {to}" in text
    assert text.endswith("or name a folder that has it with --from")
    assert names(to) == []
    with pytest.raises(UserError, match=r"put loose\.pt \(size unknown, sha256 not pinned\)"):
        fetch("loose", to, mirror="http://127.0.0.1:9")


def test_a_mirror_has_the_same_paths(shop, to, monkeypatch):
    shop.pages["release/net.pt"] = Page(status=500)
    hub = f"{place.HUB}/org/model/resolve/abc/model.safetensors"
    assert mirrored(hub, None) == hub
    assert mirrored(hub, "http://one/") == "http://one/org/model/resolve/abc/model.safetensors"
    monkeypatch.setenv("HF_ENDPOINT", "http://two/hf")
    assert mirrored(hub, None) == "http://two/hf/org/model/resolve/abc/model.safetensors"
    assert mirrored("https://github.com/a/b.pt", None) == "https://github.com/a/b.pt"
    # the mirror of the table's server is that server, at a path below its root
    shop.pages["copy/release/net.pt"] = Page(BYTES["net.pt"])
    assert fetch("net", to, mirror=shop["copy"])[0].new


def test_from_an_address_that_has_the_files(shop, to):
    shop.pages["mine/net.pt"] = Page(BYTES["net.pt"])
    assert fetch("net", to, origin=shop["mine/"])[0].new
    assert shop.asked == ["mine/net.pt"]
    for wrong in ({"origin": "ftp://a/b"}, {"mirror": "example.org"}):
        with pytest.raises(UserError, match="neither http:// nor https://"):
            fetch("net", to, **wrong)


@pytest.mark.parametrize("below", ["", "folder"])
def test_from_a_folder(shop, to, tmp_path, below):
    stick = tmp_path / "stick" / below
    stick.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (stick / name).write_bytes(BYTES[name])
    assert all(item.new for item in fetch("folder", to, origin=str(tmp_path / "stick")))
    assert (to / "folder/model.safetensors").read_bytes() == BYTES["model.safetensors"]
    assert shop.asked == []
    assert names(to) == ["folder/config.json", "folder/model.safetensors"]


def test_a_folder_without_the_file_or_with_another(shop, to, tmp_path):
    stick = tmp_path / "stick"
    with pytest.raises(UserError, match=r"stick: no such folder; to do without, put net\.pt"):
        fetch("net", to, origin=str(stick))
    stick.mkdir()
    with pytest.raises(UserError, match=r"stick: has no file net\.pt"):
        fetch("net", to, origin=str(stick))
    (stick / "net.pt").write_bytes(BYTES["net.pt"][:-1] + b"?")
    with pytest.raises(UserError, match=r"stick/net\.pt: not the published file: its sha256 is"):
        fetch("net", to, origin=str(stick))
    assert names(to) == []


def test_a_full_disk_while_copying(shop, to, tmp_path, monkeypatch):
    (tmp_path / "net.pt").write_bytes(BYTES["net.pt"])

    def full(source, target):
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(DiskFull, match=r"net\.pt: disk full; nothing was written, free space and run again$"):
        fetch("net", to, origin=str(tmp_path))
    assert names(to) == []


def test_a_place_that_cannot_be_written(shop, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file.*: (File exists|Not a directory)"):
        fetch("net", tmp_path / "file")


def test_two_at_once_do_not_meet(shop, to):
    with locked(to / ".net.pt.lock", ""), pytest.raises(Busy, match=r"net\.pt: another process fetches it"):
        fetch("net", to)
    assert shop.asked == []
    shop.pages["release/net.pt"].stall = True

    def first():
        with pytest.raises(UserError, match="ended after 0 of"):
            fetch("net", to)

    with ThreadPoolExecutor() as pool:
        other = pool.submit(first)
        while not shop.asked:
            time.sleep(0.01)
        with pytest.raises(Busy):
            fetch("net", to)
        shop.closed.set()
        other.result()


def test_check_tells_what_lies_there(shop, to):
    assert {item.state for item in check(to)} == {MISSING}
    fetch("net", to)
    fetch("loose", to)
    fetch("folder", to)
    (to / "folder/model.safetensors").write_bytes(b"weights" * 999 + b"?eights")
    (to / "folder/config.json").unlink()
    (to / "folder/config.json.part").write_bytes(b"{")
    found = {(item.name, item.path.name): (item.state, item.detail) for item in check(to)}
    assert found["net", "net.pt"] == (SAME, "")
    assert found["loose", "loose.pt"] == (THERE, hashlib.sha256(BYTES["net.pt"]).hexdigest())
    assert found["folder", "config.json"] == (MISSING, "1 bytes in config.json.part")
    state, detail = found["folder", "model.safetensors"]
    assert state == OTHER
    assert detail.startswith("its sha256 is ")
    assert [item.name for item in check(to, "net.pt")] == ["net"]


@pytest.mark.real
def test_a_real_file_is_the_published_one(mmcl_data, tmp_path):
    shutil.copyfile(mmcl_data / "weights" / "yolov5n-coco-v6.pt", tmp_path / "yolov5n.pt")
    [item] = check(tmp_path, "yolov5n")
    assert item.state == SAME
