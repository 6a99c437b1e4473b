"""People, on real daemons: roles at every door, tokens, keys of people, and who is named in every log."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from protocol.client import Client, new_key_pair
from protocol.errors import NotAllowed, Unreachable, UserError
from protocol.places import format_key_file, user_key_path, write_secret
from tests.e2e.farm import Member, free_port, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.farm import Farm

pytestmark = pytest.mark.e2e


def as_person(member: Member, name: str) -> Client:
    return Client(member.data_dir, acting_for=name)


def actors(member: Member, what: str) -> set[str]:
    return {event["actor"] for event in member.events() if event["what"] == what}


def refused(call: object) -> NotAllowed:
    with pytest.raises(NotAllowed) as error:
        call()  # type: ignore[operator]
    return error.value


def test_a_role_holds_on_every_node_and_every_log_names_the_person(farm: Farm) -> None:
    a, b = farm.start("a", "b")
    assert a.ctl("user", "add", "anna").returncode == 0
    assert a.ctl("user", "add", "ben", "--role", "wrangler").returncode == 0
    until(lambda: len(b.ask("user.list")["users"]) == 3, "b knows them")
    job = a.submit("--command", "sleep 60", "--frames", "1-3")
    until(lambda: b.job(job), "b knows the job")
    with as_person(b, "anna") as anna, as_person(b, "ben") as ben:
        error = refused(lambda: anna.call("job.control", job=job, action="pause"))
        assert error.what == f"anna may not pause job {job}"
        assert b.state(job) != "paused"
        assert ben.call("job.control", job=job, action="pause")["state"] == "paused"
        refused(lambda: anna.call("node.hold"))
        refused(lambda: anna.call("user.role", name="anna", role="admin"))
        refused(lambda: anna.call("user.check", token="farm_x"))
        assert anna.call("user.me") == {"schema": "farm.me.v1", "user": "anna", "role": "artist", "actor": "anna"}
    until(lambda: actors(a, "pause") == {"ben"}, "a's log names ben")
    assert actors(b, "pause") == {"ben"}


def test_a_token_is_good_at_every_node_until_it_is_revoked(farm: Farm) -> None:
    a, b = farm.start("a", "b")
    a.ctl_json("user", "add", "anna", "--role", "viewer")
    made = a.ctl_json("user", "token", "anna", "--label", "laptop")
    checked = until(lambda: b.ask("user.check", token=made["token"]), "b knows the token")
    assert checked == {"user": "anna", "role": "viewer"}
    assert made["token"].encode() not in b"".join(path.read_bytes() for path in b.data_dir.glob("*.db*"))
    assert b.ctl("user", "revoke", "anna", made["id"]).returncode == 0

    def is_refused() -> bool:
        with suppress(NotAllowed):
            a.ask("user.check", token=made["token"])
            return False
        return True

    until(is_refused, "a knows that it was revoked")


def test_a_persons_key_asks_a_remote_node_with_that_persons_role_until_it_is_revoked(
    farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = farm.start("a", "b")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("FARM_DATA_DIR", str(a.data_dir))
    monkeypatch.setattr("protocol.targets.running_daemons", lambda: iter(()))  # as on a machine far from b
    a.ctl_json("user", "add", "anna")
    public, secret = new_key_pair()
    user_key_path().parent.mkdir(parents=True)
    write_secret(user_key_path(), format_key_file(public, secret))

    by_name = b.address.replace("127.0.0.1", "b")
    with Client(b.address, timeout_s=1.0) as stranger, pytest.raises(Unreachable) as unknown:
        stranger.call("user.me")
    assert "does not know the key" in unknown.value.why
    made = a.ctl_json("user", "key", "anna", "--public", public.hex())

    def hears() -> dict[str, str]:
        with Client(b.address, timeout_s=1.0) as anna:
            answer: dict[str, str] = anna.call("user.me")
            return answer

    assert until(hears, "b knows the key") == {
        "schema": "farm.me.v1", "user": "anna", "role": "artist", "actor": "anna",
    }  # fmt: skip
    job = a.submit("--command", "sleep 60", "--frames", "1-3")
    until(lambda: b.job(job), "b knows the job")
    with Client(by_name) as anna:
        refused(lambda: anna.call("job.control", job=job, action="pause"))
        refused(lambda: anna.call("user.check", token="farm_x"))
        a.ctl_json("user", "role", "anna", "wrangler")
        until(lambda: anna.call("user.me")["role"] == "wrangler", "b knows the role")
        assert anna.call("job.control", job=job, action="pause")["state"] == "paused"
        until(lambda: actors(a, "pause") == {"anna"}, "a's log names anna")
        a.ctl_json("user", "revoke", "anna", made["id"])

        def is_silent() -> bool:
            with suppress(Unreachable):
                anna.timeout_s = 0.5
                anna.call("user.me")
                return False
            return True

        until(is_silent, "the open connection is good for nothing")


def test_another_machines_key_still_does_everything_and_the_log_names_who_used_it(
    farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = farm.start("a", "b")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("FARM_DATA_DIR", str(a.data_dir))
    monkeypatch.setattr("protocol.targets.running_daemons", lambda: iter(()))
    with Client(b.address) as client:
        assert client.target.remote
        client.call("node.hold", why="I work here")
        with (
            pytest.raises(UserError, match="may not ask in the name of anna"),
            Client(b.address, acting_for="anna") as x,
        ):
            x.call("user.me")
    assert actors(b, "hold") == {client.target.own_name}
    assert client.target.own_name


def test_an_evicted_machine_is_silenced_at_once_and_for_ever(farm: Farm) -> None:
    a, b, c = farm.start("a", "b", "c")
    job = a.submit("--command", "sleep 0.2", "--frames", "1-30")
    until(lambda: a.job(job)["done"] >= 3, "some frames are done")
    evicted = c.id
    done = a.ctl_json("node", "evict", "c", "-y", "--why", "sold")
    assert (done["node"], done["changed"]) == (evicted, True)
    for other in (a, b):
        until(lambda other=other: other.alive() == {"a", "b"}, f"{other.name} knows that c is gone")  # type: ignore[misc]
    until(lambda: a.state(job) == "completed", "the rest is rendered by the others")
    told = [event for event in b.events() if event["what"] == "evict"]
    assert [event["text"] for event in told] == ["c: sold"]
    before = a.ask("farm.status")["as_of_ms"]
    stray = c.submit("--command", "true", "--frames", "1")
    c.stop()
    c.start()
    until(lambda: a.ask("farm.status")["as_of_ms"] > before + 4000, "c had time to knock")
    assert (a.alive(), b.alive()) == ({"a", "b"}, {"a", "b"})
    assert stray not in [row["id"] for row in a.ask("job.list")["jobs"]]
    with pytest.raises(UserError, match="cannot be evicted from here"):
        a.ask("node.evict", node="a")


def test_a_dead_machine_is_replaced_by_one_that_delivers_in_its_place(farm: Farm, tmp_path: Path) -> None:
    a, b, c = farm.start("a", "b", "c")
    out = tmp_path / "out"
    out.mkdir()
    line = "sh -c 'sleep 0.3; echo {frame} > {output}'"
    job = c.submit("--command", line, "--frames", "1-40", "--output", str(out), "--output-name", "f.{frame:04d}.txt")
    until(lambda: a.job(job)["done"] >= 5, "some frames are done")
    c.kill()
    until(lambda: a.ask("node.show", node="c")["state"] == "lost", "a gives c up", within_s=60)
    assert a.ctl_json("node", "replace", "c", "a", "-y")["by_name"] == "a"
    until(lambda: a.state(job) == "completed", "the rest is rendered", within_s=90)
    until(lambda: len(list(out.glob("f.*.txt"))) == 40, "all are delivered", within_s=60)
    assert b.job(job)["state"] == "completed"


@pytest.mark.slow
def test_a_second_admin_machine_invites_and_a_rotated_key_does_not_any_more(farm: Farm, tmp_path: Path) -> None:
    a, b = farm.start("a", "b")
    old = farm.farmd("invite", "--data-dir", str(a.data_dir), "--address", a.address).stdout.strip()
    made = farm.farmd("farm", "key", "new", "--data-dir", str(b.data_dir), "--label", "second admin")
    assert made.returncode == 0, made.stderr
    rotated = farm.farmd("farm", "key", "rotate", "--data-dir", str(a.data_dir))
    assert rotated.returncode == 0, rotated.stderr
    until(lambda: [row["good"] for row in b.ask("signer.list")["signers"]].count(True) == 2, "b knows both")

    told = farm.farmd("invite", "--data-dir", str(b.data_dir), "--uses", "1", "-o", "json", "--address", b.address)
    invited = json.loads(told.stdout)
    assert (invited["schema"], invited["uses"], invited["seeds"]) == ("farm.invite.v1", 1, [b.address])
    for name, token in (("c", invited["token"]), ("d", invited["token"]), ("e", old)):
        assert farm.farmd("join", "--data-dir", str(tmp_path / name), token).returncode == 0
    c, d, e = (Member(farm, name, f"127.0.0.1:{free_port()}") for name in "cde")
    for member in (c, d, e):
        member.data_dir = tmp_path / member.name
        farm.members[member.name] = member
    c.start()
    until(lambda: a.alive() == {"a", "b", "c"}, "c was admitted by the second machine's token")
    d.launch()
    e.launch()
    until(lambda: "good for 1 machine" in d.printed(), "the token is spent")
    until(lambda: "not good" in e.printed(), "the old key admits nobody")
    assert a.alive() == {"a", "b", "c"}


def test_a_sealed_backup_gives_the_key_back_to_a_machine_that_lost_it(farm: Farm, tmp_path: Path) -> None:
    data_dir = tmp_path / "a"
    assert farm.farmd("init", "--data-dir", str(data_dir)).returncode == 0
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse battery\n")
    backup, words = tmp_path / "key.backup", ("--passphrase-file", str(secret), "--data-dir", str(data_dir))
    assert farm.farmd("farm", "key", "backup", *words, str(backup)).returncode == 0
    assert backup.stat().st_mode & 0o777 == 0o600
    kept = (data_dir / "farm.key").read_bytes()
    (data_dir / "farm.key").unlink()
    assert farm.farmd("invite", "--data-dir", str(data_dir)).returncode == 6
    assert farm.farmd("farm", "key", "restore", *words, str(backup)).returncode == 0
    assert (data_dir / "farm.key").read_bytes() == kept
