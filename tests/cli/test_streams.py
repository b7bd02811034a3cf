"""Streams that are full, closed or of another encoding; documents for wrong command lines."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from teachmesh.cli.main import app
from teachmesh.cli.output import table
from tests.cli.test_commands import run, run_json


@contextmanager
def _stdout(stream: Any) -> Iterator[None]:
    """Replace stdout; pytest's own capturing must not get the bytes."""
    kept, sys.stdout = sys.stdout, stream
    try:
        yield
    finally:
        sys.stdout = kept


def _exit_code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        app(list(arguments))
    assert isinstance(ended.value.code, int)
    return ended.value.code


class FullDisk(io.RawIOBase):
    """A stream that refuses every byte, as a file on a full disk does."""

    def writable(self) -> bool:
        """Return True, so that the error comes with the first byte."""
        return True

    def write(self, _data: Any) -> int:
        """Raise the error of a full disk."""
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("through", [True, False], ids=["unbuffered", "buffered"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["skills", "list"],
        ["skills", "list", "--json"],
        ["--version"],
        ["--help"],
        ["learn", "--help"],
        ["status", "--json"],
    ],
    ids=" ".join,
)
def test_a_full_stdout_is_one_sentence_and_code_8(
    arguments: list[str], through: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Results, documents, help and version; whether the error comes at once or at the end."""
    full = io.TextIOWrapper(io.BufferedWriter(FullDisk()), write_through=through)
    with _stdout(full):
        assert _exit_code(*arguments) == 8
    assert capsys.readouterr().err == "error: could not write the answer: the disk is full\n"
    with suppress(OSError):  # its last bytes are refused again
        full.close()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-16", "cp037", "utf-8"])
def test_a_document_is_utf_8_on_every_stdout(encoding: str, tmp_path: Path) -> None:
    """A path with other characters, and one that is not UTF-8, comes back as it was."""
    home = tmp_path / "日本" / os.fsdecode(b"caf\xe9")
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    with _stdout(stream):
        assert _exit_code("status", "--json", "--home", str(home)) == 0
    document = json.loads(stream.buffer.getvalue().decode("utf-8"))  # type: ignore[attr-defined]
    assert document["home"] == str(home)


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", rb"\u65e5\udce9"), ("utf-8", "日".encode() + rb"\udce9")]
)
def test_text_that_stdout_cannot_encode_is_escaped(
    encoding: str, shown: bytes, tmp_path: Path
) -> None:
    """Only the characters that the encoding lacks become escapes."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    with _stdout(stream):
        assert (
            _exit_code("status", "--home", str(tmp_path / os.fsdecode("日".encode() + b"\xe9")))
            == 0
        )
    assert shown in stream.buffer.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "arguments",
    [["predict"], ["nonsense"], ["skills", "list", "--nonsense"], ["learn", "x", "--seed", "a"]]
    + [["skills", "export", "x", "-o", name] for name in ("-", "./", "x/", "..", "")],
    ids=" ".join,
)
def test_a_wrong_command_line_with_json_is_one_document(arguments: list[str]) -> None:
    """The schema of errors, code 2, and the reason on stderr too."""
    document = run_json(*arguments, code=2)
    assert (document["schema"], document["exit_code"]) == ("teachmesh.error/1", 2)
    assert document["message"]


def test_a_closed_stdout_is_code_8_and_a_closed_reader_is_quiet(tmp_path: Path) -> None:
    """A shell's `>&-`, and a pipe whose reader is gone."""
    command = f"{sys.executable} -m teachmesh skills list --home {tmp_path / 'home'}"
    closed = subprocess.run(f"{command} >&-", shell=True, capture_output=True, check=False)
    assert (closed.returncode, closed.stderr.decode()) == (
        8,
        "error: could not write the answer: standard output is closed\n",
    )
    piped = subprocess.run(
        ["/bin/bash", "-c", f"{command} | true; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        check=False,
    )
    assert (piped.returncode, piped.stderr) == (0, b"")


@pytest.mark.usefixtures("forked_programs", "warm_is_known")
@pytest.mark.parametrize("extra", [[], ["--json"]], ids=["text", "json"])
def test_an_output_that_is_stdout_gets_the_bytes_alone(extra: list[str], tmp_path: Path) -> None:
    """`-o /dev/stdout` into a pipe: the bytes of the file; the message goes to stderr."""
    run("skills", "export", "warm", "-o", str(tmp_path / "warm.skill"))
    command = [sys.executable, "-m", "teachmesh", "skills", "export", "warm", *extra]
    done = subprocess.run([*command, "-o", "/dev/stdout"], capture_output=True, check=True)
    assert done.stdout == (tmp_path / "warm.skill").read_bytes()
    assert b"/dev/stdout" in done.stderr


@pytest.mark.parametrize("width", [None, 20, 12])
def test_a_table_fits_the_terminal_and_counts_wide_characters(width: int | None) -> None:
    """Lines are at most as wide as the terminal, and end together; no character is lost."""
    rows = [["a name of [bold]words[/bold]", "4"], ["猫", "12"]]
    shown = table(["task", "n"], rows, width=width).splitlines()
    assert max(map(cell_len, shown)) <= (width or 100)
    letters = [c for line in shown for c in line if c not in " -"]
    assert sorted(letters) == sorted("taskn412猫" + rows[0][0].replace(" ", ""))
    assert cell_len(shown[-1]) == cell_len(shown[0])


@pytest.mark.usefixtures("warm_is_known")
def test_import_reports_each_file_and_goes_on(tmp_path: Path) -> None:
    """A damaged file between good ones is named; the code is 9, or that of the error if alone."""
    good, bad, last = (tmp_path / f"{name}.skill" for name in ("1", "2", "3"))
    run("skills", "export", "warm", "-o", str(good))
    data = good.read_bytes()
    bad.write_bytes(data[:9000])
    last.write_bytes(data)
    other = str(tmp_path / "other")
    result = run("skills", "import", str(good), str(bad), str(last), "--home", other, code=9)
    assert f"not imported: {bad}: expected" in result.stderr
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == [str(good), str(last)]
    document = run_json("skills", "import", str(bad), str(good), "--home", other, code=9)
    assert [entry["file"] for entry in document["failed"]] == [str(bad)]
    alone = run_json("skills", "import", str(bad), "--home", other, code=6)
    assert alone["message"].startswith(f"{bad}: expected")
