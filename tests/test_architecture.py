"""Rules of the tree that no single module can hold: imports go one way, and the golden path is integer."""

import ast
import re
from pathlib import Path

import pytest

from triovit.golden.integer.nodes import NODES

ROOT = Path(__file__).resolve().parents[1]
# What stands below all others: errors, files and checks of values. Every part may import these.
LOW = ("golden.errors", "golden.files", "golden.validation")
MAY_IMPORT = {
    **{name: set(LOW) for name in LOW},
    "golden.integer": {"golden.integer", *LOW},
    "hdl": {"hdl", "golden.integer", *LOW},
    "machine": {"machine", "hdl", "golden.integer", *LOW},
    "compiler": {"compiler", "machine", "hdl", "golden.integer", *LOW},
    "sim": {"sim", "compiler", "machine", "hdl", "golden.integer", *LOW},
    "boards": {"boards", "hdl", "golden.integer", *LOW},
    "golden": {"golden", "golden.integer", *LOW},  # the torch side: network and quantization
    "flow": {"flow", "sim", "compiler", "machine", "hdl", "boards", "golden", "golden.integer", *LOW},
    "docs": {"docs", "flow", "sim", "compiler", "machine", "hdl", "boards", "golden", "golden.integer", *LOW},
}
TOP = ("golden", "hdl", "machine", "compiler", "sim", "flow", "boards")
TORCH_USERS = {"golden", "flow"}
FLOAT_FUNCTIONS = {"double", "true_divide", "divide", "sqrt", "exp", "log", "log2", "average", "linspace"}


def part_of(module: str) -> str | None:
    """Entry of MAY_IMPORT that a module name belongs to; None for other packages."""
    for name in (*LOW, "golden.integer"):
        if module == name or module.startswith(f"{name}."):
            return name
    top = module.split(".")[0]
    return top if top in MAY_IMPORT else None


def sources(part: str) -> list[Path]:
    folder = ROOT / part.replace(".", "/")
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else folder.parent.glob(f"{folder.name}.py")
    return [file for file in files if part_of(".".join(file.relative_to(ROOT).with_suffix("").parts)) == part]


def imported(tree: ast.AST, package: list[str]) -> set[str]:
    """Names of all modules a file imports, wherever in it; `from golden import integer` counts as golden.integer."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("triovit.") for name in names}


def forbidden(part: str, text: str, package: list[str]) -> list[str]:
    """What a file of `part` imports against the rules."""
    found = []
    for name in sorted(imported(ast.parse(text), package)):
        target = part_of(name)
        if target == "golden" and name == "golden":
            continue  # the package itself holds nothing
        if (target and target not in MAY_IMPORT[part]) or (name.split(".")[0] == "tests"):
            found.append(name)
        if name.split(".")[0] in ("torch", "torchvision") and part not in TORCH_USERS:
            found.append(name)
    return found


def float_uses(text: str) -> list[str]:
    """Float literals, float types and true divisions of a file, as 'line: what'."""
    found = []
    for node in ast.walk(ast.parse(text)):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            found.append(f"{line}: literal {node.value}")
        elif isinstance(node, ast.Name) and node.id == "float":
            found.append(f"{line}: float")
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            found.append(f"{line}: true division")
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            numeric = node.value.id in ("np", "numpy", "math")
            if node.attr == "mean" or (numeric and (node.attr in FLOAT_FUNCTIONS or node.attr.startswith("float"))):
                found.append(f"{line}: {node.value.id}.{node.attr}")
    return found


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_imports_go_one_way(part):
    errors = []
    for file in sources(part):
        package = list(file.relative_to(ROOT).parent.parts)
        errors += [f"{file.relative_to(ROOT)} imports {name}" for name in forbidden(part, file.read_text(), package)]
    assert not errors, "\n".join(errors)


def unprefixed(text: str) -> list[str]:
    """Imports of the project by another name than `triovit.<folder>`: a module under two names is two modules."""
    return re.findall(rf"^\s*(?:from|import) (?:{'|'.join(TOP)})(?:[. ].*)?$", text, re.MULTILINE)


def test_one_way_to_import():
    errors = []
    for file in sorted(file for folder in (*TOP, "docs", "tests") for file in (ROOT / folder).rglob("*.py")):
        errors += [f"{file.relative_to(ROOT)}: {line.strip()}" for line in unprefixed(file.read_text())]
    assert not errors, "\n".join(errors)


@pytest.mark.parametrize(
    "text", ["import hdl", "from golden.integer import apot", "def f():\n    import sim.bench as b"]
)
def test_unprefixed_is_caught(text):
    assert unprefixed(text)
    assert not unprefixed(re.sub(r"(hdl|golden|sim)", r"triovit.\1", text))


@pytest.mark.parametrize("folder", ["golden/assets", "golden/data", "golden/integer"])
def test_images_and_integers_need_no_torch(folder):
    """Hardware users install none of it: see also tests/flow/test_without_extras.py."""
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    for file in files:
        names = imported(ast.parse(file.read_text()), list(file.relative_to(ROOT).parent.parts))
        assert not {name for name in names if name.split(".")[0] in ("torch", "distributed", "matplotlib")}, file


def test_integer_path_has_no_float():
    errors = []
    for file in sources("golden.integer"):
        errors += [f"{file.relative_to(ROOT)}:{use}" for use in float_uses(file.read_text())]
    assert sources("golden.integer")
    assert not errors, "\n".join(errors)


def files_by_module(folder: Path) -> dict[str, Path]:
    """Files of a folder by the name of their module; a package is its `__init__.py`."""
    names = {file: file.relative_to(ROOT).with_suffix("").parts for file in sorted(folder.rglob("*.py"))}
    return {".".join(part for part in parts if part != "__init__"): file for file, parts in names.items()}


def imports_between(texts: dict[str, str]) -> dict[str, set[str]]:
    """Which module imports which, of modules given by name with their text; imports inside functions count."""
    graph = {}
    for module, text in texts.items():
        is_package = any(name.startswith(f"{module}.") for name in texts)
        names = imported(ast.parse(text), module.split(".")[: None if is_package else -1])
        graph[module] = {name if name in texts else name.rpartition(".")[0] for name in names} & texts.keys()
    return graph


def find_circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, the first one again at the end; empty when there is none."""
    finished: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        circle = []
        if module not in finished:
            circle = next(filter(None, (visit(name, [*path, module]) for name in sorted(graph[module]))), [])
            finished.add(module)
        return circle

    return next(filter(None, (visit(module, []) for module in graph)), [])


def rooms(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The graph of the folders one below the top (with all that is in them) and of the files that stand beside them."""
    found: dict[str, set[str]] = {}
    for module, names in graph.items():
        room, others = _room(module), {_room(name) for name in names}
        found[room] = found.get(room, set()) | others - {room}
    return found


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def whole_tree() -> dict[str, str]:
    """Text of every module, but for the faces of the top folders, which only hand names on."""
    modules = {name: file for folder in TOP for name, file in files_by_module(ROOT / folder).items()}
    return {name: file.read_text() for name, file in modules.items() if name not in TOP}


def test_no_circle_of_files():
    graph = imports_between(whole_tree())
    assert sum(map(len, graph.values())) > 500
    assert not find_circle(graph)


def test_no_circle_of_folders():
    """Imports for annotations alone do not count: nothing of them is there when the program runs."""
    texts = {name: ast.unparse(_Running().visit(ast.parse(text))) for name, text in whole_tree().items()}
    graph = rooms(imports_between(texts))
    assert {"hdl.isa", "golden.integer", "golden.errors", "compiler.lower", "flow.cli"} <= graph.keys()
    assert not find_circle(graph)


class _Running(ast.NodeTransformer):
    """Takes out what stands below `if TYPE_CHECKING:`."""

    def visit_If(self, node: ast.If) -> ast.If | ast.Pass:
        return ast.Pass() if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" else node


def test_the_race_detector_knows_neither_loops_nor_compiler():
    """It is the check of both, so it sees only what the functional simulator touches."""
    names = imported(ast.parse((ROOT / "machine" / "races.py").read_text()), ["machine"])
    assert not {name for name in names if name.split(".")[0] in ("machine", "compiler")}


def kind_tests(text: str, kinds: set[str]) -> list[str]:
    """Where a file asks which kind a node is, as 'line: kind'."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.MatchClass):
            asked: list[ast.AST] = [node.cls]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            asked = list(ast.walk(node.args[1]))
        else:
            continue
        found += [f"{node.lineno}: {name.id}" for name in asked if isinstance(name, ast.Name) and name.id in kinds]
    return found


def test_only_a_node_knows_its_kind():
    """Whatever differs between kinds is a method of theirs, so that a new kind is a new file."""
    folder = ROOT / "golden" / "integer"
    errors = []
    for file in folder.rglob("*.py"):
        errors += [f"{file.relative_to(ROOT)}:{found}" for found in kind_tests(file.read_text(), set(NODES))]
    assert not errors, "\n".join(errors)


@pytest.mark.parametrize(
    "text", ["isinstance(n, Pool)", "isinstance(n, (int, Pool))", "match n:\n    case Pool(input=x):\n        pass"]
)
def test_questions_for_a_kind_are_found(text):
    assert kind_tests(text, set(NODES))
    assert not kind_tests(text.replace("Pool", "Path"), set(NODES))


def test_circles_are_found():
    texts = {
        "golden.integer.a": "from triovit.golden.integer.nodes.b import B",
        "golden.integer.nodes.b": "def f():\n    from triovit.golden.integer import c",
        "golden.integer.c": "import triovit.golden.integer.a",
        "golden.integer.d": "from .c import C",
    }
    a, b, c, d = texts
    assert imports_between(texts) == {a: {b}, b: {c}, c: {a}, d: {c}}
    assert find_circle(imports_between(texts)) == [a, b, c, a]
    assert not find_circle({a: {b, c}, b: {c}, c: set(), d: {a}})
    assert rooms({"hdl.isa.a": {"hdl.isa.b", "hdl.top"}, "hdl.isa.b": set(), "hdl.top": {"sim.x.y"}}) == {
        "hdl.isa": {"hdl.top"},
        "hdl.top": {"sim.x"},
    }


@pytest.mark.parametrize(
    "part, text",
    [
        ("hdl", "import sim.bench"),
        ("hdl", "def f():\n    from golden.quantization import ptq"),
        ("hdl", "from golden import network"),
        ("compiler", "import torch.nn as nn"),
        ("golden.integer", "from ..quantization import ptq"),
        ("sim", "from flow import cli"),
        ("sim", "import tests.sim.copier"),
    ],
)
def test_rule_catches(part, text):
    assert forbidden(part, text, ["golden", "integer"])


@pytest.mark.parametrize(
    "part, text",
    [("hdl", "from golden.integer import arithmetic"), ("flow", "import torch"), ("sim", "import numpy, sim.bench")],
)
def test_rule_allows(part, text):
    assert not forbidden(part, text, ["hdl"])


@pytest.mark.parametrize(
    "text", ["x = 1 / 2", "x /= 2", "x = 0.5", "float(3)", "np.float32(x)", "x.mean()", "np.sqrt(x)"]
)
def test_float_check_catches(text):
    assert float_uses(text)


def test_float_check_allows_integers():
    assert not float_uses("import numpy as np\nx = np.int64(7) // 2 >> 1\nx //= 3")
