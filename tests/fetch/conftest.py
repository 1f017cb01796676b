"""A server on the loopback address, and a table of weights that it publishes."""

import hashlib

import pytest
import yaml
from fetch.web import Page, Web, serving

from mmcl.fetch import published

BYTES = {"net.pt": bytes(range(256)) * 4000, "config.json": b"{}", "model.safetensors": b"weights" * 1000}


def known(content: bytes) -> dict:
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@pytest.fixture
def web(monkeypatch):
    """The server; nothing between it and the tests."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    with serving() as server:
        yield server


@pytest.fixture
def shop(web, tmp_path, monkeypatch) -> Web:
    """The server with what the table names: `net` pinned, `loose` not, and `folder`."""

    def entry(source: str, files: dict, **more) -> dict:
        about = {"what": "a network", "licence": "none", "section": "vlm", "settings": {"adapter": "blip"}}
        return {
            **about,
            "page": web["page"],
            "revision": "v1",
            "source": f"{web[source]}/",
            "files": files,
            **more,
        }

    rows = {
        "net": entry("release", {"net.pt": known(BYTES["net.pt"])}),
        "loose": entry("release", {"loose.pt": {}}),
        "folder": entry(
            "hub/resolve/abc",
            {"config.json": {"size": 2}, "model.safetensors": known(BYTES["model.safetensors"])},
            folder=True,
        ),
    }
    file = tmp_path / "weights.yaml"
    file.write_text(yaml.safe_dump(rows, sort_keys=False))
    monkeypatch.setattr(published, "FILE", file)
    published.table.cache_clear()
    web.pages["release/net.pt"] = Page(BYTES["net.pt"])
    web.pages["release/loose.pt"] = Page(BYTES["net.pt"])
    for name in ("config.json", "model.safetensors"):
        web.pages[f"hub/resolve/abc/{name}"] = Page(BYTES[name])
    yield web
    published.table.cache_clear()
