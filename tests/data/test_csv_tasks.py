"""CSV files with the columns path, label and split."""

from __future__ import annotations

from pathlib import Path

import pytest

from teachmesh.data.tasks import read_task
from teachmesh.errors import DataError
from tests.data.pictures import flat_tree, split_tree, write_folder

TREE = flat_tree(5)
ROWS = "\n".join(f"{name},{name.split('/')[0]}" for name in TREE)


def csv_task(tmp_path: Path, text: str | bytes, files: dict[str, bytes] = TREE) -> Path:
    """A CSV file in the folder of its images."""
    write_folder(tmp_path, files)
    path = tmp_path / "pets.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        f"path,label\n{ROWS}",
        f"\ufeffpath,label\r\n{ROWS}\r\n".replace("\n", "\r\n").replace("\r\r", "\r"),
        "Label , PATH,note\n" + "\n".join(f"{n.split('/')[0]},{n},x" for n in TREE),
        f"path;label\n{ROWS}".replace(",", ";"),
        f"path\tlabel\n{ROWS}\n\n".replace(",", "\t"),
        "path,label\n" + "\n".join(f'"./{n}"," {n.split("/")[0]} "' for n in TREE),
        "path,label,split\n" + "\n".join(f"{n},{n.split('/')[0]}," for n in TREE),
    ],
    ids=[
        "plain",
        "bom and crlf",
        "order and more columns",
        "semicolon",
        "tab",
        "quoted",
        "no split",
    ],
)
def test_the_dialects_of_spreadsheets_are_read(tmp_path: Path, text: str) -> None:
    """Byte order mark, CRLF, quoting, other separators, column order and blank lines."""
    task = read_task(csv_task(tmp_path, text))
    assert task.name == "pets"
    assert task.summary() == "2 classes, 6 / 2 / 2 images (train / validation / test)"


def test_labels_may_hold_commas(tmp_path: Path) -> None:
    """A quoted label with commas is one label."""
    text = "path,label\n" + "\n".join(f'{n},"{n.split("/")[0]}, small"' for n in TREE)
    assert read_task(csv_task(tmp_path, text)).classes == ("cat, small", "dog, small")


def test_paths_are_relative_to_the_file_and_may_be_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The current folder plays no part."""
    monkeypatch.chdir("/")
    relative = read_task(csv_task(tmp_path, f"path,label\n{ROWS}"))
    absolute = "\n".join(f"{tmp_path}/{n},{n.split('/')[0]}" for n in TREE)
    other = read_task(csv_task(tmp_path, f"path,label\n{absolute}"))
    assert {i.read() for i in relative.train.images} <= set(TREE.values())
    assert len(other.train) == len(relative.train)


def test_given_splits_are_kept_and_equal_those_of_the_folder(tmp_path: Path) -> None:
    """The split column does what split folders do; the same image name in two splits is fine."""
    tree = split_tree({"train": 6, "val": 2, "test": 2})
    rows = "\n".join(f"{n},{n.split('/')[1]},{n.split('/')[0]}" for n in tree)
    by_csv = read_task(csv_task(tmp_path / "a", f"path,label,split\n{rows}", tree))
    by_folder = read_task(write_folder(tmp_path / "b", tree))
    for ours, theirs in (
        (by_csv.train, by_folder.train),
        (by_csv.validation, by_folder.validation),
        (by_csv.test, by_folder.test),
    ):
        assert [i.read() for i in ours.images] == [i.read() for i in theirs.images]
        assert ours.labels.tolist() == theirs.labels.tolist()


def test_missing_images_count_as_unreadable(tmp_path: Path) -> None:
    """One wrong line is counted; many stop."""
    path = csv_task(tmp_path, f"path,label\n{ROWS}\nnone.png,cat\n")
    assert read_task(path).skipped == 1
    more = "\n".join(f"none{n}.png,cat" for n in range(5))
    with pytest.raises(DataError, match=r"5 unreadable ones of 15 .*none0\.png"):
        read_task(csv_task(tmp_path, f"path,label\n{ROWS}\n{more}"))


def test_repeated_lines_are_ignored_with_a_warning(tmp_path: Path) -> None:
    """The same image, label and split twice is one image."""
    task = read_task(csv_task(tmp_path, f"path,label\n{ROWS}\n{ROWS}"))
    assert task.summary() == "2 classes, 6 / 2 / 2 images (train / validation / test)"
    assert task.warnings == ("10 repeated lines ignored",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected the columns path,label .* line 1, got an empty line"),
        ("path,label\n", "expected lines with images .* got none"),
        (f"file,label\n{ROWS}", "expected the columns path,label .*got file, label"),
        (ROWS, "expected the columns path,label"),
        (f"path,label\n{ROWS}\n,cat", "line 12, got an empty value"),
        (f"path,label\n{ROWS}\ncat/1.png,", "line 12, got an empty value"),
        (f"path,label\n{ROWS}\ncat/1.png,cat,small", "expected 2 values .* line 12, got 3"),
        (f"path,label\n{ROWS}\ncat/1.png,dog", "line 12, got two for 'cat/1.png'"),
        (f"path,label,split\n{ROWS}\nx.png,cat,trian", r"'trian' \(did you mean 'train'\?\)"),
        (f"path,label,split\n{ROWS}\nx.png,cat,test", "a split in every line or in none"),
        (f'path,label\n{ROWS}\n"cat/1.png,cat', "expected comma-separated values"),
        (f"path,label\n{ROWS}\n".encode() + b"\x81,cat", "expected UTF-8 text"),
        (f'path,label\n{ROWS}\ncat/1.png,"a\nb"', "two for|unprintable"),
        (f"path,label\n{ROWS}\na\0b,cat", "empty value|comma-separated"),
    ],
)
def test_every_mistake_is_one_sentence_with_its_line(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    """Expected, got, what to do; exit code 4."""
    with pytest.raises(DataError, match=message) as caught:
        read_task(csv_task(tmp_path, text))
    assert str(caught.value).isprintable()
    assert caught.value.exit_code == 4
