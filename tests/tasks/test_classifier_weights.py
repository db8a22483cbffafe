"""Pretrained weights: read safely, fitted strictly, downloaded without long waits."""

from __future__ import annotations

import hashlib
import http.server
import os
import pickle
import threading
import time
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from medgain.runtime.errors import ConfigError
from medgain.tasks.backbones import weights
from medgain.tasks.backbones.classifier import ClassifierSpec, build_classifier
from medgain.tasks.backbones.weights import Download, fetch, read_weights

SQUEEZENET = "torchvision:squeezenet1_0"


def build(model, weights, **options):
    spec = ClassifierSpec(model, ("a", "b"), 1, 1, (64, 64), **options)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_classifier(spec, weights=str(weights), mean=[0.5], std=[0.2])


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "cache" / "checkpoints"


@pytest.fixture
def no_network(cache, monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)


@pytest.fixture
def site():
    """A web site on this machine: content by path."""
    content: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = content.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", content
    server.shutdown()
    thread.join()
    server.server_close()


class _Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path):
    file = tmp_path / "evil.pth"
    torch.save({"state_dict": {"x": torch.zeros(1)}, "more": _Evil(tmp_path / "ran")}, file)
    plain = tmp_path / "evil2.pth"
    plain.write_bytes(pickle.dumps(_Evil(tmp_path / "ran")))
    for path in (file, plain):
        with pytest.raises(ConfigError, match="not a plain weights file"):
            read_weights(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 not a zip", b"\xff" * 64])
def test_damaged_files_are_named(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"{name} are not a plain weights file"):
        read_weights(path)


def test_a_file_without_tensors_is_refused(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(ConfigError, match="hold no tensors"):
        read_weights(tmp_path / "w.pth")
    torch.save([torch.zeros(2)], tmp_path / "l.pth")
    with pytest.raises(ConfigError, match="hold no tensors"):
        read_weights(tmp_path / "l.pth")


@pytest.mark.parametrize("wrapper", ["state_dict", "model", None])
def test_wrappers_are_taken_off(tmp_path, wrapper):
    state = {"module.a.weight": torch.ones(2)}
    torch.save({wrapper: state, "epoch": 1} if wrapper else state, tmp_path / "w.pth")
    assert list(read_weights(tmp_path / "w.pth")) == ["a.weight"]


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"task\.weights: .*none\.pth is missing"):
        build(SQUEEZENET, tmp_path / "none.pth")
    with pytest.raises(ConfigError, match="is a folder"):
        build(SQUEEZENET, tmp_path)


def test_weights_of_another_model_name_the_keys(tmp_path):
    import torchvision

    state = torchvision.models.squeezenet1_0().state_dict()
    state["features.3.squeeze.weight"] = torch.zeros(16, 64, 1, 1)
    state["features.99.weight"] = torch.zeros(1)
    del state["features.0.bias"]
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(ConfigError, match=r"don't fit torchvision:squeezenet1_0") as caught:
        build(SQUEEZENET, tmp_path / "w.pth")
    for words in ("features.0.bias", "missing", "features.99.weight", "unexpected", "shape"):
        assert words in caught.value.problem


def test_the_old_head_does_not_matter(tmp_path):
    import torchvision

    state = torchvision.models.squeezenet1_0(num_classes=7).state_dict()
    torch.save(state, tmp_path / "w.pth")
    model = build(SQUEEZENET, tmp_path / "w.pth")
    loaded = model.body.state_dict()
    assert torch.equal(loaded["features.0.weight"], state["features.0.weight"])
    assert model.head.out_features == 2


def test_the_real_squeezenet_weights_load(medgain_data):
    path = medgain_data / "weights" / "squeezenet1_0_imagenet_deepcompression.pth"
    model = build(SQUEEZENET, path).eval()
    assert model.feature_count == 512
    with torch.no_grad():
        assert torch.isfinite(model(torch.rand(2, 1, 64, 64))).all()


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_timm_weights_load_from_a_file(tmp_path, suffix):
    import timm

    state = timm.create_model("test_resnet", pretrained=False).state_dict()
    path = tmp_path / f"w.{suffix}"
    save_file(state, path) if suffix == "safetensors" else torch.save(state, path)
    model = build("timm:test_resnet", path)
    loaded = model.body.state_dict()
    assert all(torch.equal(loaded[key], state[key]) for key in loaded)


def test_timm_weights_of_another_model_are_refused(tmp_path):
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "w.pth")
    with pytest.raises(ConfigError, match=r"conv\.weight unexpected"):
        build("timm:test_resnet", tmp_path / "w.pth")


def test_the_cnn_has_nothing_to_download():
    with pytest.raises(ConfigError, match="no pretrained weights of the model cnn"):
        build("cnn", "download")


@pytest.mark.parametrize(
    ("model", "file"),
    [
        (SQUEEZENET, "https://download.pytorch.org/models/squeezenet1_0-b66bff10.pth"),
        ("timm:resnetv2_50", "/timm/resnetv2_50.a1h_in1k/resolve/main/model.safetensors"),
    ],
)
def test_without_a_network_the_message_names_file_and_key(no_network, cache, model, file):
    with pytest.raises(ConfigError, match="can't be downloaded") as caught:
        build(model, "download")
    assert file in caught.value.remedy
    assert "task.weights=FILE" in caught.value.remedy
    assert not list(cache.glob("*")) if cache.exists() else True


def test_a_site_that_never_answers_is_given_up(cache, monkeypatch):
    waiting = threading.Event()
    monkeypatch.setattr(weights, "CONNECT_SECONDS", 0.05)
    opener = SimpleNamespace(open=lambda *_, **__: waiting.wait(30))
    monkeypatch.setattr(weights.urllib.request, "build_opener", lambda: opener)
    started = time.monotonic()
    with pytest.raises(ConfigError, match=r"no answer within 0\.05 s"):
        fetch(Download("http://example.invalid/w.pth", "w.pth"), "m")
    waited = time.monotonic() - started
    waiting.set()
    assert waited < 25  # the connection itself would have waited for 30 s


def test_downloads_once_and_checks_the_sum(cache, site):
    address, content = site
    body = b"weights"
    name = f"w-{hashlib.sha256(body).hexdigest()[:8]}.pth"
    content[f"/{name}"] = body
    path = fetch(Download(f"{address}/{name}", name), "m")
    assert path.read_bytes() == body
    content.clear()
    assert fetch(Download(f"{address}/{name}", name), "m") == path


def test_a_damaged_download_is_not_kept(cache, site):
    address, content = site
    content["/w-00000000.pth"] = b"weights"
    with pytest.raises(ConfigError, match="checksum is wrong"):
        fetch(Download(f"{address}/w-00000000.pth", "w-00000000.pth"), "m")
    assert not list(cache.glob("*"))
    with pytest.raises(ConfigError, match="404|Not Found"):
        fetch(Download(f"{address}/gone.pth", "gone.pth"), "m")
