"""What a user installs, cites and reads: requirements, wheel, CITATION.cff, the Space's files, README."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from sparrow.cli import _parser

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# The name that code imports, where it is not the package's own.
IMPORT_NAMES = {
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "fonttools": "fontTools",
    "huggingface-hub": "huggingface_hub",
    "langgraph-checkpoint-sqlite": "langgraph",
}
# No module imports these by name: one for those who build on Sparrow, two that transformers asks for.
FOR_OTHERS = {"moviepy", "sentencepiece", "protobuf"}


def requirements(path: Path) -> dict[str, Requirement]:
    """Parse a requirements file of plain lines: no nested file, no index, no link."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.split("#")[0].strip()
        if text and not text.startswith("-r "):
            requirement = Requirement(text)
            found[requirement.name.lower().replace("_", "-")] = requirement
    return found


def third_party_imports() -> set[str]:
    """Collect the packages that the shipped code imports anywhere."""
    found = set()
    for path in [*(ROOT / "sparrow").rglob("*.py"), ROOT / "app.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"sparrow"}


def import_name(package: str) -> str:
    return IMPORT_NAMES.get(package, package.replace("-", "_"))


def test_pyproject_reads_the_one_list() -> None:
    assert PYPROJECT["project"]["dynamic"] == ["dependencies"]
    assert PYPROJECT["tool"]["setuptools"]["dynamic"]["dependencies"]["file"] == [
        "requirements.txt"
    ]


def test_every_requirement_says_why() -> None:
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        assert "#" in line, f"no reason given: {line}"


def test_imports_and_requirements_agree() -> None:
    listed = {import_name(name) for name in requirements(ROOT / "requirements.txt")}
    used = third_party_imports()
    # Parts of a listed package that come with it under a name of their own.
    with_others = {"httpx", "langchain_core"}
    assert used - listed <= with_others
    assert listed - used <= FOR_OTHERS


def test_packages_of_the_wheel_are_the_folders_with_code() -> None:
    folders = {p.parent for p in (ROOT / "sparrow").rglob("*.py")}
    names = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert set(PYPROJECT["tool"]["setuptools"]["packages"]) == names | {"sparrow.assets"}


def test_wheel_holds_code_and_assets(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    ignore = shutil.ignore_patterns("__pycache__", "examples", "sparrow-mini")
    for folder in ("sparrow", "assets"):
        shutil.copytree(ROOT / folder, source / folder, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE", "requirements.txt"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "-w", str(tmp_path), str(source)], check=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (n for n in names if n.endswith("/METADATA"))
        about = archive.read(metadata).decode()
        archive.extractall(tmp_path / "site")
    assert {"sparrow/py.typed", "sparrow/cli.py", "sparrow/assets/world/nouns.json"} <= names
    world = [
        sys.executable,
        "-m",
        "sparrow",
        "world",
        "--seed",
        "1",
        "--out",
        str(tmp_path / "clip"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    subprocess.run(world, check=True, timeout=120, cwd=tmp_path, env=environment)
    assert (tmp_path / "clip" / "clip.mp4").is_file()
    assert "License-Expression: Apache-2.0" in about
    needed = re.findall(r"^Requires-Dist: (?!.*extra ==)", about, re.M)
    assert len(needed) == len(requirements(ROOT / "requirements.txt"))
    assert "Provides-Extra: mcp" in about


def test_citation_is_complete() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "version", "license", "type"} <= set(citation)
    assert citation["version"] == PYPROJECT["project"]["version"]
    paper = citation["preferred-citation"]
    assert paper["title"].startswith("SPARROW: Learning Spatial Precision")
    assert paper["authors"][0]["family-names"] == "Alansari"


def test_changelog_names_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{PYPROJECT['project']['version']}]" in changelog


def test_space_settings_fit_its_requirements() -> None:
    _, front, _ = (
        (ROOT / "spaces_config" / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    )
    settings = yaml.safe_load(front)
    space = requirements(ROOT / "spaces_config" / "requirements.txt")
    assert settings["sdk"] == "gradio"
    assert (ROOT / "spaces_config" / settings["app_file"]).is_file()
    assert str(space["gradio"].specifier) == f"=={settings['sdk_version']}"
    assert len(settings["short_description"]) <= 60
    main = requirements(ROOT / "requirements.txt")
    assert set(space) == set(main)
    for name in ("torch", "torchvision", "gradio"):
        (pin,) = space[name].specifier
        assert main[name].specifier.contains(pin.version)


def tree_paths() -> list[str]:
    """Read the paths of README's annotated file tree: indented lines, the first word a path."""
    block = re.search(r"## Files\n.*?```text\n(.*?)```", README, re.S)
    assert block is not None
    found, parents = [], [""]
    for line in block[1].splitlines():
        if not line.strip():
            continue
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        parents[depth + 1 :] = [parents[depth] + name]
        found.append(parents[depth] + name)
    return found


@pytest.mark.parametrize("path", tree_paths())
def test_readme_tree_exists(path: str) -> None:
    here = ROOT / path
    assert here.is_dir() if path.endswith("/") else here.is_file()


EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.S)


def test_readme_has_an_example_of_each_way_in() -> None:
    assert len(EXAMPLES) == 2


@pytest.mark.parametrize("block", EXAMPLES, ids=range(len(EXAMPLES)))
def test_readme_example_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(block.splitlines()) <= 12
    monkeypatch.chdir(tmp_path)
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    exec(compile(block, "README.md", "exec"), {})
    assert (tmp_path / "annotated.mp4").stat().st_size > 1000


COMMANDS = re.findall(r"^(?:python -m )?sparrow ((?!-)[^#\n]+)", README, re.M)


@pytest.mark.parametrize("command", COMMANDS)
def test_readme_commands_are_understood(command: str) -> None:
    arguments = _parser().parse_args(shlex.split(command))
    assert callable(arguments.handler)


def test_readme_shows_every_command() -> None:
    shown = {command.split()[0] for command in COMMANDS}
    assert shown >= {"world", "ask", "track", "train", "bench", "serve"}


@pytest.mark.parametrize("link", re.findall(r"\]\((?!https?:)([^)#]+)", README))
def test_readme_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
