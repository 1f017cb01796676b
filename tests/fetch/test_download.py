"""Downloads that go wrong, each from a server on the loopback address."""

import errno
import hashlib
import os
import shutil
from collections import namedtuple

import pytest
from fetch.web import Page

from mmcl.errors import UserError
from mmcl.fetch import download as module
from mmcl.fetch.download import download, part_of
from mmcl.fetch.published import PublishedFile
from mmcl.files import DiskFull

CONTENT = bytes(range(256)) * 20_000  # five reads
DIGEST = hashlib.sha256(CONTENT).hexdigest()
PINNED = PublishedFile(size=len(CONTENT), sha256=DIGEST)
BY_PREFIX = PublishedFile(sha256=DIGEST[:8])
LOOSE = PublishedFile()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "net.pt"


def names(target):
    return sorted(path.name for path in target.parent.iterdir())


def refused(web, target, match, published=PINNED, path="net.pt"):
    """The download fails with this message, and nothing lies under the file's name."""
    with pytest.raises(UserError, match=match):
        download(web[path], target, published)
    assert not target.exists()


@pytest.mark.parametrize("published", [PINNED, BY_PREFIX, LOOSE])
def test_a_whole_file_gets_its_name(web, target, published):
    web.pages["net.pt"] = Page(CONTENT)
    assert download(web["net.pt"], target, published) == DIGEST
    assert target.read_bytes() == CONTENT
    assert names(target) == ["net.pt"]


def test_a_redirection_is_followed(web, target):
    web.pages["net.pt"] = Page(to="/elsewhere/of/a/cdn")
    web.pages["elsewhere/of/a/cdn"] = Page(CONTENT)
    assert download(web["net.pt"], target, PINNED) == DIGEST


@pytest.mark.parametrize("published", [PINNED, BY_PREFIX])
def test_an_interrupted_download_continues(web, target, published):
    web.pages["net.pt"] = Page(CONTENT, cut=3_000_000)
    refused(
        web, target, r"ended after 3,000,000 of 5,120,000 bytes; run again, it continues there", published
    )
    assert names(target) == ["net.pt.part"]
    assert download(web["net.pt"], target, published) == DIGEST
    assert web.asked == ["net.pt", "net.pt bytes=3000000-"]
    assert names(target) == ["net.pt"]


def test_it_continues_more_than_once(web, target):
    web.pages["net.pt"] = Page(CONTENT, cut=2_000_000, cuts=2)
    refused(web, target, "ended after 2,000,000")
    refused(web, target, "ended after 4,000,000")
    assert download(web["net.pt"], target, PINNED) == DIGEST


def test_a_server_without_ranges_sends_all_again(web, target):
    web.pages["net.pt"] = Page(CONTENT, cut=3_000_000, ranges=False)
    refused(web, target, "ended after")
    assert download(web["net.pt"], target, PINNED) == DIGEST


def test_without_a_sha256_it_begins_again(web, target):
    """The rest could be of another file."""
    web.pages["net.pt"] = Page(CONTENT, cut=3_000_000)
    refused(web, target, "ended after .* run again, it begins again", LOOSE)
    assert download(web["net.pt"], target, LOOSE) == DIGEST
    assert web.asked == ["net.pt", "net.pt"]


def test_a_part_of_another_file_is_noticed_and_dropped(web, target):
    web.pages["net.pt"] = Page(CONTENT)
    part_of(target).write_bytes(b"x" * 1000)
    refused(web, target, "not the published file: its sha256 is")
    assert names(target) == []
    assert download(web["net.pt"], target, PINNED) == DIGEST


def test_a_part_that_is_whole_needs_no_server(web, target):
    part_of(target).write_bytes(CONTENT)
    assert download(web["net.pt"], target, PINNED) == DIGEST
    assert web.asked == []


def test_a_part_that_is_too_long_is_begun_again(web, target):
    web.pages["net.pt"] = Page(CONTENT)
    part_of(target).write_bytes(CONTENT + b"more")
    assert download(web["net.pt"], target, PINNED) == DIGEST


def test_corrupted_bytes_are_noticed(web, target):
    web.pages["net.pt"] = Page(CONTENT[:-1] + b"?")
    for published in (PINNED, BY_PREFIX):
        refused(
            web, target, "not the published file: its sha256 is .*, that of the published file is", published
        )
        assert names(target) == []


def test_another_size_is_refused_before_it_is_fetched(web, target):
    web.pages["net.pt"] = Page(CONTENT + b"more")
    refused(web, target, "not the published file: 5,120,004 bytes, not 5,120,000")
    assert names(target) == []


def test_a_stream_without_length_is_measured(web, target):
    web.pages["net.pt"] = Page(CONTENT + CONTENT, length=False)
    refused(web, target, "more than 5,120,000 bytes")
    web.pages["net.pt"] = Page(CONTENT[:-5], length=False)
    refused(web, target, "it has 5,119,995 bytes, the published file 5,120,000")
    web.pages["net.pt"] = Page(CONTENT, length=False)
    assert download(web["net.pt"], target, PINNED) == DIGEST


def test_an_endless_answer_ends(web, target, monkeypatch):
    monkeypatch.setattr(module, "MOST", 1000)
    web.pages["net.pt"] = Page(CONTENT, length=False)
    refused(web, target, "more than 1,000 bytes", LOOSE)
    assert names(target) == []


@pytest.mark.parametrize(
    "page",
    [
        Page(b"<html>Log in to this network</html>", kind="text/html; charset=utf-8"),
        Page(b"<!DOCTYPE html><html></html>"),
        Page(b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 42806829\n"),
    ],
)
def test_a_web_page_in_place_of_the_file_is_refused(web, target, page):
    web.pages["net.pt"] = page
    refused(web, target, "the answer is a web page", LOOSE)
    assert names(target) == []
    # what an earlier try left is worth more than a page
    page.ranges = False
    part_of(target).write_bytes(CONTENT[:100])
    refused(web, target, "the answer is a web page", BY_PREFIX)
    assert part_of(target).read_bytes() == CONTENT[:100]


@pytest.mark.parametrize(
    ("page", "match"),
    [
        (None, "HTTP 404 Not Found"),
        (Page(to="/net.pt"), "HTTP 302 .*redirect"),
        (Page(to="file:///etc/passwd"), "HTTP 302"),
    ],
)
def test_answers_without_a_file(web, target, page, match):
    if page:
        web.pages["net.pt"] = page
    refused(web, target, match)
    assert names(target) == []


def test_an_address_without_https_is_not_followed_from_one_with(target):
    class Answer:
        def geturl(self):
            return "http://example.org/net.pt"

    with pytest.raises(UserError, match="leads to an address without https"):
        module._check_answer("https://example.org/net.pt", Answer(), None, LOOSE)


def test_no_server(web, target):
    refused(web, target, "cannot be reached", path="a name with spaces")
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:9/net\.pt: cannot be reached \(.*refused"):
        download("http://127.0.0.1:9/net.pt", target, PINNED)
    with pytest.raises(UserError, match="cannot be reached"):
        download("http://no-such-host.invalid/net.pt", target, PINNED)
    assert names(target) == []


def test_a_server_that_falls_silent(web, target, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.2)
    web.pages["net.pt"] = Page(CONTENT, stall=True)
    refused(web, target, r"broke off after 0 bytes \(.*timed out.*\); run again")


def test_too_little_space_is_told_before(web, target, monkeypatch):
    web.pages["net.pt"] = Page(CONTENT)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, 1))
    with pytest.raises(DiskFull, match=r"net\.pt: disk full; what came is kept, free space and run again"):
        download(web["net.pt"], target, PINNED)
    assert names(target) == []


def test_a_disk_that_fills_up(web, target, monkeypatch):
    web.pages["net.pt"] = Page(CONTENT)

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DiskFull, match=r"net\.pt: disk full; what came is kept"):
            download(web["net.pt"], target, PINNED)
    assert names(target) == ["net.pt.part"]
    assert download(web["net.pt"], target, PINNED) == DIGEST
