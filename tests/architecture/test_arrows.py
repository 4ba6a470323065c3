"""The arrows of docs/architecture.md, read off the code. What import-linter can say stands in pyproject.toml, too."""

import ast
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from tests.architecture.source import FEATURES, ROOMS, ROOT, Module, modules, offenders, stores_used


def test_import_linter_keeps_its_contracts() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_features_import_only_what_stands_to_their_left() -> None:
    wrong = []
    for module in modules("labeler_api"):
        if module.feature is None:
            continue
        right = FEATURES[FEATURES.index(module.feature) + 1 :]
        wrong += [f"{module.where} imports {name}" for name in right if module.uses(f"labeler_api.{name}")]
    assert wrong == []


def test_services_ask_services_and_never_the_stores_of_others() -> None:
    wrong = [
        f"{module.where} imports the store of {other}"
        for module in modules("labeler_api")
        for other in stores_used(module) - {module.feature}
    ]
    assert wrong == []


def test_no_store_asks_a_service_and_no_service_a_route() -> None:
    """By stem, across the use cases of a feature too: import-linter sees the four files of one folder only."""
    above = {"store": {"service", "routes"}, "service": {"routes"}}
    wrong = [
        f"{module.where} imports {name}"
        for module in modules("labeler_api")
        if module.feature is not None
        for name in module.imports
        if name.startswith("labeler_api.") and above.get(module.layer, set()) & set(name.split(".")[2:])
    ]
    assert wrong == []


def test_a_use_case_has_a_folder_and_no_file_of_a_layer_has_a_suffix() -> None:
    """`editing/store.py`, and never `store_editing.py` beside four others."""
    layers = {"routes", "schemas", "service"}
    wrong = [
        module.where
        for module in modules("labeler_api")
        if module.feature is not None and module.path.stem.split("_")[0] in layers and module.path.stem not in layers
    ]
    assert wrong == []


def test_routes_do_not_reach_past_the_service() -> None:
    routes = [module for module in modules("labeler_api") if module.path.name == "routes.py"]
    assert routes
    assert [module.where for module in routes if module.uses("labeler_api.db") or stores_used(module)] == []


def test_machinery_knows_no_feature() -> None:
    machinery = [
        module
        for module in modules("labeler_api")
        if module.feature is None and module.name not in {"labeler_api.app", "labeler_api.process.serving"}
    ]
    wrong = [
        f"{module.where} imports {name}"
        for module in machinery
        for name in FEATURES
        if module.uses(f"labeler_api.{name}")
    ]
    assert wrong == []


def test_errors_import_nothing() -> None:
    assert Module(ROOT / "labeler_api/errors.py").imports == frozenset()


def _derived(module: Module, of: Collection[str]) -> set[str]:
    """The classes of a module that derive from one of these names."""
    classes = [node for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)]
    return {one.name for one in classes if any(isinstance(base, ast.Name) and base.id in of for base in one.bases)}


def test_every_error_that_a_client_may_see_stands_in_one_tree() -> None:
    tree = Module(ROOT / "labeler_api/errors.py")
    errors = {"AppError"}
    while more := _derived(tree, errors) - errors:
        errors |= more
    assert errors >= {"Locked", "ImportRunning", "FileRejected"}
    elsewhere = [module for module in modules("labeler_api") if module.where != tree.where]
    assert [f"{module.where}: {name}" for module in elsewhere for name in _derived(module, errors)] == []


def test_only_the_entry_points_import_the_composition_root() -> None:
    allowed = ("labeler_api.process.serving", "labeler_ops", "tests")
    assert offenders(modules(), "labeler_api.app", allowed=allowed) == []


def test_grpc_only_in_the_directory_and_the_gateway() -> None:
    assert offenders(modules("labeler_api"), "grpc", allowed=("labeler_api.user_directory.directory",)) == []
    # What the generated code gives is grpc's, too; profiles reads the messages that the directory receives.
    generated = ("labeler_api.user_directory.directory", "labeler_api.user_directory.profiles")
    assert offenders(modules("labeler_api"), "proto", allowed=generated) == []


def test_botocore_only_in_the_object_store() -> None:
    allowed = (
        "labeler_api.object_store.objects",
        "labeler_api.object_store.client",
        "labeler_api.object_store.presigning",
        "labeler_ops.storage",
        "labeler_ops.images",
    )
    for package in ("botocore", "aiobotocore", "boto3"):
        assert offenders(modules("labeler_api", "labeler_ops", "user_gateway"), package, allowed=allowed) == []


def test_objects_are_deleted_in_one_place_that_asks_for_the_tie() -> None:
    """Anything else could delete in buckets of another database; the probes remove what they put themselves."""
    allowed = {"labeler_api.object_store.objects", "labeler_ops.storage.buckets", "labeler_ops.storage.probe"}
    wrong = [
        f"{module.where}:{node.lineno}"
        for module in modules("labeler_api", "labeler_ops")
        if module.name not in allowed
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute)
        and node.attr in {"delete_object", "delete_objects", "delete_bucket", "abort_multipart_upload"}
    ]
    assert wrong == []


def test_starlette_stays_in_routes_and_http() -> None:
    below = [module for module in modules("labeler_api") if module.path.name != "routes.py"]
    assert offenders(below, "starlette", allowed=("labeler_api.http", "labeler_api.app")) == []


def test_the_services_never_import_each_other() -> None:
    assert offenders(modules("labeler_api", "proto"), "user_gateway") == []
    assert offenders(modules("user_gateway", "proto"), "labeler_api") == []
    assert offenders(modules("user_gateway", "labeler_api", "proto"), "labeler_ops") == []
    assert offenders(modules("user_gateway", "labeler_api", "labeler_ops", "proto"), "tests") == []


def test_sql_lives_in_stores() -> None:
    verbs = ("SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH ")
    wrong = [
        f"{module.where}:{node.lineno}"
        for module in modules("labeler_api")
        if module.feature is not None and not module.is_store
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.lstrip().startswith(verbs)
    ]
    assert wrong == []


def test_the_features_are_the_folders() -> None:
    folders = {path.parent.name for path in (ROOT / "labeler_api").glob("*/__init__.py")}
    assert folders - set(FEATURES) == set(ROOMS)
