"""Programs are rebuilt when, and only when, what they are made of changes."""

from pathlib import Path

import pytest

from sandbox import golang, places, toolchain
from sandbox.errors import SandboxError
from sandbox.places import Places

GO_MOD = (
    "module a\n\ngo 1.25.0\n\nrequire k8s.io/kubernetes v1.35.4\nrequire (\n\tb.c/d v0.1.0\n)\n"
)


@pytest.fixture
def module(tmp_path: Path) -> Path:
    (tmp_path / "go.mod").write_text(GO_MOD)
    (tmp_path / "main.go").write_text("package main\n")
    return tmp_path


def test_the_same_sources_have_the_same_name(module: Path) -> None:
    assert toolchain.source_hash(module) == toolchain.source_hash(module)


def test_a_changed_source_has_another_name(module: Path) -> None:
    before = toolchain.source_hash(module)
    (module / "main.go").write_text("package main // changed\n")

    assert toolchain.source_hash(module) != before


def test_a_renamed_source_has_another_name(module: Path) -> None:
    before = toolchain.source_hash(module)
    (module / "main.go").rename(module / "other.go")

    assert toolchain.source_hash(module) != before


def test_other_link_settings_have_another_name(module: Path) -> None:
    assert toolchain.source_hash(module, salt="x") != toolchain.source_hash(module)


@pytest.mark.parametrize("tool", toolchain.BUILT)
def test_every_program_built_here_has_a_locked_module(tool: str) -> None:
    module = places.checkout() / "sandbox" / "go" / toolchain.BUILT[tool].folder
    go_mod = (module / "go.mod").read_text()

    assert golang.version_required(go_mod) >= (1, 25, 0)
    assert "require" not in go_mod or (module / "go.sum").exists()


def test_kubernetes_states_the_version_it_was_built_from() -> None:
    variables = toolchain.BUILT["hyperkube"].variables(GO_MOD)

    assert variables["k8s.io/component-base/version.gitVersion"] == "v1.35.4"
    assert variables["k8s.io/component-base/version.gitMinor"] == "35"


def test_helm_is_built_from_its_own_main_package_and_states_its_version() -> None:
    source = toolchain.BUILT["helm"]
    go_mod = (places.checkout() / "sandbox" / "go" / source.folder / "go.mod").read_text()

    assert f"tool {source.package}" in go_mod
    assert list(source.variables(go_mod).values()) == [
        golang.module_version(go_mod, "helm.sh/helm/v4")
    ]


def test_a_module_that_is_not_required_has_no_version() -> None:
    with pytest.raises(SandboxError, match=r"does not require b\.c/e"):
        golang.module_version(GO_MOD, "b.c/e")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go version go1.27rc1 linux/arm64", (1, 27, 0)),
        ("go 1.25", (1, 25, 0)),
    ],
)
def test_versions_are_read_from_what_go_says(text: str, version: tuple[int, int, int]) -> None:
    assert golang.version_in(text) == version


def test_builds_are_static_and_keep_their_caches_in_our_folder() -> None:
    found = golang.environment(
        {"GOPROXY": "https://example.test", "GOFLAGS": "-mod=mod"}, places=Places(Path("/c"))
    )

    assert found["CGO_ENABLED"] == "0"
    assert found["GOMODCACHE"].startswith("/c/")
    assert found["GOCACHE"].startswith("/c/")
    assert found["GOPROXY"] == "https://example.test"
    assert found["GOFLAGS"] == ""
