"""Who has README alone comes to a running worker, on the compose file's database and without."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import yaml

from tests.makers import payload
from tests.programs import ROOT, blocks, in_thread, page
from tests.schemas import load

from .servers import PASSWORD, Server

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import CompletedProcess

    from .templates import Template

RECORDS = (payload(price=0.97), payload(price=0.98, size=3), payload(price=9))
COMPOSED = "localhost:5433"


def write_records(folder: Path) -> None:
    """Write the file `trades.jsonl`, with trades of this moment."""
    fresh = [json.dumps({**record, "timestamp": int(time.time()) - 10}) for record in RECORDS]
    (folder / "trades.jsonl").write_text("\n".join(fresh))


async def follow(line: str, folder: Path, **environment: str) -> CompletedProcess[str]:
    """Run a command of README as in a checkout and its environment."""
    program, *arguments = line.split()
    given = [str(ROOT / text) if text.startswith("examples/") else text for text in arguments]
    command = {
        "python": [sys.executable, "-W", "error"],
        "polymarket-storage": [sys.executable, "-m", "polymarket_bot.storage.cli"],
    }[program]
    return await in_thread([*command, *given], folder, **environment)


def hold_to_one_trigger(first: CompletedProcess[str], second: CompletedProcess[str]) -> None:
    """Expect all to be stored and one trigger in the first run, and nothing new in the second."""
    for run, stored, triggers in ((first, 2, 1), (second, 0, 0)):
        assert run.returncode == 0, run.stderr
        assert f"read 3, stored {stored}, refused 1" in run.stdout
        assert run.stdout.count("trigger:") == triggers


async def test_on_the_database_of_the_compose_file(debian: Template, tmp_path: Path) -> None:
    compose = yaml.safe_load(page("docker-compose.yml"))["services"]["postgres"]["environment"]
    (steps,) = (block for block in blocks(page("README.md"), "bash") if COMPOSED in block)
    _, export, *commands, worker = steps.splitlines()
    name, _, url = export.removeprefix("export ").partition("=")
    write_records(tmp_path)
    async with Server(debian, rules=PASSWORD, password=compose["POSTGRES_PASSWORD"]) as server:
        user, database = compose["POSTGRES_USER"], compose["POSTGRES_DB"]
        files = sorted(file for file in (ROOT / "seed").iterdir() if file.suffix == ".sql")
        await load(server.socket_url(user=user, database=database), *files)
        environment = {name: url.replace(COMPOSED, f"localhost:{server.port}")}
        for command in commands:
            done = await follow(command, tmp_path, **environment)
            assert done.returncode == 0, done.stdout + done.stderr
        runs = [await follow(worker, tmp_path, **environment) for _ in range(2)]
    hold_to_one_trigger(*runs)


async def test_on_the_embedded_database(open_folder: Path) -> None:
    (worker,) = {
        line
        for block in blocks(page("README.md"), "bash")
        for line in block.splitlines()
        if line.startswith("python ")
    }
    write_records(open_folder)
    runs = [await follow(worker, open_folder) for _ in range(2)]
    hold_to_one_trigger(*runs)
    assert (await follow("polymarket-storage status", open_folder)).returncode == 0
