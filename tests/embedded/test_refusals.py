"""What cannot work is refused with its reason and a remedy."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from polymarket_bot.storage.embedded import EmbeddedPostgres, running_url
from polymarket_bot.storage.errors import EmbeddedServerError

from .support import QUICK, link, make_folder, names_in, query, server_pids, socket_folder, write

IMPORTS = """
import asyncio, concurrent.futures.thread, importlib.util, os, pwd, resource, sys
import polymarket_bot.storage.embedded
from polymarket_bot.storage.errors import EmbeddedServerError
"""
START = """
try:
    asyncio.run(polymarket_bot.storage.embedded.EmbeddedPostgres(sys.argv[1]).start())
except EmbeddedServerError as error:
    print(error)
"""
# Every module beforehand: the other user may not reach them.
OTHER_USER = "import polymarket_bot.storage.embedded.control\nif os.geteuid() == 0: os.setuid({})\n"


async def refusal(data_dir: Path, preparation: str) -> str:
    """Return the error of a start in a process of its own, prepared by some statements."""
    done = await asyncio.to_thread(
        subprocess.run,
        (sys.executable, "-c", f"{IMPORTS}{preparation}{START}", str(data_dir)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    assert not server_pids(data_dir)
    return done.stdout


@pytest.mark.parametrize("below", [".", "below", "below/it"])
async def test_a_file_in_the_place_of_the_folder_is_refused(data_dir: Path, below: str) -> None:
    write(data_dir, "")
    with pytest.raises(EmbeddedServerError, match="has to be a folder") as refused:
        await EmbeddedPostgres(data_dir / below).start()
    assert isinstance(refused.value.__cause__, OSError)
    await EmbeddedPostgres(data_dir / below).stop()


async def test_asking_for_the_url_of_a_file_finds_no_server(data_dir: Path) -> None:
    write(data_dir, "")
    assert await running_url(data_dir) is None


async def test_a_folder_that_cannot_be_written_is_refused(data_dir: Path) -> None:
    make_folder(data_dir, 0o555)
    text = await refusal(data_dir, OTHER_USER.format('pwd.getpwnam("nobody").pw_uid'))
    assert "Permission denied" in text
    assert "that this user can write to" in text


async def test_a_user_without_a_name_is_refused_before_initdb_is(data_dir: Path) -> None:
    make_folder(data_dir, 0o777)
    nameless = "def getpwuid(uid): raise KeyError(uid)\npwd.getpwuid = getpwuid\n"
    text = await refusal(data_dir, OTHER_USER.format(54321) + nameless)
    assert "has no entry in /etc/passwd" in text
    assert "set DATABASE_URL" in text


async def test_root_without_a_user_to_run_the_server_as_is_refused(data_dir: Path) -> None:
    text = await refusal(
        data_dir,
        "from polymarket_bot.storage.embedded import accounts\n"
        "accounts._CANDIDATES = ('no-such-user',)\nos.geteuid = lambda: 0\n",
    )
    assert "PostgreSQL refuses to run as root" in text
    assert "no-such-user" in text


async def test_missing_binaries_are_refused_with_the_command_to_install_them(
    data_dir: Path,
) -> None:
    text = await refusal(data_dir, "importlib.util.find_spec = lambda name: None\n")
    assert "pip install 'polymarket-bot-storage[embedded]'" in text


async def test_a_platform_without_file_locks_is_refused(data_dir: Path) -> None:
    text = await refusal(data_dir, "sys.modules['fcntl'] = None\n")
    assert "needs a POSIX system" in text


async def test_a_failing_initdb_is_reported_with_its_own_words(data_dir: Path) -> None:
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
    assert "File too large" in await refusal(data_dir, limit)
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        assert await query(server.url, "SELECT 42") == 42


async def test_a_failing_server_is_reported_with_its_own_words(data_dir: Path) -> None:
    with pytest.raises(EmbeddedServerError, match=r'unrecognized .* "no_such_setting"'):
        await EmbeddedPostgres(data_dir, settings={**QUICK, "no_such_setting": "1"}).start()
    async with EmbeddedPostgres(data_dir, settings=QUICK) as server:
        assert await query(server.url, "SELECT 42") == 42


async def test_data_of_another_major_version_are_refused_untouched(data_dir: Path) -> None:
    write(data_dir / "pgdata" / "PG_VERSION", "17\n")
    with pytest.raises(EmbeddedServerError, match="of PostgreSQL 17, the embedded server is 18"):
        await EmbeddedPostgres(data_dir).start()
    assert names_in(data_dir / "pgdata") == ["PG_VERSION"]


async def test_a_folder_that_is_no_cluster_is_refused(data_dir: Path) -> None:
    write(data_dir / "pgdata" / "something", "")
    with pytest.raises(EmbeddedServerError, match="not a PostgreSQL data folder"):
        await EmbeddedPostgres(data_dir).start()


async def test_data_that_are_gone_are_not_replaced_by_an_empty_cluster(data_dir: Path) -> None:
    link(data_dir / "pgdata", Path("/no/such/folder/pgdata"))
    with pytest.raises(EmbeddedServerError, match="gone with the data"):
        await EmbeddedPostgres(data_dir).start()


async def test_a_socket_folder_that_others_can_enter_is_refused(data_dir: Path) -> None:
    deep = data_dir / ("x" * 120)
    server = EmbeddedPostgres(deep, settings=QUICK)
    async with server:
        folder = socket_folder(server.url)
    folder.chmod(0o755)
    with pytest.raises(EmbeddedServerError, match=rf"{folder} has to be a folder that only"):
        await server.start()
    folder.rmdir()
    async with server:
        assert await query(server.url, "SELECT 42") == 42
    folder.rmdir()
