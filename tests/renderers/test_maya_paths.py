"""The directory map that Maya gets, as text."""

from __future__ import annotations

from farmd.renderers.maya_paths import dirmap_script
from protocol.pathrules import PathMap, PathRule


def test_drives_lead_to_their_folders_in_the_checkout() -> None:
    script = dirmap_script(PathMap((), (), "", "/co"), ("C", "d"))
    assert script == 'dirmap -en true;\ndirmap -m "C:/" "/co/C/";\ndirmap -m "d:/" "/co/D/";\n'


def test_rules_come_before_drives_and_longer_prefixes_first() -> None:
    job = (PathRule(r"C:\show", "/home/anna/show"), PathRule("Y:", "/srv/y"))
    farm = (PathRule("y:/", "/mnt/y"), PathRule(r"\\filer\tex", "/mnt/tex"))
    script = dirmap_script(PathMap(job, farm, "/home/anna", "/co"), ("C", "Y"))
    assert script.splitlines() == [
        "dirmap -en true;",
        'dirmap -m "/home/anna/" "/co/";',
        'dirmap -m "//filer/tex/" "/mnt/tex/";',
        'dirmap -m "C:/show/" "/co/show/";',
        'dirmap -m "C:/" "/co/C/";',
        'dirmap -m "Y:/" "/srv/y/";',
    ]


def test_a_quote_in_a_folder_stays_inside_its_text() -> None:
    assert r'"/co/a\"b/"' in dirmap_script(PathMap((PathRule("Y:", '/co/a"b'),)))


def test_without_rules_there_is_no_script() -> None:
    assert dirmap_script(PathMap()) == ""
