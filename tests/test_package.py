"""The wheel has everything a node needs: schemas, data, the command."""

import subprocess
import sys
import zipfile
from pathlib import Path

from node import __version__
from tests.nodes import make_homes

ROOT = Path(__file__).parents[1]


def test_a_node_works_from_the_wheel_alone(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    script = (
        "import sys, node; sys.path.insert(0, '.');"
        "from node.cli.app import main;"
        "main.main(['init', 'home', '--authority', 'RU', '--name', 'x', '--url',"
        " 'http://localhost:8101', '--sandbox'], standalone_mode=False);"
        "print(node.__file__)"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True,
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip

    assert str(tmp_path / "site") in done.stdout
    names = zipfile.ZipFile(wheel).namelist()
    assert "node/schemas/certificate.v1.json" in names
    assert "node/domain/data/participants.csv" in names
    assert "node/demo/data/shipments.json" in names
    assert wheel.name.startswith(f"kpnode-{__version__}")
    assert not [name for name in names if name.startswith("tests/")]


def test_the_help_comes_quickly_because_nothing_heavy_is_imported() -> None:
    script = (
        "import sys; from node.cli.app import main;"
        "main.main(['--help'], standalone_mode=False);"
        "heavy = {'aiohttp', 'jwt', 'jsonschema', 'jsonschema_rs', 'sqlite_utils', 'rich'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True)


def test_a_short_command_loads_no_more_than_it_needs(tmp_path: Path) -> None:
    home = make_homes(tmp_path, "RU", "BY")["RU"]
    script = (
        "import sys; from node.cli.app import main;"
        f"main.main(['--home', {str(home)!r}, 'status'], standalone_mode=False);"
        "heavy = {'aiohttp', 'jwt', 'jsonschema', 'sqlite_utils', 'dateutil', 'pluggy'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True)
