"""Who gets in: holders of a good token of this farm, and nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.farm import Farm, free_port, until

if TYPE_CHECKING:
    from pathlib import Path


def test_node_of_another_farm_can_neither_join_nor_talk(farm: Farm, tmp_path: Path) -> None:
    (a,) = farm.start("a")
    with Farm(tmp_path / "other") as other:
        # Its token is its own farm's, its address is ours; and it is told to look for us.
        stranger = other.add("stranger", "--join", a.address)
        other.start("stranger")
        token = other.invite()
        data_dir = str(tmp_path / "other" / "second")
        assert other.farmd("join", "--data-dir", data_dir, token).returncode == 0
        second = other.add("impostor", "--join", a.address)
        stranger.stop()
        second.launch()
        until(
            lambda: "not admitted yet: no node of the farm answered" in second.printed(), "the impostor has asked all"
        )

        job = a.submit("--command", "true", "--frames", "1-3")
        until(lambda: a.state(job) == "completed", "our farm works on")

        assert a.alive() == {"a"}
        assert [node["name"] for node in a.status()["nodes"]] == ["a"]
        assert second.status()["jobs"]["total"] == 0
        until(lambda: "not-admitted" in [event["what"] for event in second.events()], "its own log tells")
        (check,) = [check for check in second.ask("doctor")["checks"] if check["name"] == "admitted"]
        assert (check["ok"], check["text"].startswith("not yet: no node of the farm answered")) == (False, True)


def test_token_that_is_damaged_or_expired_is_refused_in_three_lines(farm: Farm, tmp_path: Path) -> None:
    (a,) = farm.start("a")
    token = farm.invite()
    damaged = token[:-6] + ("A" if token[-6] != "A" else "B") + token[-5:]
    for bad, word in ((damaged, "damaged"), (farm.invite(valid_s=-1.0), "expired"), ("nonsense", "token")):
        refused = farm.farmd("join", "--data-dir", str(tmp_path / "x"), bad)
        assert refused.returncode != 0
        assert [line.partition(":")[0].strip() for line in refused.stderr.splitlines()] == ["error", "why", "try"]
        assert word in refused.stderr
        assert not (tmp_path / "x").exists()
    assert a.alive() == {"a"}


def test_second_founding_and_second_farm_are_refused(farm: Farm, tmp_path: Path) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    assert farm.farmd("init", "--data-dir", str(first)).returncode == 0
    again = farm.farmd("init", "--data-dir", str(first))
    assert (again.returncode != 0, len(again.stderr.splitlines())) == (True, 3)
    assert farm.farmd("init", "--data-dir", str(second)).returncode == 0
    token = farm.farmd("invite", "--data-dir", str(first), "--address", f"127.0.0.1:{free_port()}")
    assert len(token.stdout.split()) == 1
    joined = farm.farmd("join", "--data-dir", str(first), token.stdout.strip())
    assert "Traceback" not in joined.stderr
    unready = farm.farmd(
        "run", "--data-dir", str(tmp_path / "none"), "--join", "127.0.0.1:1", "--listen", "127.0.0.1:0"
    )
    assert (unready.returncode != 0, len(unready.stderr.splitlines())) == (True, 3)
