from __future__ import annotations

import asyncio
import grp
import json
import os
import pwd
import socket
import stat
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zmq

from farmd.adapters.client_door import GO_ON, Caller, ClientDoor
from farmd.adapters.client_door import accounts as accounts_module
from farmd.adapters.client_door import desk as desk_module
from farmd.adapters.client_door.accounts import Account, account_of
from farmd.adapters.zap import Zap
from farmd.core.events import ClientAsked, ClientLeft
from protocol.api import Request, Response, pack_request, unpack_response
from protocol.errors import NotAllowed, NotFound, PeerError, UserError
from protocol.places import find_socket, process_start
from tests.adapters.loopback import closing, run, until

if TYPE_CHECKING:
    from farmd.core.events import Event

CALLER = Caller("node ws07", same_user=False)


@pytest.fixture(autouse=True)
def own_runtime_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("protocol.places.SYSTEM_RUNTIME_DIR", tmp_path / "absent" / "farmd")
    return tmp_path


class Door:
    """A door with its ZAP handler, its events, and a bare client."""

    def __init__(self, data_dir: Path, **options: Any) -> None:
        self.zap = Zap()
        closing(self.zap.close)
        self.zap.start()
        self.events: list[Event] = []
        self.door = ClientDoor(self.zap.context, data_dir, self.events.append, **options)
        closing(self.door.close)
        self.path = self.door.start("127.0.0.1:7001")
        self.dealer = self.zap.context.socket(zmq.DEALER)
        closing(self.dealer.close)
        self.dealer.connect(f"ipc://{find_socket(data_dir)}")

    def ask(self, number: int, op: str, **args: Any) -> None:
        self.dealer.send(pack_request(Request(number, op, args)))

    async def asked(self, count: int = 1) -> list[ClientAsked]:
        await until(lambda: len([e for e in self.events if isinstance(e, ClientAsked)]) >= count)
        return [e for e in self.events if isinstance(e, ClientAsked)]

    async def response(self) -> Response:
        await until(lambda: self.dealer.poll(0))
        return unpack_response(self.dealer.recv())


def test_request_becomes_an_event_with_the_kernels_word_on_who_asks(tmp_path: Path) -> None:
    async def story() -> None:
        door = Door(tmp_path)
        door.ask(1, "farm.status", job="abc")
        (asked,) = await door.asked()
        assert (asked.op, asked.args, asked.same_user) == ("farm.status", {"job": "abc"}, True)
        user, _, host = asked.actor.partition("@")
        assert user == __import__("pwd").getpwuid(os.getuid()).pw_name
        assert host == socket.gethostname().partition(".")[0]
        door.door.reply(asked.client, {"jobs": [1, b"x"]})
        assert await door.response() == Response(1, {"jobs": [1, b"x"]})
        door.door.reply(asked.client, "again")
        door.ask(2, "x")
        await door.asked(2)
        assert not door.dealer.poll(0), "answered once"

    run(story())


def test_error_reply_carries_code_what_why_and_hint(tmp_path: Path) -> None:
    async def story() -> None:
        door = Door(tmp_path)
        door.ask(1, "job.show")
        (asked,) = await door.asked()
        door.door.reply(asked.client, error=(5, "no such job", "why", "hint"))
        assert (await door.response()).error == (5, "no such job", "why", "hint")

    run(story())


def test_stream_goes_on_until_its_last_part_or_the_clients_farewell(tmp_path: Path) -> None:
    async def story() -> None:
        door = Door(tmp_path)
        door.ask(1, "farm.follow")
        (asked,) = await door.asked()
        for n in range(3):
            door.door.reply(asked.client, n, more=True)
        assert [(await door.response())[1:] for _ in range(3)] == [(n, None, True) for n in range(3)]
        door.ask(0, "cancel", id=1)
        await until(lambda: ClientLeft(asked.client) in door.events)

    run(story())


def test_client_that_vanished_is_noticed_at_the_next_part(tmp_path: Path) -> None:
    async def story() -> None:
        door = Door(tmp_path)
        door.ask(1, "farm.follow")
        (asked,) = await door.asked()
        door.dealer.close()

        def left() -> bool:
            door.door.reply(asked.client, "more", more=True)
            return ClientLeft(asked.client) in door.events

        await until(left)

    run(story())


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x90", b"hello", pack_request(Request(1, "x", {}))[:-1] + b"\x91"])
def test_bad_request_is_answered_with_code_2_and_counted(tmp_path: Path, data: bytes) -> None:
    async def story() -> None:
        door = Door(tmp_path)
        door.dealer.send(data)
        response = await door.response()
        assert response.error is not None
        assert response.error[0] == 2
        assert door.door.desk.bad == 1
        door.ask(2, "farm.status")
        assert await door.asked()

    run(story())


def test_number_that_is_in_flight_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        door = Door(tmp_path)
        door.ask(1, "a")
        door.ask(1, "b")
        response = await door.response()
        assert response.error is not None
        assert "in flight" in response.error[1]

    run(story())


def test_more_requests_than_the_desk_holds_are_told_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "MAX_WAITING", 1)

    async def story() -> None:
        door = Door(tmp_path)
        door.ask(1, "a")
        door.ask(2, "b")
        response = await door.response()
        assert (response.id, response.error is not None and response.error[1]) == (2, "the daemon is busy")

    run(story())


def test_answer_that_cannot_be_sent_becomes_an_error(tmp_path: Path) -> None:
    async def story() -> None:
        door = Door(tmp_path)
        for n, data in enumerate((object(), "x" * (5 << 20))):
            door.ask(n, "a")
            door.door.reply((await door.asked(n + 1))[n].client, data)
            response = await door.response()
            assert response.error is not None
            assert response.error[1] == "the answer cannot be sent"

    run(story())


# -- local handlers -----------------------------------------------------------------------------------------------


def test_local_handler_answers_without_an_event(tmp_path: Path) -> None:
    async def put(asked: ClientAsked) -> int:
        return len(asked.args["data"])

    async def story() -> None:
        door = Door(tmp_path, handlers={"blob.put": put})
        door.ask(1, "blob.put", address="a", offset=0, data=b"x" * (1 << 20))
        assert await door.response() == Response(1, 1 << 20)
        assert door.events == []

    run(story())


def test_local_handler_that_only_prepares_hands_the_request_on_when_it_is_done(tmp_path: Path) -> None:
    ready = asyncio.Event()

    async def prepare(asked: ClientAsked) -> object:
        await ready.wait()
        return GO_ON

    async def story() -> None:
        door = Door(tmp_path, handlers={"job.submit": prepare})
        door.ask(1, "job.submit", spec=b"x")
        door.ask(2, "farm.status")
        (other,) = await door.asked()
        assert other.op == "farm.status"
        ready.set()
        _, asked = await door.asked(2)
        assert (asked.op, asked.args) == ("job.submit", {"spec": b"x"})
        door.door.reply(asked.client, {"job": "j"})
        assert await door.response() == Response(1, {"job": "j"})

    run(story())


def test_request_of_a_client_that_left_while_it_was_prepared_goes_no_further(tmp_path: Path) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def prepare(asked: ClientAsked) -> object:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return GO_ON

    async def story() -> None:
        door = Door(tmp_path, handlers={"job.submit": prepare})
        door.ask(1, "job.submit")
        await begun.wait()
        door.ask(0, "cancel", id=1)
        await ended.wait()
        door.ask(2, "farm.status")
        assert [asked.op for asked in await door.asked()] == ["farm.status"]

    run(story())


@pytest.mark.parametrize(
    ("error", "code", "what"),
    [
        (NotFound("no such blob"), 5, "no such blob"),
        (UserError("disk full", code=1), 1, "disk full"),
        (PeerError("offset is text"), 2, "the request makes no sense"),
        (KeyError("data"), 1, "the daemon made a mistake"),
    ],
)
def test_local_handler_that_fails_answers_with_its_error(
    tmp_path: Path, error: Exception, code: int, what: str
) -> None:
    async def put(asked: ClientAsked) -> None:
        raise error

    async def story() -> None:
        door = Door(tmp_path, handlers={"blob.put": put})
        door.ask(1, "blob.put")
        response = await door.response()
        assert response.error is not None
        assert response.error[:2] == (code, what)

    run(story())


def test_local_handlers_run_a_few_at_a_time(tmp_path: Path) -> None:
    running, most = 0, 0
    gate = asyncio.Event()

    async def put(asked: ClientAsked) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1

    async def story() -> None:
        door = Door(tmp_path, handlers={"blob.put": put})
        for n in range(20):
            door.ask(n, "blob.put")
        await until(lambda: running == desk_module.HANDLERS_AT_ONCE)
        gate.set()
        for _ in range(20):
            await door.response()
        assert most == desk_module.HANDLERS_AT_ONCE

    run(story())


def test_cancelled_local_handler_stops(tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def put(asked: ClientAsked) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def story() -> None:
        door = Door(tmp_path, handlers={"blob.put": put})
        door.ask(1, "blob.put")
        await until(lambda: door.door.desk._tasks)
        await asyncio.sleep(0)
        door.ask(0, "cancel", id=1)
        await asyncio.wait_for(ended.wait(), 5)
        await until(lambda: not door.door.desk._tasks)
        assert door.events == []

    run(story())


def test_request_of_another_node_takes_the_same_way(tmp_path: Path) -> None:
    async def story() -> None:
        door = Door(tmp_path)
        answers: list[bytes] = []

        def answer(response: bytes) -> bool:
            answers.append(response)
            return True

        door.door.receive(pack_request(Request(4, "farm.status", {})), CALLER, answer)
        (asked,) = await door.asked()
        assert (asked.actor, asked.same_user) == ("node ws07", False)
        door.door.reply(asked.client, 1)
        assert unpack_response(answers[0]) == Response(4, 1)

    run(story())


def test_equal_numbers_of_two_connections_are_two_requests(tmp_path: Path) -> None:
    async def story() -> None:
        door = Door(tmp_path)
        other = door.zap.context.socket(zmq.DEALER)
        closing(other.close)
        other.connect(f"ipc://{door.path}")
        door.ask(1, "a")
        other.send(pack_request(Request(1, "b", {})))
        asked = {event.op: event.client for event in await door.asked(2)}
        other.send(pack_request(Request(0, "cancel", {"id": 1})))
        await until(lambda: ClientLeft(asked["b"]) in door.events)
        door.door.reply(asked["a"], "yes")
        assert await door.response() == Response(1, "yes")

    run(story())


def test_own_user_asks_in_the_name_of_a_person_with_no_more_than_that_persons_rights(tmp_path: Path) -> None:
    async def story() -> None:
        door = Door(tmp_path)
        door.dealer.send(pack_request(Request(1, "job.list", {}, acting_for="anna")))
        (asked,) = await door.asked()
        assert (asked.actor, asked.user, asked.proof, asked.same_user) == ("anna", "anna", "token", False)

    run(story())


def test_nobody_else_asks_in_the_name_of_others(tmp_path: Path) -> None:
    async def story() -> None:
        door = Door(tmp_path)
        for caller in (CALLER, Caller("ben@ws07", same_user=False, user="ben", proof="local")):
            answers: list[bytes] = []

            def answer(response: bytes, answers: list[bytes] = answers) -> bool:
                answers.append(response)
                return True

            door.door.receive(pack_request(Request(4, "job.list", {}, acting_for="anna")), caller, answer)
            error = unpack_response(answers[0]).error
            assert error is not None
            assert (error[0], error[1]) == (6, f"{caller.actor} may not ask in the name of anna")
        assert door.events == []

    run(story())


@pytest.mark.parametrize("name", ["Anna", "a b", "x" * 65, "*"])
def test_request_in_the_name_of_nobody_is_refused(tmp_path: Path, name: str) -> None:
    async def story() -> None:
        door = Door(tmp_path)
        door.dealer.send(pack_request(Request(1, "job.list", {}, acting_for=name)))
        error = (await door.response()).error
        assert error is not None
        assert error[0] == 2
        assert door.events == []

    run(story())


def test_another_node_is_believed_who_asked_there_and_a_person_is_not(tmp_path: Path) -> None:
    async def story() -> None:
        door = Door(tmp_path)
        data = pack_request(Request(4, "job.list", {}, said_by="anna@ws08"))
        door.door.receive(data, Caller("node b", same_user=False, vouches=True), lambda _response: True)
        door.door.receive(data, Caller("ben", same_user=False, user="ben", proof="key"), lambda _response: False)
        assert [asked.actor for asked in await door.asked(2)] == ["anna@ws08", "ben"]

    run(story())


def test_handler_is_asked_only_for_what_the_caller_may_do(tmp_path: Path) -> None:
    async def story() -> None:
        handled: list[str] = []

        async def handle(asked: ClientAsked) -> None:
            handled.append(asked.op)

        def check(asked: ClientAsked) -> None:
            if asked.args.get("bad"):
                raise NotAllowed("anna may not send files", "", "")

        door = Door(tmp_path, handlers={"blob.put": handle}, check=check)
        door.ask(1, "blob.put", bad=True)
        error = (await door.response()).error
        assert error is not None
        assert error[0] == 6
        assert handled == []
        door.ask(2, "blob.put")
        assert (await door.response()).error is None
        assert handled == ["blob.put"]

    run(story())


# -- who may come in ----------------------------------------------------------------------------------------------


def test_socket_and_data_dir_are_closed_to_others(tmp_path: Path) -> None:
    async def story() -> None:
        data_dir = tmp_path / "data"
        data_dir.mkdir(mode=0o700)
        door = Door(data_dir, group="")
        assert stat.S_IMODE(door.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700

    run(story())


def test_group_may_pass_but_not_look_around(tmp_path: Path) -> None:
    async def story() -> None:
        data_dir = tmp_path / "data"
        data_dir.mkdir(mode=0o700)
        door = Door(data_dir, group=grp.getgrgid(os.getgid()).gr_name)
        assert stat.S_IMODE(door.path.stat().st_mode) == 0o660
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o710

    run(story())


def as_others(door: Door) -> None:
    """Take whoever asks for somebody who is neither root nor the daemon's own user."""
    door.door._own_names.clear()


def looked_up(monkeypatch: pytest.MonkeyPatch, *, is_member: bool) -> list[int]:
    """Let every account be called anna; returns the user ids that were looked up."""
    asked: list[int] = []

    def account_of(uid: int, _gid: int | None) -> Account:
        asked.append(uid)
        return Account("anna", is_member)

    monkeypatch.setattr(accounts_module, "account_of", account_of)
    return asked


def test_own_user_and_root_are_no_persons_and_are_not_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_for = looked_up(monkeypatch, is_member=False)

    async def story() -> None:
        door = Door(tmp_path, group="")
        door.ask(1, "farm.status")
        (asked,) = await door.asked()
        assert (asked.user, asked.proof, asked.same_user) == ("", "", True)
        root = door.door._own_caller(0, "root")
        assert (root.user, root.may_act, root.same_user) == ("", True, os.getuid() == 0)
        assert set(door.door._own_names) == {0, os.getuid()}
        assert asked_for == []

    run(story())


@pytest.mark.parametrize("how", ["by membership", "by the group of the process"])
def test_member_of_the_group_is_who_the_kernel_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    looked_up(monkeypatch, is_member=how == "by membership")
    group = grp.getgrgid(os.getgid()).gr_name if how == "by the group of the process" else ""

    async def story() -> None:
        door = Door(tmp_path, group=group)
        as_others(door)
        door.ask(1, "farm.status")
        (asked,) = await door.asked()
        assert (asked.user, asked.proof, asked.same_user) == ("anna", "local", False)
        assert asked.actor.startswith("anna@")
        door.dealer.send(pack_request(Request(2, "farm.status", {}, acting_for="ben")))
        error = (await door.response()).error
        assert error is not None
        assert error[0] == 6

    run(story())


def test_user_who_is_not_served_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up(monkeypatch, is_member=False)

    async def story() -> None:
        door = Door(tmp_path, group="")
        as_others(door)
        door.dealer.send(b"junk")
        door.ask(1, "farm.status")
        response = await door.response()
        assert response.error is not None
        assert response.error[0] == 6
        assert response.error[3].startswith("sudo usermod --append --groups farm anna")
        assert door.events == []
        assert door.door.refused == 2

    run(story())


def test_an_account_is_looked_up_once_for_many_requests_and_again_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_for = looked_up(monkeypatch, is_member=True)

    async def story() -> None:
        door = Door(tmp_path)
        as_others(door)
        for number in range(50):
            door.ask(number, "blob.put")
        assert [asked.op for asked in await door.asked(50)] == ["blob.put"] * 50
        assert asked_for == [os.getuid()]
        uid, (_, account) = door.door._accounts._known.popitem()
        door.door._accounts._known[uid] = (0.0, account)
        door.ask(50, "farm.status")
        await door.asked(51)
        assert asked_for == [uid, uid]

    run(story())


def test_a_directory_of_accounts_that_says_nothing_holds_up_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()

    def slow(_uid: int, _gid: int | None) -> Account:
        answers.wait(20)
        return Account("anna", is_member=True)

    monkeypatch.setattr(accounts_module, "account_of", slow)
    monkeypatch.setattr(accounts_module, "MAX_WAITING", 3)

    async def story() -> None:
        closing(answers.set)
        door = Door(tmp_path)
        own_names = dict(door.door._own_names)
        as_others(door)
        for number in range(1, 5):
            door.ask(number, f"op {number}")
        refused = await door.response()
        assert refused.id == 4
        assert refused.error is not None
        assert refused.error[1:3] == ("the daemon is busy", "it waits for names of accounts")
        door.door._own_names.update(own_names)
        door.ask(5, "mine")
        assert [asked.op for asked in await door.asked()] == ["mine"]
        answers.set()
        assert [asked.op for asked in await door.asked(4)] == ["mine", "op 1", "op 2", "op 3"]

    run(story())


def test_a_user_for_whom_no_thread_was_left_once_is_answered_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    looked_for = looked_up(monkeypatch, is_member=True)

    async def story() -> None:
        door = Door(tmp_path)
        as_others(door)
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(accounts_module, "Thread", NoThread)
            door.ask(1, "op 1")
            refused = await door.response()
            assert refused.error is not None
            assert refused.error[1] == "the daemon is busy"
        door.ask(2, "op 2")
        assert [asked.op for asked in await door.asked()] == ["op 2"]
        assert len(looked_for) == 1

    run(story())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_look_up_that_breaks_off_is_answered_and_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([False, True])

    def account_of(_uid: int, _gid: int | None) -> Account:
        if next(looks):
            return Account("anna", is_member=True)
        raise MemoryError

    monkeypatch.setattr(accounts_module, "account_of", account_of)

    async def story() -> None:
        door = Door(tmp_path)
        door.door._gid = None
        as_others(door)
        door.ask(1, "op 1")
        refused = await door.response()
        assert refused.error is not None
        assert "may not use this farm" in refused.error[1]
        door.ask(2, "op 2")
        assert [asked.op for asked in await door.asked()] == ["op 2"]

    run(story())


def test_a_look_up_that_outlasts_the_door_serves_nobody_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    monkeypatch.setattr(accounts_module, "account_of", lambda *_: answers.wait(20) and Account("anna", is_member=True))

    async def story() -> None:
        closing(answers.set)
        door = Door(tmp_path)
        as_others(door)
        door.ask(1, "farm.status")
        accounts = door.door._accounts
        await until(lambda: accounts._waiting)
        door.door.close()
        answers.set()
        await until(lambda: accounts._known)
        assert door.events == []

    run(story())


def test_user_without_a_name_is_called_by_number_and_is_no_member() -> None:
    assert account_of(999_999, 0) == Account("uid 999999", is_member=False)


def test_account_of_the_system_is_a_member_of_its_own_group() -> None:
    own = pwd.getpwuid(os.getuid())
    assert account_of(own.pw_uid, own.pw_gid) == Account(own.pw_name, is_member=True)
    assert account_of(own.pw_uid, None) == Account(own.pw_name, is_member=False)


@pytest.mark.root
def test_account_that_is_really_another_one_is_known_by_its_name_and_has_no_more_rights() -> None:
    nobody = pwd.getpwnam("nobody")
    group = grp.getgrgid(nobody.pw_gid).gr_name

    async def story(data_dir: Path) -> None:
        door = Door(data_dir, group=group)
        child = os.fork()
        if child == 0:  # whoever asks, as another process with another uid
            os._exit(_ask_as(nobody.pw_uid, nobody.pw_gid, door.path))
        (asked,) = await door.asked()
        assert (asked.user, asked.proof, asked.same_user) == ("nobody", "local", False)
        assert asked.actor.startswith("nobody@")
        door.door.reply(asked.client, "yes")
        ended: list[int] = []

        def has_ended() -> bool:
            found = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG)
            ended.extend([found.si_status] if found is not None else [])
            return bool(ended)

        await until(has_ended)
        assert ended == [0]
        assert len(door.events) == 1, "what it asked in the name of anna came no further"

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # pytest's own folders are closed to others
        Path(folder).chmod(0o750)
        run(story(Path(folder)))


def _ask_as(uid: int, gid: int, path: Path) -> int:
    """Become somebody else, and ask twice: for oneself, and in the name of anna; 0 if both are answered rightly."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.connect(f"ipc://{path}")
        dealer.send(pack_request(Request(1, "job.list", {}, acting_for="anna")))
        refused = unpack_response(dealer.recv()) if dealer.poll(5000) else Response(0)
        dealer.send(pack_request(Request(2, "job.list", {})))
        answered = unpack_response(dealer.recv()) if dealer.poll(5000) else Response(0)
    return 0 if refused.error is not None and refused.error[0] == 6 and answered.data == "yes" else 1


# -- where the socket is ------------------------------------------------------------------------------------------


def test_long_data_dir_gets_a_short_socket_and_a_note(tmp_path: Path) -> None:
    async def story() -> None:
        data_dir = tmp_path / ("d" * 120)
        data_dir.mkdir()
        door = Door(data_dir)
        assert (data_dir / "client.addr").read_text().strip() == str(door.path)
        door.ask(1, "farm.status")
        assert await door.asked()
        door.door.close()
        assert not (data_dir / "client.addr").exists()
        assert not door.path.exists()

    run(story())


def test_socket_left_by_a_dead_daemon_is_replaced(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "client.sock"))
    left.close()

    async def story() -> None:
        door = Door(tmp_path)
        door.ask(1, "farm.status")
        assert await door.asked()

    run(story())


def test_second_daemon_in_one_data_dir_is_refused_and_disturbs_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        door = Door(tmp_path)
        with pytest.raises(UserError, match="runs already"):
            Door(tmp_path)
        door.ask(1, "farm.status")
        assert await door.asked()

    run(story())


def test_daemon_is_listed_while_it_runs(tmp_path: Path) -> None:
    async def story() -> None:
        door = Door(tmp_path)
        entry = tmp_path / "farmd" / "127.0.0.1:7001.json"
        assert json.loads(entry.read_text()) == {
            "address": "127.0.0.1:7001",
            "data_dir": str(tmp_path),
            "pid": os.getpid(),
            "started": process_start(os.getpid()),
        }
        door.door.close()
        assert not entry.exists()

    run(story())
