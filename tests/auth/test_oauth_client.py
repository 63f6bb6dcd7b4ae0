"""The laws of the search for the OAuth client of an installed Gemini CLI."""
from __future__ import annotations

import os
from pathlib import Path

import pytest

from gemini_lite.auth import oauth_client
from gemini_lite.auth.oauth_client import OAuthClient, find_installed_client
from gemini_lite.auth.secret import Secret

ID, SECRET = "1234-made-up.apps.googleusercontent.com", "made-up-secret"
CLIENT = OAuthClient(ID, Secret(SECRET))
MODULE = f"""
// The id of this application.
const OAUTH_CLIENT_ID = '{ID}';
// Its secret.
const OAUTH_CLIENT_SECRET = '{SECRET}';
function connect() {{ return {{ clientId: OAUTH_CLIENT_ID, clientSecret: OAUTH_CLIENT_SECRET }}; }}
"""
BUNDLE = (f'function f() {{ return {{ client_id: OAUTH_CLIENT_ID2 }}; }}\nvar OAUTH_CLIENT_ID2 = "{ID}";\n'
          f'var OAUTH_CLIENT_SECRET2 = "{SECRET}";\nvar OAUTH_SCOPE = [];\n')
CORE = "@google/gemini-cli-core/dist/src/code_assist/oauth2.js"
NESTED = "@google/gemini-cli/node_modules/" + CORE
BUNDLED = "@google/gemini-cli/bundle/chunk-5FZXKDXH.js"
SOURCES = [(CORE, MODULE), (NESTED, MODULE), (BUNDLED, BUNDLE), ("@google/gemini-cli-core/bundle/index.js", BUNDLE)]


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with an empty PATH and home."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    usual = tuple(item for item in oauth_client._USUAL_FOLDERS if not item.startswith("/"))
    monkeypatch.setattr(oauth_client, "_USUAL_FOLDERS", usual)
    for name in ("npm_config_prefix", "APPDATA"):
        monkeypatch.delenv(name, raising=False)


def put(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(os.path.relpath(target, path.parent))


@pytest.mark.parametrize("source, text", SOURCES)
def test_the_client_is_read_from_every_published_shape_of_the_package(tmp_path: Path, source: str, text: str) -> None:
    put(tmp_path / "home/.npm-global/lib/node_modules" / source, text)
    assert find_installed_client() == CLIENT


@pytest.mark.parametrize("source, text, entry", [
    (CORE, MODULE, "dist/index.js"), (NESTED, MODULE, "dist/index.js"), (BUNDLED, BUNDLE, "bundle/gemini.js")])
def test_the_package_is_found_behind_the_link_that_npm_makes(
    tmp_path: Path, source: str, text: str, entry: str,
) -> None:
    modules = tmp_path / "node v20/lib/node_modules"
    put(modules / source, text)
    link(tmp_path / "node v20/bin/gemini", put(modules / "@google/gemini-cli" / entry))
    link(tmp_path / "bin/gemini", tmp_path / "node v20/bin/gemini")
    assert find_installed_client() == CLIENT


@pytest.mark.parametrize("modules", ["bin/node_modules", "lib/node_modules", "libexec/lib/node_modules"])
def test_the_package_is_found_beside_a_shim(tmp_path: Path, modules: str) -> None:
    """Windows has gemini.cmd beside node_modules, npm elsewhere bin beside lib, Homebrew a libexec."""
    put(tmp_path / "bin/gemini")
    put(tmp_path / modules / BUNDLED, BUNDLE)
    assert find_installed_client() == CLIENT


@pytest.mark.parametrize("variable, modules", [
    ("npm_config_prefix", "lib/node_modules"), ("APPDATA", "npm/node_modules")])
def test_the_package_is_found_where_npm_was_told_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, modules: str,
) -> None:
    put(tmp_path / "elsewhere" / modules / BUNDLED, BUNDLE)
    monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
    assert find_installed_client() == CLIENT


@pytest.mark.parametrize("modules", [
    ".nvm/versions/node/v20.20.2/lib/node_modules", ".npm/_npx/0f1e/node_modules",
    ".local/share/fnm/node-versions/v22.1.0/installation/lib/node_modules",
    ".volta/tools/image/packages/@google/gemini-cli/lib/node_modules"])
def test_the_package_is_found_without_a_command_where_version_managers_put_it(tmp_path: Path, modules: str) -> None:
    put(tmp_path / "home" / modules / BUNDLED, BUNDLE)
    assert find_installed_client() == CLIENT


def test_the_command_on_path_comes_before_other_installations(tmp_path: Path) -> None:
    put(tmp_path / "home/.npm-global/lib/node_modules" / BUNDLED, BUNDLE.replace(SECRET, "other"))
    put(tmp_path / "lib/node_modules" / BUNDLED, BUNDLE)
    put(tmp_path / "bin/gemini")
    assert find_installed_client() == CLIENT


@pytest.mark.parametrize("text", [
    "", BUNDLE.replace("OAUTH_CLIENT_SECRET", "MCP_SECRET"), BUNDLE.replace("OAUTH_", "MY_OAUTH_"),
    BUNDLE.replace(".apps.googleusercontent.com", ".example.com"),
    BUNDLE.replace("\nvar OAUTH_CLIENT_SECRET", f"/*{3000 * ' '}*/\nvar OAUTH_CLIENT_SECRET")])
def test_an_id_without_its_own_secret_is_no_client(tmp_path: Path, text: str) -> None:
    put(tmp_path / "home/.npm-global/lib/node_modules" / BUNDLED, text)
    assert find_installed_client() is None


def test_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    modules = tmp_path / "home/.npm-global/lib/node_modules"
    (modules / CORE).mkdir(parents=True)
    put(modules / BUNDLED, BUNDLE)
    assert find_installed_client() == CLIENT


def test_no_client_is_found_where_nothing_is_installed() -> None:
    assert find_installed_client() is None
