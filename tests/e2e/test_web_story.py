"""The day of a job with nothing but curl and jq: every command of the page, as it stands there, on a real daemon."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.e2e.farm import ROOT, Farm
from tests.e2e.webdoor import add_door, run_script

if TYPE_CHECKING:
    from pathlib import Path

PAGE = ROOT / "docs/howto/curl-story.md"
SCENE = """#version 3.7; global_settings {{ assumed_gamma 1.0 }}
#if (abs(clock - 3) < 0.5 & !file_exists("{paint}")) #error "the wood is not painted yet" #end
camera {{ location <0, 0, -3> look_at 0 }} light_source {{ <2, 4, -3> 1 }}
sphere {{ <clock / 10, 0, 0>, 1 pigment {{ rgb 1 }} }}
"""
SIZE = (64, 36)


@pytest.mark.povray
@pytest.mark.timeout(240)
@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="needs the programs curl and jq")
def test_the_page_takes_a_job_through_the_farm_with_curl_alone(farm: Farm, tmp_path: Path) -> None:
    door = add_door(farm, "ws07")
    farm.start("ws07")
    paint = tmp_path / "paint"
    (tmp_path / "ball.pov").write_text(SCENE.format(paint=paint))
    script = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    script = script.replace("http://127.0.0.1:8766", door.wait().url)
    before_repair, after_repair = script.split("again=", 1)
    assert door.url in before_repair

    whole = f"{before_repair}\ntouch {paint}\nagain={after_repair}"
    told = run_script(whole, tmp_path, door.user("rose", "wrangler"), limit_s=180)

    in_order = (
        '"complete":true',
        "awaiting_approval: 2 of 6 done",
        '"changed":true',
        "failed: 5 of 6 done, 1 failed",
        "the wood is not painted yet",
        "ws07: held by rose: I need it for a review",
        "3: the one machine that fits is held",
        "completed: 6 of 6 done",
    )
    at = 0
    for words in in_order:
        assert words in told[at:], told
        at = told.index(words, at)
    pictures = sorted(path.name for path in tmp_path.glob("*.png"))
    assert len(pictures) == 6, told
    for path in (*tmp_path.glob("*.png"), *tmp_path.glob("ball.[16].jpg")):
        with Image.open(path) as picture:
            assert picture.size == SIZE
    assert len(list(tmp_path.glob("ball.*.jpg"))) == 2
