"""The image for GPUs: the same server on another engine. Not built here: it has gigabytes."""

import re

from sandbox import commands, places

ENGINES = {"onnxruntime", "onnxruntime-gpu"}


def locked(name: str) -> dict[str, str]:
    """Return versions by package, of which each must have a hash."""
    text = (places.checkout() / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())
    found = {}
    for entry in entries:
        pinned = re.match(r"([\w.-]+)==(\S+)", entry)
        assert pinned is not None, entry
        assert "--hash=sha256:" in entry, entry
        found[pinned[1]] = pinned[2]
    return found


def test_the_gpu_variant_is_the_server_with_another_engine() -> None:
    plain, gpu = locked("server"), locked("server-gpu")

    more = {name: version for name, version in gpu.items() if plain.get(name) != version}

    assert {name for name in plain if name not in gpu} == {"onnxruntime"}
    assert more.pop("onnxruntime-gpu") == plain["onnxruntime"]
    assert all(name.startswith("nvidia-") for name in more), more
    assert {"nvidia-cuda-runtime", "nvidia-cudnn-cu13"} <= set(more)
    assert commands.LOCKS["server-gpu"] == ("server-gpu",)


def test_no_environment_has_two_engines() -> None:
    """They are one module: whichever was installed last would win."""
    for name in commands.LOCKS:
        assert len(ENGINES & set(locked(name))) <= 1, name


def test_the_image_of_the_gpu_variant_asks_for_its_driver_and_takes_what_is_there() -> None:
    text = (places.checkout() / "Dockerfile.server").read_text(encoding="utf-8")
    (stage,) = re.findall(r"^FROM runtime AS server-gpu\n(.*?)(?=^FROM )", text, re.M | re.S)

    assert re.findall(r"^FROM (\S+)", text, re.M)[-1] == "server", "made without a target"
    assert text.index("AS server\n") < text.index("AS dependencies-gpu"), "gigabytes for nothing"
    assert "COPY --from=dependencies-gpu" in stage
    assert "SLIPWAY_SERVER_PROVIDER=auto" in stage
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility" in stage
    assert "USER 65532:65532" in stage
