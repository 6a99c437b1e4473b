"""The runner with real processes: each way to end gives exactly one end, and nothing runs after it."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from farmd.adapters.runner import Laid
from farmd.adapters.runner.leftovers import MARK, Records, survivors
from farmd.adapters.runner.logtail import STAMP
from farmd.adapters.runner.process import Born, all_processes, read_stat, reap, spawn
from farmd.adapters.runner.room import paths_of
from farmd.core.effects import StartAttempt
from farmd.core.events import AttemptEnded
from farmd.renderers.images import inspect
from farmd.renderers.registry import Registry
from protocol.bodies import RendererFact
from protocol.errors import FarmError, NotFound
from protocol.jobspec import Limits
from protocol.pathrules import PathRule, platform_of
from protocol.states import FailureClass
from tests.adapters.runnerkit import Kit, address_of, ref_of, spec_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from farmd.renderers import RenderTask


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


def command(script: str, **given: Any) -> Any:
    """A job that runs a shell script: the shell is the program, the farm uses none."""
    return spec_of(command="/bin/sh -c {script}", params={"script": script}, **given)


def living(mark: str, under: Path) -> list[int]:
    """Processes of an attempt whose output goes below a folder: other tests name their attempts alike."""
    found = []
    for stat in all_processes():
        try:
            environ = Path(f"/proc/{stat.pid}/environ").read_bytes()
        except OSError:
            continue
        if f"{MARK}={mark}".encode() in environ.split(b"\0") and f"FARM_OUTPUT={under}".encode() in environ:
            found.append(stat.pid)
    return found


def test_no_op_ends_done_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)
        event = await kit.run(spec_of(command="/bin/true"))
        assert event == AttemptEnded(ref_of(), 0)
        assert kit.runner.running == ()
        await kit.runner.close()
        assert len(kit.ended) == 1

    run(scenario)


def test_output_is_verified_and_ingested(tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)
        spec = spec_of(command="cp {scene} {output}", scene="a.txt", output_name="out/{frame:04d}.txt")
        (kit.checkout_dir / "a.txt").write_text("hello")
        event = await kit.run(spec, (7,))
        assert event.cause == 0
        assert [(fact.name, fact.blob) for fact in event.outputs] == [
            ("out/0007.txt", address_of(kit.checkout_dir / "a.txt"))
        ]
        assert kit.blobs == {"0007.txt": b"hello"}
        await kit.runner.close()
        assert list((tmp_path / "work").iterdir()) == []

    run(scenario)


def test_large_output_is_ingested_whole(tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)
        event = await kit.run(spec_of(command="truncate -s 3M {output}", output_name="f{frame}.bin"), (1,))
        assert event.cause == 0
        assert event.outputs[0].blob.size == 3 << 20

    run(scenario)


def test_exit_code_0_without_the_promised_file_is_bad_output(tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)
        event = await kit.run(spec_of(command="/bin/true {output}", output_name="{frame:04d}.png"), (3,))
        assert event.cause == FailureClass.BAD_OUTPUT
        assert event.text == "0003.png was not written"

    run(scenario)


def test_what_a_failed_process_printed_steers_no_terminal_from_the_row(tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)
        event = await kit.run(command(r"printf '\033[31mError: \033]0;x\007red\033[0m\n'; exit 9"))
        assert event.text == "command: exit code 9: Error: red"
        assert "Error: red" in event.last_lines.splitlines()
        assert "\x1b" not in event.last_lines

    run(scenario)


def test_log_that_is_written_for_seconds_gets_times_beside_it_and_a_short_one_does_not(tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)
        await kit.run(command("echo one; sleep 2.5; echo two; sleep 1.2"))
        (log,) = (tmp_path / "logs").rglob("*.log")
        data = log.with_suffix(".times").read_bytes()
        pairs = list(STAMP.iter_unpack(data))
        assert pairs == sorted(pairs)
        text = log.read_bytes()
        first = next(at for at, size in pairs if size >= text.index(b"one\n") + 4)
        second = next(at for at, size in pairs if size >= text.index(b"two\n") + 4)
        assert 1_000 < second - first < 5_000
        assert pairs[-1][1] <= len(text)
        await kit.run(command("echo three"), (7,))
        assert len(list((tmp_path / "logs").rglob("*.times"))) == 1

    run(scenario)


def test_failed_process_names_its_last_telling_line(tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)
        event = await kit.run(command("echo working; echo 'Error: the lamp is broken' >&2; echo bye; exit 9"))
        assert event.cause == FailureClass.ERROR
        assert event.exit_code == 9
        assert event.text == "command: exit code 9: Error: the lamp is broken"
        assert "working" in event.last_lines
        assert "bye" in event.last_lines

    run(scenario)


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        ("kill -SEGV $$", FailureClass.CRASH),
        ("echo 'cp: No space left on device'; exit 1", FailureClass.DISK_FULL),
        ("echo 'ERROR: could not check out a license: all licenses in use'; exit 1", FailureClass.LICENSE),
        ("echo 'terminate called: std::bad_alloc'; exit 134", FailureClass.OOM),
        ("echo 'cannot open texture file wood.tx'; exit 1", FailureClass.MISSING_ASSET),
        ("echo '@farmd problem license no seat free'; exit 1", FailureClass.LICENSE),
        ("exit 1", FailureClass.ERROR),
    ],
)
def test_failure_is_classified_by_exit_and_last_lines(tmp_path: Path, script: str, cause: FailureClass) -> None:
    async def scenario() -> None:
        event = await Kit(tmp_path).run(command(script))
        assert event.cause == cause, event

    run(scenario)


def test_killed_without_evidence_of_the_kernel_is_a_crash_not_oom(tmp_path: Path) -> None:
    async def scenario() -> None:
        event = await Kit(tmp_path).run(command("kill -KILL $$"))
        assert (event.cause, event.exit_code) == (FailureClass.CRASH, -9)
        assert "SIGKILL" in event.text

    run(scenario)


def test_missing_program_is_start_failed(tmp_path: Path) -> None:
    async def scenario() -> None:
        event = await Kit(tmp_path).run(spec_of(command="no-such-program --x"))
        assert event.cause == FailureClass.START_FAILED
        assert "no-such-program" in event.text

    run(scenario)


def test_missing_renderer_is_start_failed(tmp_path: Path) -> None:
    async def scenario() -> None:
        event = await Kit(tmp_path).run(spec_of(renderer="vray"))
        assert event.cause == FailureClass.START_FAILED
        assert "no renderer 'vray'" in event.text

    run(scenario)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (NotFound("a file of the job is not here", "tex/wood.png"), FailureClass.MISSING_ASSET),
        (OSError(errno.ENOSPC, "No space left on device"), FailureClass.DISK_FULL),
        (FileNotFoundError(errno.ENOENT, "gone"), FailureClass.MISSING_ASSET),
    ],
)
def test_failing_checkout_is_one_end_with_its_class(tmp_path: Path, fault: Exception, cause: FailureClass) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)

        async def broken() -> None:
            raise fault

        kit.checkout = broken
        event = await kit.run(spec_of(command="/bin/true"))
        assert event.cause == cause
        assert len(kit.ended) == 1

    run(scenario)


def test_full_disk_of_the_blob_store_is_seen_through_its_wrapper(tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)
        wrapped = FarmError("cannot store")
        wrapped.__cause__ = OSError(errno.ENOSPC, "No space left on device")
        kit.ingest_fault = wrapped
        event = await kit.run(spec_of(command="truncate -s 1 {output}", output_name="{frame}.bin"))
        assert event.cause == FailureClass.DISK_FULL

    run(scenario)


def test_full_disk_of_the_node_is_disk_full(small_disk: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(small_disk / "data")
        event = await kit.run(spec_of(command="dd if=/dev/zero of={output} bs=64k count=64", output_name="{frame}.bin"))
        assert event.cause == FailureClass.DISK_FULL, event

    run(scenario)


def test_stop_ends_the_whole_group_and_carries_its_cause(tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)
        ref = kit.start(command("sleep 1000 & sleep 1000 & wait"))
        await kit.until(lambda: len(living(str(ref), tmp_path)) == 3)
        kit.stop(ref, FailureClass.SUPERSEDED)
        event = await kit.end_of(ref)
        assert event.cause == FailureClass.SUPERSEDED
        assert event.text == "a person asked"
        assert living(str(ref), tmp_path) == []
        assert "stopping it: a person asked" in kit.log(ref)

    run(scenario)


def test_process_that_ignores_the_request_is_killed_after_the_grace(tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)
        ref = kit.start(command("trap '' TERM; echo ready; while :; do sleep 0.05; done"))
        await kit.until(lambda: "ready\n" in kit.log(ref))
        kit.stop(ref, grace_s=0.2)
        event = await kit.end_of(ref)
        assert (event.cause, event.exit_code) == (FailureClass.CANCELLED, -signal.SIGKILL)
        assert living(str(ref), tmp_path) == []

    run(scenario)


def test_frozen_process_can_be_stopped(tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)
        ref = kit.start(command("kill -STOP $$; exit 0"))
        await kit.until(
            lambda: [pid for pid in living(str(ref), tmp_path) if (stat := read_stat(pid)) and stat.state == "T"]
        )
        kit.stop(ref)
        event = await kit.end_of(ref)
        assert event.cause == FailureClass.CANCELLED

    run(scenario)


def test_stop_during_checkout_ends_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)
        waiting = asyncio.Event()

        async def forever() -> None:
            waiting.set()
            await asyncio.Event().wait()

        kit.checkout = forever
        ref = kit.start(spec_of(command="/bin/true"))
        await waiting.wait()
        kit.stop(ref)
        event = await kit.end_of(ref)
        assert (event.cause, event.text) == (FailureClass.CANCELLED, "a person asked")

    run(scenario)


def test_stop_before_the_first_step_and_of_strangers_is_harmless(tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)
        kit.stop(ref_of(99))
        ref = kit.start(spec_of(command="/bin/true"))
        kit.stop(ref)
        kit.stop(ref)
        event = await kit.end_of(ref)
        assert event.cause == FailureClass.CANCELLED
        assert len(kit.ended) == 1

    run(scenario)


def test_background_child_does_not_outlive_the_frame(tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)
        event = await kit.run(command("sleep 1000 & exit 0"))
        assert event.cause == 0
        assert living(str(event.ref), tmp_path) == []

    run(scenario)


def test_frame_over_its_time_limit_is_a_timeout(tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)
        event = await kit.run(command("sleep 1000", limits=Limits(frame_timeout_s=1)))
        assert event.cause == FailureClass.TIMEOUT
        assert "over the time limit of 1 s" in event.text

    run(scenario)


def test_silent_and_idle_process_is_stuck(tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)
        event = await kit.run(command("sleep 1000", limits=Limits(silence_s=1)))
        assert event.cause == FailureClass.TIMEOUT
        assert "stuck" in event.text

    run(scenario)


def test_busy_process_is_not_called_stuck(tmp_path: Path) -> None:
    async def scenario() -> None:
        script = "for i in 1 2 3 4 5 6 7; do sleep 0.3; echo $i; done"
        event = await Kit(tmp_path).run(command(script, limits=Limits(silence_s=1)))
        assert event.cause == 0

    run(scenario)


def test_progress_is_read_from_the_log_while_it_runs(tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)
        ref = kit.start(command("echo '@farmd progress 0.5'; exec sleep 1000"))
        await kit.until(lambda: [event for event in kit.progress if event.progress == 0.5])
        assert kit.progress[-1].ram_bytes > 0
        kit.stop(ref)
        await kit.end_of(ref)

    run(scenario)


def test_peak_memory_is_measured_for_short_processes(tmp_path: Path) -> None:
    async def scenario() -> None:
        # more than this process itself, whose size the kernel counts for a child that has just begun
        event = await Kit(tmp_path).run(spec_of(command=f"{sys.executable} -c 'b = bytearray(900 << 20)'"))
        assert 900 << 20 <= event.peak_ram_bytes < 1000 << 20

    run(scenario)


def test_peak_memory_of_a_tiny_process_is_not_that_of_the_daemon(tmp_path: Path) -> None:
    async def scenario() -> None:
        ballast = bytearray(200 << 20)
        event = await Kit(tmp_path).run(spec_of(command="/bin/true"))
        assert event.peak_ram_bytes == 0, "not known, and surely not the daemon's own"
        assert ballast

    run(scenario)


def test_environment_names_the_work_and_hides_the_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    monkeypatch.setenv("DB_PASSWORD", "hidden")
    monkeypatch.setenv("RLM_LICENSE", "5053@server")

    async def scenario() -> None:
        kit = Kit(tmp_path)
        event = await kit.run(spec_of(command="env"), (5, 6), gpus=("GPU-1", "GPU-2"))
        lines = kit.log(event.ref).splitlines()
        for line in (
            "FARM_NODE=n07",
            "FARM_TASK=0",
            "FARM_FRAME=5",
            "FARM_END=6",
            "FARM_CORES=2",
            "CUDA_VISIBLE_DEVICES=GPU-1,GPU-2",
            "RLM_LICENSE=5053@server",
            f"FARM_JOB={event.ref.job}",
        ):
            assert line in lines
        assert not any(line.startswith(("NOTIFY_SOCKET", "DB_PASSWORD")) for line in lines)

    run(scenario)


def test_process_has_its_own_session_no_foreign_descriptor_and_a_higher_oom_score(tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)
        read, write = os.pipe()
        os.set_inheritable(write, True)
        script = (
            "ls -l /proc/self/fd; echo sid=$(cut -d' ' -f6 /proc/$$/stat) pid=$$; sleep 0.1; cat /proc/$$/oom_score_adj"
        )
        event = await kit.run(command(script))
        os.close(read)
        os.close(write)
        log = kit.log(event.ref)
        assert "pipe:" not in log
        line = next(line for line in log.splitlines() if line.startswith("sid="))
        sid, pid = (part.partition("=")[2] for part in line.split())
        assert sid == pid
        assert log.splitlines()[-1] == "200"

    run(scenario)


def test_values_with_quotes_and_semicolons_stay_inside_their_word(tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)
        nasty = "a b'; touch owned; $(touch owned) \"`"
        event = await kit.run(spec_of(command="printf '%s|' {word} end", params={"word": nasty}))
        assert event.cause == 0
        assert f"{nasty}|end|" in kit.log(event.ref)
        assert not (kit.checkout_dir / "owned").exists()

    run(scenario)


def test_chunk_with_frame_runs_one_process_per_frame_and_stops_at_the_first_failure(tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)
        spec = spec_of(command="/bin/sh -c 'echo frame {frame}; test {frame} -lt 3'")
        event = await kit.run(spec, (1, 2, 3, 4))
        assert event.exit_code == 1
        frames = [line for line in kit.log(event.ref).splitlines() if line.startswith("frame ")]
        assert frames == ["frame 1", "frame 2", "frame 3"]

    run(scenario)


def test_chunk_with_start_and_end_runs_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)
        event = await kit.run(spec_of(command="echo range {start} {end} {threads}"), (1, 2, 3))
        assert [line for line in kit.log(event.ref).splitlines() if line.startswith("range")] == ["range 1 3 2"]

    run(scenario)


def test_attempt_that_is_started_twice_runs_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)
        spec = command("echo started")
        kit.start(spec)
        event = await kit.run(spec)
        await kit.runner.close()
        assert kit.ended == [event]
        assert kit.log(event.ref).splitlines().count("started") == 1

    run(scenario)


def test_close_ends_everything(tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)
        refs = [kit.start(command("sleep 1000"), n=n) for n in (1, 2, 3)]
        await kit.until(lambda: all(living(str(ref), tmp_path) for ref in refs))
        await kit.runner.close(grace_s=0.5)
        assert [event.cause for event in kit.ended] == [FailureClass.NODE_LOST] * 3

    run(scenario)


class _BrokenRenderer:
    """A fake, for what a good renderer never does: it raises."""

    name = "broken"
    default_output = ""

    def executable(self) -> Path | None:
        return None

    def probe(self) -> RendererFact | None:
        return RendererFact("broken", "1")

    def commands(self, task: RenderTask) -> tuple[Any, ...]:
        raise ZeroDivisionError("a bug of a studio's renderer")

    def parse(self, line: str) -> None:
        return None

    def classify(self, exit_code: int, tail: str) -> FailureClass:
        return FailureClass.ERROR


def test_bug_in_a_renderer_still_ends_the_attempt_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path, Registry([_BrokenRenderer()], inspect=inspect))
        event = await kit.run(spec_of(renderer="broken"))
        assert event.cause == FailureClass.ERROR
        assert "ZeroDivisionError" in event.text
        assert "met a bug" in caplog.text

    run(scenario)


# What a former life left -----------------------------------------------------------------------------------------

ABANDON = """
import asyncio, os, sys
from pathlib import Path
from tests.adapters.runnerkit import Kit, spec_of
async def main():
    kit = Kit(Path(sys.argv[1]))
    script = "trap '' TERM; (sleep 1000; echo) & setsid sleep 1000 & while :; do sleep 0.05; done"
    ref = kit.start(spec_of(command="/bin/sh -c {script}", params={"script": script}))
    while kit.runner._attempts[ref].child is None:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    os._exit(9)
asyncio.run(main())
"""


def test_daemon_ends_what_its_former_life_left_running(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", ABANDON, str(tmp_path)], check=False, cwd=Path.cwd())
    assert done.returncode == 9
    mark = str(ref_of())
    assert len(living(mark, tmp_path)) >= 3, "the abandoned render still runs"

    async def scenario() -> None:
        kit = Kit(tmp_path)
        assert await kit.runner.reap_leftovers(grace_s=0.2) == (mark,)
        assert living(mark, tmp_path) == []
        assert await kit.runner.reap_leftovers() == ()

    run(scenario)


def test_daemon_leaves_the_attempt_of_the_same_name_of_another_daemon_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        for name in "ab":
            (tmp_path / name).mkdir()
        other = Kit(tmp_path / "a")
        ref = other.start(command("sleep 1000"))
        await other.until(lambda: other.runner._attempts[ref].child)
        kit = Kit(tmp_path / "b")
        Records(tmp_path / "b" / "attempts").open(str(ref))  # killed between the record and the process
        assert await kit.runner.reap_leftovers(grace_s=0.1) == (str(ref),)
        assert len(living(str(ref), tmp_path / "a")) >= 1
        other.stop(ref)
        await other.end_of(ref)

    run(scenario)


def test_recorded_pid_that_belongs_to_another_process_now_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        stat = read_stat(stranger.pid)
        assert stat is not None
        records = Records(tmp_path / "attempts")
        records.complete(str(ref_of()), stranger.pid, Born(stat.started_ticks - 2, stat.started_ticks - 1))

        async def scenario() -> None:
            assert await Kit(tmp_path).runner.reap_leftovers(grace_s=0.1) == (str(ref_of()),)

        run(scenario)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_process_is_known_by_pid_and_time_of_its_start_alone(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        child = spawn(["sleep", "1000"], env={}, cwd=tmp_path, log_fd=log.fileno())
    try:
        assert child.born.last_ticks - child.born.first_ticks < 100
        records = Records(tmp_path / "attempts")
        records.complete("unmarked", child.pid, child.born)
        assert list(survivors(records.read(), str(tmp_path))) == [child.pid]
    finally:
        os.kill(child.pid, signal.SIGKILL)
        reap(child)


def test_journal_forgets_what_has_ended_and_stays_small(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.open("kept")
    for n in range(6000):
        records.open(f"job/{n}/1.{'a' * 16}.{n}")
        records.complete(f"job/{n}/1.{'a' * 16}.{n}", 100 + n, Born(5, 6))
        records.close(f"job/{n}/1.{'a' * 16}.{n}")
    assert [record.mark for record in records.read()] == ["kept"]
    assert (tmp_path / "journal.jsonl").stat().st_size < 2 << 20


def test_torn_last_line_of_the_journal_is_passed_over(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.complete("a", 10, Born(20, 21))
    with (tmp_path / "journal.jsonl").open("a") as file:
        file.write('["b", "boo')
    assert [(record.mark, record.pid) for record in Records(tmp_path).read()] == [("a", 10)]


def test_command_gets_the_checkouts_file_for_a_param_that_names_the_artists(tmp_path: Path) -> None:
    async def scenario() -> None:
        kit = Kit(tmp_path)
        kit.root = "/home/anna"
        (kit.checkout_dir / "a b.txt").write_text("hello")
        (kit.checkout_dir / "Z").mkdir()
        (kit.checkout_dir / "Z/c.txt").write_text("!")
        farm = (PathRule("X:/", "/home/anna", platform_of(sys.platform)), PathRule("X:/", "/nowhere", "any"))
        spec = spec_of(
            command="cat {text} {more}", params={"text": r"X:\a b.txt", "more": "z:/c.txt"}, path_rules=(("Q:", "/q"),)
        )
        event = await kit.run(spec, path_rules=farm)
        assert event.cause == 0, event
        assert "\nhello!" in kit.log(event.ref)

    run(scenario)


def test_job_without_files_and_rules_of_its_own_has_no_map() -> None:
    effect = StartAttempt(ref_of(), spec_of(command="true"), (1,), 1, 0, (), (PathRule("X:/", "/x"),))
    assert paths_of(effect, Laid(Path("/none"))) is None
    own = replace(effect, spec=spec_of(command="true", path_rules=(("Y:", "/y"),)))
    found = paths_of(own, Laid(Path("/none")))
    assert found is not None
    assert found.candidates("Y:/a") == ("/y/a",)
    assert found.candidates("C:/a") == ()
