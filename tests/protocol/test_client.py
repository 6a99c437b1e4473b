from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
import zmq
from zmq.utils import z85

from protocol import places
from protocol.api import (
    API_VERSION,
    MAX_API_BYTES,
    Request,
    Response,
    error_of,
    pack_request,
    pack_response,
    unpack_request,
    unpack_response,
)
from protocol.client import AsyncClient, Client, new_key_pair
from protocol.errors import (
    InvariantBroken,
    NotAllowed,
    NotFound,
    PeerError,
    Unreachable,
    UsageError,
    UserError,
    VersionError,
)
from protocol.targets import Known, find_target
from tests.protocol.answering import Answerer, Daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def no_daemon_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("FARM_DATA_DIR", str(tmp_path / "own"))
    monkeypatch.delenv("FARM_NODE", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(places, "SYSTEM_RUNTIME_DIR", tmp_path / "absent" / "farmd")
    (tmp_path / "own").mkdir()


def echo(request: Request) -> list[Response]:
    match request.op:
        case "count":
            return [Response(request.id, n, None, n < 2) for n in range(3)]
        case "fail":
            return [Response(request.id, None, (request.args["code"], "what", "why", "hint"))]
        case "silence" | "cancel":
            return []
        case "endless":
            return [Response(request.id, n, None, more=True) for n in range(3)]
        case "unreadable":
            return [Response(0, None, (2, "the request cannot be read", "", ""))]
    return [Response(999, "not yours"), Response(request.id, [request.op, request.args])]


@pytest.fixture
def daemons() -> Iterator[Callable[..., Daemon]]:
    made: list[Daemon] = []

    def make(endpoint: str, answerer: Answerer = echo, secret_key: bytes = b"") -> Daemon:
        made.append(Daemon(endpoint, answerer, secret_key))
        return made[-1]

    yield make
    for daemon in made:
        daemon.close()


@pytest.fixture
def own(tmp_path: Path, daemons: Callable[..., Daemon]) -> Daemon:
    """The daemon of the default data dir."""
    return daemons(f"ipc://{tmp_path}/own/client.sock")


# -- asking -------------------------------------------------------------------------------------------------------


def test_call_returns_the_data_of_the_answer(own: Daemon) -> None:
    with Client() as client:
        assert client.call("job.show", job="abc", n=1) == ["job.show", {"job": "abc", "n": 1}]
        assert client.call("job.list") == ["job.list", {}]


def test_stream_yields_every_part(own: Daemon) -> None:
    with Client() as client:
        assert list(client.stream("count")) == [0, 1, 2]


def test_stream_that_is_left_early_is_cancelled(own: Daemon) -> None:
    with Client() as client:
        assert next(iter(client.stream("endless"))) == 0
        assert client.call("after") == ["after", {}]
    assert [request.op for request in own.heard] == ["endless", "cancel", "after"]
    assert own.heard[1].args == {"id": 1}


@pytest.mark.parametrize(
    ("code", "kind"),
    [(1, UserError), (2, UsageError), (5, NotFound), (6, NotAllowed), (7, Unreachable), (4, UserError)],
)
def test_error_is_raised_as_the_class_of_its_code(own: Daemon, code: int, kind: type[UserError]) -> None:
    with Client() as client, pytest.raises(UserError) as caught:
        client.call("fail", code=code)
    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.why, caught.value.hint) == (code, "why", "hint")


def test_request_that_the_daemon_cannot_read_is_an_error_not_a_silence(own: Daemon) -> None:
    with Client() as client, pytest.raises(UsageError):
        client.call("unreadable")


def test_silence_is_unreachable_after_the_time_limit(own: Daemon) -> None:
    with Client(timeout_s=0.05) as client, pytest.raises(Unreachable, match="no answer"):
        client.call("silence")


def test_arguments_that_are_not_plain_data_are_refused(own: Daemon) -> None:
    with Client() as client, pytest.raises(UsageError):
        client.call("x", thing=object())
    with Client() as client, pytest.raises(UsageError, match="cannot send"):
        client.call("x", thing=b"x" * (5 << 20))


def test_async_client_asks_many_things_at_once(own: Daemon) -> None:
    async def story() -> None:
        async with AsyncClient() as client:
            answers = await asyncio.gather(*(client.call("job.show", n=n) for n in range(50)))
            assert [answer[1]["n"] for answer in answers] == list(range(50))
            assert [part async for part in client.stream("count")] == [0, 1, 2]

    asyncio.run(story())


def test_async_errors_and_silence_are_raised_alike(own: Daemon) -> None:
    async def story() -> None:
        async with AsyncClient(timeout_s=0.05) as client:
            with pytest.raises(NotFound):
                await client.call("fail", code=5)
            with pytest.raises(Unreachable):
                await client.call("silence")
            with pytest.raises(UsageError):
                await client.call("unreadable")
        with pytest.raises(Unreachable, match="not open"):
            await client.call("x")

    asyncio.run(story())


def test_async_stream_that_is_left_early_is_cancelled(own: Daemon) -> None:
    async def story() -> None:
        async with AsyncClient() as client:
            assert await client.call("endless") == 0
            assert await client.call("after") == ["after", {}]
        assert [request.op for request in own.heard] == ["endless", "cancel", "after"]

    asyncio.run(story())


# -- whom ---------------------------------------------------------------------------------------------------------


def test_connection_for_which_there_is_no_socket_left_is_unreachable(
    own: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_args: Any) -> None:
        raise zmq.ZMQError(errno.EMFILE)

    async def run() -> None:
        for name in ("get_monitor_socket", "connect"):
            monkeypatch.setattr(zmq.Socket, name, none_left)
            with pytest.raises(Unreachable, match="no connection to") as caught:
                await AsyncClient().open()
            assert "Too many open files" in caught.value.why

    asyncio.run(run())


def unasked(data_dir: Path, address: str) -> Known | None:
    raise AssertionError("no need to ask")


def listed(tmp_path: Path, address: str, data_dir: str, pid: int, started: int = 0) -> None:
    (tmp_path / "farmd").mkdir(exist_ok=True, mode=0o700)
    entry = {"address": address, "data_dir": data_dir, "pid": pid, "started": started}
    (tmp_path / "farmd" / f"{address}.json").write_text(json.dumps(entry))


def test_daemon_that_does_not_run_is_unreachable_at_once(tmp_path: Path) -> None:
    with pytest.raises(Unreachable) as caught:
        Client(tmp_path)
    assert f"farmd init --data-dir {tmp_path};" in caught.value.hint
    assert f"farmd join --data-dir {tmp_path} TOKEN;" in caught.value.hint
    (tmp_path / "identity.key").touch()
    with pytest.raises(Unreachable) as caught:
        Client(tmp_path)
    assert f"farmd run --data-dir {tmp_path};" in caught.value.hint
    assert "init" not in caught.value.hint


@pytest.mark.parametrize("named", [None, "system", "system/inner"])
def test_daemon_of_others_is_not_allowed_and_names_the_group(
    monkeypatch: pytest.MonkeyPatch, named: str | None
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        closed = Path(folder, "system")
        closed.mkdir()
        (closed / "client.sock").touch()
        Path(folder).chmod(0o755)
        closed.chmod(0)
        monkeypatch.setattr("protocol.targets.default_data_dirs", lambda: (Path(folder, "own"), closed))
        was = os.geteuid()
        try:
            if was == 0:
                os.seteuid(65534)
            with pytest.raises(NotAllowed) as caught:
                find_target(Path(folder, named) if named else None, unasked)
        finally:
            os.seteuid(was)
            closed.chmod(0o700)
    assert "the group farm" in caught.value.why
    assert "usermod" in caught.value.hint


def test_default_data_dir_is_the_systems_for_root_and_the_users_own_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FARM_DATA_DIR")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/ada")
    own, system = Path("/home/ada/.local/share/farmd"), Path("/var/lib/farmd")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert places.default_data_dirs() == (own, system)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert places.default_data_dirs() == (system, own)


def test_named_node_comes_from_the_environment(own: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_DATA_DIR", "/nowhere")
    monkeypatch.setenv("FARM_NODE", str(tmp_path / "own"))
    with Client() as client:
        assert client.call("x") == ["x", {}]


@pytest.mark.parametrize("listen", ["127.0.0.1:7001", "0.0.0.0:7001"])
@pytest.mark.parametrize("named", ["127.0.0.1:7001", "localhost:7001"])
def test_address_of_a_daemon_on_this_machine_leads_to_its_socket(
    own: Daemon, tmp_path: Path, listen: str, named: str
) -> None:
    listed(tmp_path, listen, str(tmp_path / "own"), os.getpid())
    assert find_target(named, unasked).endpoint == f"ipc://{tmp_path}/own/client.sock"


def test_entries_of_killed_daemons_are_struck_also_when_their_numbers_are_in_use_again(tmp_path: Path) -> None:
    begun = places.process_start(os.getpid())
    with subprocess.Popen(["true"]) as dead:
        os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)  # nobody has asked for its end yet
        listed(tmp_path, "127.0.0.1:7001", "/a", os.getpid(), begun)
        listed(tmp_path, "127.0.0.1:7002", "/b", os.getpid(), begun - 1)
        listed(tmp_path, "127.0.0.1:7003", "/c", dead.pid)
        listed(tmp_path, "127.0.0.1:7004", "/d", 2**22 + 1)
        assert [daemon.data_dir for daemon in places.running_daemons()] == ["/a"]
    assert [entry.name for entry in (tmp_path / "farmd").iterdir()] == ["127.0.0.1:7001.json"]


def test_stale_or_damaged_entries_are_ignored(own: Daemon, tmp_path: Path) -> None:
    listed(tmp_path, "127.0.0.1:7001", str(tmp_path / "gone"), 2**22 + 1)
    (tmp_path / "farmd" / "damaged.json").write_text("{")
    with pytest.raises(Unreachable):
        find_target("127.0.0.1:7001", unasked)


def test_remote_node_is_spoken_to_with_its_key_and_ours(tmp_path: Path, daemons: Callable[..., Daemon]) -> None:
    public, secret = (z85.decode(key) for key in zmq.curve_keypair())
    remote = daemons("tcp://127.0.0.1:*", secret_key=secret)
    daemons(f"ipc://{tmp_path}/own/client.sock", lambda r: [Response(r.id, {"public_key": public})])
    _own_key(tmp_path)
    with Client(remote.address) as client:
        assert client.call("farm.status") == ["farm.status", {}]
        assert client.target.remote


def test_a_node_that_is_named_is_dialled_where_the_farm_reaches_it(
    tmp_path: Path, daemons: Callable[..., Daemon]
) -> None:
    public, secret = (z85.decode(key) for key in zmq.curve_keypair())
    remote = daemons("tcp://127.0.0.1:*", secret_key=secret)
    told = {"public_key": public, "address": remote.address}
    local = daemons(f"ipc://{tmp_path}/own/client.sock", lambda r: [Response(r.id, told)])
    _own_key(tmp_path)
    with Client("ws08:7777") as client:
        assert client.call("farm.status") == ["farm.status", {}]
        assert client.target.name == "ws08:7777"
    assert [request.args["address"] for request in local.heard] == ["ws08:7777"]


def test_a_host_that_no_node_is_called_by_is_looked_for_by_its_addresses(tmp_path: Path) -> None:
    _own_key(tmp_path)
    asked: list[str] = []

    def key_of(data_dir: Path, address: str) -> Known | None:
        asked.append(address)
        if address == "127.0.0.1:7000":
            return Known(bytes(32), address)
        raise NotFound(f"no node listens at {address}", "", "")

    assert find_target("localhost:7000", key_of).endpoint == "tcp://127.0.0.1:7000"
    assert asked[0] == "localhost:7000"
    with pytest.raises(NotFound, match=r"no node listens at 127\.0\.0\.9:7000"):
        find_target("127.0.0.9:7000", key_of)
    assert asked[-1] == "127.0.0.9:7000"


def test_own_key_of_a_person_goes_before_that_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    _own_key(tmp_path)
    machine = find_target("ws07:7000", lambda *_: Known(bytes(32)))
    assert machine.own_name.endswith(f"@{socket.gethostname().partition('.')[0]}")
    public, secret = new_key_pair()
    places.user_key_path().parent.mkdir(parents=True)
    places.write_secret(places.user_key_path(), places.format_key_file(public, secret))
    person = find_target("ws07:7000", lambda *_: Known(bytes(32)))
    assert (person.own_keys, person.own_name) == ((public, secret), "")
    places.user_key_path().chmod(0o644)
    with pytest.raises(UserError, match="is not secret"):
        find_target("ws07:7000", lambda *_: Known(bytes(32)))


def test_a_person_whose_key_may_be_unknown_is_told_so_and_how_to_make_another(
    tmp_path: Path, daemons: Callable[..., Daemon]
) -> None:
    public, secret = (z85.decode(key) for key in zmq.curve_keypair())
    remote = daemons("tcp://127.0.0.1:*", secret_key=secret)
    daemons(f"ipc://{tmp_path}/own/client.sock", lambda r: [Response(r.id, {"public_key": public})])
    _own_key(tmp_path)
    with Client(remote.address, timeout_s=0.1) as machine, pytest.raises(Unreachable) as caught:
        machine.call("silence")
    assert "user.key" not in caught.value.why
    places.user_key_path().parent.mkdir(parents=True)
    places.write_secret(places.user_key_path(), places.format_key_file(*new_key_pair()))
    with Client(remote.address, timeout_s=0.1) as person, pytest.raises(Unreachable) as caught:
        person.call("silence")
    assert caught.value.why.endswith(f"or it does not know the key in {places.user_key_path()}")
    assert caught.value.hint.startswith("if that key was revoked: farmctl user key --new")
    places.write_secret(places.user_key_path(), "nonsense")
    with pytest.raises(UserError, match="is damaged") as damaged:
        find_target("ws07:7000", lambda *_: Known(bytes(32)))
    assert damaged.value.hint.endswith("farmctl user key --new")


@pytest.mark.parametrize("answer", [None, {}, {"public_key": b"short"}, {"public_key": "text"}])
def test_remote_node_without_a_known_key_is_unreachable(
    tmp_path: Path, daemons: Callable[..., Daemon], answer: Any
) -> None:
    daemons(f"ipc://{tmp_path}/own/client.sock", lambda r: [Response(r.id, answer)])
    _own_key(tmp_path)
    with pytest.raises(Unreachable, match="cannot talk to ws07:7000"):
        Client("ws07:7000")


def test_remote_node_without_own_keys_or_daemon_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="cannot talk") as caught:
        Client("ws07:7000")
    assert "no key" in caught.value.why
    _own_key(tmp_path)
    with pytest.raises(Unreachable, match="cannot talk") as caught:
        Client("ws07:7000")
    assert "not running" in caught.value.why


def _own_key(tmp_path: Path) -> None:
    path = tmp_path / "own" / "identity.key"
    path.write_text(places.format_key_file(*(z85.decode(key) for key in zmq.curve_keypair())))
    path.chmod(0o600)


def test_runtime_dir_that_others_can_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "farmd").mkdir()
    (tmp_path / "farmd").chmod(0o777)
    with pytest.raises(UserError, match="not safe"):
        places.user_runtime_dir()
    assert list(places.running_daemons()) == []


def test_zmq_and_asyncio_are_not_imported_before_they_are_needed() -> None:
    code = "import sys, protocol.client; sys.exit('zmq' in sys.modules or 'asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- the wire -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        Request(1, "job.show", {"job": "x", "n": [1, None, b"b"]}),
        Response(1, {"a": 1}),
        Response(2, None, (5, "a", "b", "c")),
    ],
)
def test_message_survives_the_way(message: Request | Response) -> None:
    if isinstance(message, Request):
        assert unpack_request(pack_request(message)) == message
    else:
        assert unpack_response(pack_response(message)) == message
        assert pack_response(message) == msgpack.packb((API_VERSION, *message))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\x91\x01",
        b"\x94\x01\xff\xa1x\x80",
        b"\x94\x01\x01\xa0\x80",
        b"\x94\x01\x01\x05\x80",
        b"\x94\x01\x01\xa1x\x81\x01\x01",
        b"\x94\x01\x01\xa1x\x90",
        b"\x94\x01\x01\xd9\x41" + b"x" * 65 + b"\x80",
        b"\0" * (MAX_API_BYTES + 1),
    ],
)
def test_bytes_that_are_no_request_are_refused(data: bytes) -> None:
    with pytest.raises(PeerError):
        unpack_request(data)


def test_request_of_another_version_is_named_as_such() -> None:
    with pytest.raises(VersionError):
        unpack_request(b"\x94\x02\x01\xa1x\x80")


@pytest.mark.parametrize(
    "data", [b"\x90", b"\x95\x01\x01\x01\x91\x01\xc2", b"\x95\x01\x01\x01\xc0\x01", b"\x95\x01\xc0\x01\xc0\xc2"]
)
def test_bytes_that_are_no_response_are_refused(data: bytes) -> None:
    with pytest.raises(PeerError):
        unpack_response(data)


def test_field_that_a_newer_version_adds_is_ignored() -> None:
    assert unpack_request(b"\x97\x01\x01\xa1x\x80\xa0\xa0\x07") == Request(1, "x", {})


def test_response_that_is_not_plain_data_is_our_own_bug() -> None:
    with pytest.raises(InvariantBroken):
        pack_response(Response(1, object()))
    with pytest.raises(InvariantBroken):
        pack_response(Response(1, b"x" * (MAX_API_BYTES + 1)))


def test_code_without_a_class_keeps_its_number() -> None:
    assert error_of((42, "a", "b", "c")).code == 42
