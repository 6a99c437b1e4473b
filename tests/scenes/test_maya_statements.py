from __future__ import annotations

import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmd.scenes import maya_statements
from farmd.scenes.maya_statements import Statements, Text, flags, words
from protocol.errors import UserError

HEAD = b"//Maya ASCII 2022 scene\n"


def cut(data: bytes, *, deaf: bool = False) -> list[tuple[str, bytes]]:
    statements = Statements(io.BytesIO(data), "shot.ma")
    statements.deaf = deaf
    return [(command, statement.strip()) for command, statement in statements]


def commands(data: bytes) -> list[str]:
    return [command for command, _ in cut(HEAD + data)]


def test_semicolons_in_strings_and_comments_end_nothing() -> None:
    data = b'createNode file; // a; b "\nsetAttr ".b" "x; createNode mesh;"; /* ; " */ select -ne a;\n'
    assert commands(data) == ["createNode", "setAttr", "select"]


def test_a_script_full_of_statements_is_one_statement() -> None:
    data = rb'setAttr ".b" -type "string" "createNode file;\n\tsetAttr \".ftn\" -type \"string\" \"a.png\";\n";' + b"\n"
    assert commands(data) == ["setAttr"]


def test_escaped_backslash_before_a_quote_ends_the_string() -> None:
    assert commands(rb'setAttr ".a" "C:\\"; select -ne b;' + b"\n") == ["setAttr", "select"]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_every_kind_of_line_ending_ends_a_comment(ending: bytes) -> None:
    lines = [b"//Maya ASCII 2022 scene", b"// it's; \"", b"createNode file;", b"// End of shot.ma", b""]
    assert [command for command, _ in cut(ending.join(lines))] == ["createNode"]


def test_attributes_of_the_node_in_hand_are_passed_over_when_deaf_and_others_are_not() -> None:
    data = HEAD + b'setAttr -k off ".v" no;\nsetAttr "time1.o" 7;\nselect -ne a;\n'
    assert [statement for _, statement in cut(data, deaf=True)] == [b'setAttr "time1.o" 7;', b"select -ne a;"]


@given(st.lists(st.sampled_from([b'a "x;\\"y";', b"b 1 2;", b"c // ;\n3;", b"d /* ; */ 4;"])), st.integers(1, 40))
def test_chunks_of_any_size_give_the_same_statements(parts: list[bytes], size: int) -> None:
    data = HEAD + b"\n".join(parts) + b"\n"
    whole = cut(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maya_statements, "CHUNK_BYTES", max(size, len(HEAD)))
        assert cut(data) == whole
    assert len(whole) == len(parts)


@pytest.mark.parametrize(
    "inside", [b"1 " * 5000, b'"' + b"x" * 9000 + b'"', b'"' + b'\\"' * 5000 + b'"', b"/*" + b"*" * 9000 + b"*/"]
)
def test_of_a_very_long_statement_the_beginning_is_given_and_the_end_is_found(inside: bytes) -> None:
    data = HEAD + b'setAttr ".v" ' + inside + b";\nselect -ne b;\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maya_statements, "CHUNK_BYTES", 512)
        patch.setattr(maya_statements, "LONGEST_BYTES", 2048)
        found = cut(data)
        assert [command for command, _ in cut(data, deaf=True)] == ["select"]
    assert [command for command, _ in found] == ["setAttr", "select"]
    assert len(found[0][1]) <= 2048


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b'setAttr ".a" "cut of', "in the middle of a string"),
        (b'createNode file -n "a"', "in the middle of a statement"),
        (b"createNode file;\n setA", "in the middle of a statement"),
        (b'createNode file;\nsetAttr ".a" "x\\', "in the middle of a string"),
    ],
)
def test_a_scene_that_is_cut_off_is_refused_and_says_where(data: bytes, what: str) -> None:
    with pytest.raises(UserError, match=what):
        cut(HEAD + data)


@pytest.mark.parametrize("inside", [b'"' + b"x" * 9000, b"1 " * 5000, b"//" + b"x" * 9000])
def test_a_scene_cut_off_in_a_very_long_statement_is_refused(monkeypatch: pytest.MonkeyPatch, inside: bytes) -> None:
    monkeypatch.setattr(maya_statements, "CHUNK_BYTES", 512)
    monkeypatch.setattr(maya_statements, "LONGEST_BYTES", 2048)
    with pytest.raises(UserError, match="in the middle of"):
        cut(HEAD + b'setAttr ".v" ' + inside)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "nothing in it"),
        (b" \n\n", "nothing in it"),
        (b"FOR8\0\0\0\0", "Maya binary"),
        (b"\x7fELF\0\0\0", "no text"),
        (b"createNode file;\n", "does not begin with //Maya ASCII"),
    ],
)
def test_what_is_no_maya_ascii_scene_is_refused_with_the_reason(data: bytes, why: str) -> None:
    with pytest.raises(UserError) as caught:
        cut(data)
    assert why in caught.value.why


def test_characters_that_end_in_the_byte_of_a_backslash_do_not_swallow_the_end_of_a_string() -> None:
    head = b"//Maya ASCII 2012 scene\n//Codeset: 932\n"
    statement = 'setAttr ".ftn" -type "string" "C:/図表";\nselect -ne a;\n'.encode("cp932")
    assert statement.count(b'\x5c"') == 1  # the last character's second byte, and the closing quote
    statements = Statements(io.BytesIO(head + statement), "shot.ma")
    found = [statements.text(one) for _, one in statements]
    assert words(found[0])[-1] == "C:/図表"
    assert len(found) == 2


def test_a_scene_in_utf8_that_names_another_codeset_is_read_as_utf8() -> None:
    data = '//Maya ASCII 2022 scene\n//Codeset: 932\nsetAttr ".ftn" "図\\"表";\nselect -ne é;\n'.encode()
    statements = Statements(io.BytesIO(data), "shot.ma")
    assert [words(statements.text(one))[-1] for _, one in statements] == ['図"表', "é"]


@pytest.mark.parametrize(("codeset", "codec"), [("1252", "latin-1"), ("936", "gbk"), ("1251", "cp1251")])
def test_text_is_decoded_as_the_head_of_the_scene_says(codeset: str, codec: str) -> None:
    name = {"latin-1": "Ätna", "gbk": "贴图", "cp1251": "текстура"}[codec]
    data = f'//Maya ASCII 2015 scene\n//Codeset: {codeset}\nsetAttr ".ftn" "{name}";\n'.encode(codec)
    statements = Statements(io.BytesIO(data), "shot.ma")
    assert [words(statements.text(one))[-1] for _, one in statements] == [name]


def test_strings_that_are_added_become_one_word() -> None:
    assert words('setAttr ".b" -type "string" ("a\\n" \n\t\t+ "b" + "c") ;') == [
        "setAttr",
        ".b",
        "-type",
        "string",
        "a\nbc",
    ]


def test_words_in_quotes_are_never_flags() -> None:
    named, rest = flags(words('file -r -ns "-x" "-typ";')[1:], frozenset({"ns"}))
    assert named == {"r": "", "ns": "-x"}
    assert rest == ["-typ"]
    assert isinstance(rest[0], Text)


def test_negative_numbers_are_no_flags() -> None:
    assert flags(words("setAttr .o -5;")[1:], frozenset()) == ({}, [".o", "-5"])


@pytest.mark.slow
def test_geometry_is_read_over_at_more_than_ten_megabytes_a_second() -> None:
    numbers = b" ".join(b"%.6f" % (one / 7) for one in range(498))
    geometry = b'\tsetAttr ".vt[0:165]"  ' + numbers + b';\n\tsetAttr ".pt[3]" -type "float3" 7.4e-09 0 0 ;\n'
    data = HEAD + b"createNode mesh;\n" + geometry * 8000
    begin = time.perf_counter()
    assert len(cut(data, deaf=True)) == 1
    assert len(data) / (time.perf_counter() - begin) > 10e6
