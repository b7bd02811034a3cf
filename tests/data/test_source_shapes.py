"""Folders, archives and lists as people have them."""

from __future__ import annotations

import unicodedata
import zipfile
from pathlib import Path

import pytest

from teachmesh.data.image_inputs import find_images
from teachmesh.data.layouts import SplitName, understand
from teachmesh.data.names import check_class_name, remark
from teachmesh.data.tasks import read_task
from teachmesh.errors import DataError
from teachmesh.packet.card_rules import check_labels
from tests.data.pictures import encoded, flat_tree, smooth, split_tree, write_folder, write_zip

TREE = flat_tree(12)
SYSTEM = ["@eaDir", "#recycle", "$RECYCLE.BIN", ".Trash-1000", ".Trashes", "__MACOSX", "lost+found"]
SYSTEM += [".thumbnails", "System Volume Information", ".ipynb_checkpoints", ".git", ".@__thumb"]


def test_folders_of_systems_are_no_classes_and_their_files_no_images(tmp_path: Path) -> None:
    """At the top and inside of classes; counted in one remark; the same in `find_images`."""
    extra = {f"{name}/{n}.png": TREE["cat/1.png"] for name in SYSTEM for n in range(2)}
    extra |= {f"cat/{name}/1.png": TREE["cat/1.png"] for name in SYSTEM}
    extra |= {f"dog/{name}": b"x" for name in ("._x.jpg", ".DS_Store", "Thumbs.db", "desktop.ini")}
    for source in (
        write_folder(tmp_path / "t", {**TREE, **extra}),
        write_zip(tmp_path / "z.zip", {**TREE, **extra}),
    ):
        task = read_task(source)
        assert (task.classes, len(task.train)) == (("cat", "dog"), 20)
        assert f"{2 * len(SYSTEM)} folders" in task.warnings[0]
        assert "4 files" in task.warnings[0]
        assert len(find_images(source)) == len(TREE)


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        ("train/a train/b test/a", "train test"),
        ("train/a dev/a", "train validation"),
        ("training_set/a test_set/a", "train test"),
        ("seg_train/a seg_test/a", "train test"),
        ("Training/a Testing/a", "train test"),
        ("train2017/a val2017/a", "train validation"),
        ("train/a val/a docs/figures", "train validation"),
        ("train/a train/b test", "train"),
        ("bus car train", ""),
        ("bus/day bus/night car/day", ""),
        ("train/a bus/a car/a", "can mean both"),
        ("train/day train/night bus car", "can mean both"),
        ("test/a bus/a", "can mean both"),
        ("train/a val/a extra/a", "can mean both"),
        ("train test", "directly in them"),
        ("a/train a/test b/train", "below each class"),
        ("val/a test/a", "expected a folder train/"),
        ("train/a training/a", "one folder per split"),
    ],
)
def test_folder_names_are_understood_or_refused_but_never_guessed(
    folders: str, splits: str
) -> None:
    """Splits, classes, or one sentence that names the option."""
    images = [(*folder.split("/"), f"{n}.png") for folder in folders.split() for n in range(2)]
    known: list[SplitName] = ["train", "validation", "test"]
    if set(splits.split()) <= set(known):
        assert set(understand(images, "v", "auto").splits.values()) == set(splits.split())
    else:
        with pytest.raises(DataError, match=splits):
            understand(images, "v", "auto")
    assert understand(images, "v", "classes").splits == {}


def test_the_layout_can_be_chosen(tmp_path: Path) -> None:
    """A class called train has sub-folders: refused, then learned with layout classes."""
    names = ("bus/day", "car/day", "train/day", "train/night")
    root = write_folder(tmp_path / "v", flat_tree(4, names))
    with pytest.raises(DataError, match="--layout classes") as caught:
        read_task(root)
    assert caught.value.exit_code == 4
    assert read_task(root, layout="classes").classes == ("bus", "car", "train")
    assert read_task(root, layout="splits").classes == ("day", "night")


def test_every_photo_can_be_used_for_training(tmp_path: Path) -> None:
    """Fractions of 0 / 0 train on all, also of a source with splits; others need none."""
    flat = write_folder(tmp_path / "a", TREE)
    given = write_folder(tmp_path / "b", split_tree({"train": 4, "val": 2, "test": 2}))
    assert [len(read_task(path, split=(0, 0)).train) for path in (flat, given)] == [24, 16]
    task = read_task(flat, split=(0.5, 0.25))
    sizes = [len(task.train), len(task.validation), len(task.test)]
    assert sum(sizes) == 24
    assert max(sizes) == sizes[1]
    with pytest.raises(DataError, match="without splits"):
        read_task(given, split=(0.1, 0.1))


@pytest.mark.parametrize(
    "name", ["Quercus sp.", "misc.", "CON", "aux.", "0", "\U0001f431", "קטן", "cat/dog", "a" * 128]
)
def test_ordinary_class_names_are_learned(name: str) -> None:
    """Dots at the end, device names, digits, emoji, right-to-left and long names."""
    assert check_class_name(name) == name
    check_labels("task", ("b", name))


@pytest.mark.parametrize("name", ["..", "../x", "/etc", "C:\\x", "~/x", " x", "x ", "", "a\nb"])
def test_paths_and_unprintable_class_names_have_the_real_reason(name: str) -> None:
    """Exit code 4, and a sentence about this name."""
    with pytest.raises(DataError, match="path|space|empty|unprintable") as caught:
        check_class_name(name)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    "text", ["'/etc/x'", "cafe\u0301", "x" * 999, "'\x01x'", "(C:\\x)", "a\nb", "= //x", "('~/y')"]
)
def test_a_remark_is_always_fit_for_a_card(text: str) -> None:
    """One line in NFC, at most 256 characters, no path."""
    from teachmesh.packet.card_rules import _PATH_IN_TEXT

    line = remark(f"left out 1 class: {text}")
    assert line == unicodedata.normalize("NFC", line)
    assert line.isprintable()
    assert len(line) <= 256
    assert _PATH_IN_TEXT.search(line) is None


def test_a_class_in_another_unicode_form_is_not_empty(tmp_path: Path) -> None:
    """NFC in train and NFD in test is one class with images in both."""
    tree = split_tree({"train": 4, "test": 2}, ("café", "dog"))
    tree = {unicodedata.normalize("NFD", n) if n[:4] == "test" else n: d for n, d in tree.items()}
    task = read_task(write_folder(tmp_path / "t", tree))
    assert (task.classes, task.warnings) == (("café", "dog"), ())


def test_equal_images_are_said_and_taken_out_of_test(tmp_path: Path) -> None:
    """In two splits, in two classes, and twice in one; with numbers and an example."""
    tree = split_tree({"train": 6, "val": 3, "test": 3})
    tree |= {
        "test/cat/copy.png": tree["train/cat/0.png"],
        "val/dog/copy.png": tree["train/dog/1.png"],
        "train/dog/other.png": tree["train/cat/2.png"],
        "train/cat/twice.png": tree["train/cat/3.png"],
    }
    task = read_task(write_folder(tmp_path / "t", tree))
    assert [len(task.train), len(task.validation), len(task.test)] == [14, 6, 6]
    assert task.warnings == (
        "1 validation image equal to images of train, left out: val/dog/copy.png",
        "1 test image equal to images of train, left out: test/cat/copy.png",
        "1 image in two classes: train/cat/2.png = train/dog/other.png",
        "1 image twice in one class: train/cat/3.png = train/cat/twice.png",
    )


def test_files_of_any_name_are_images_by_their_content(tmp_path: Path) -> None:
    """Without ending, with a wrong one, and upper case; unknown formats count as unreadable."""
    picture = encoded(smooth(6, 8, 5), "PPM")
    extra = {"cat/noname": picture, "cat/a.dat": picture + b"1", "dog/B.JFIF": picture + b"2"}
    extra |= {"dog/x.tga": b"\0\0\2", "dog/y.pcx": b"\n\5"}
    root = write_folder(tmp_path / "t", {**TREE, **extra})
    task = read_task(root, split=(0, 0))
    assert (len(task.train), task.skipped) == (len(TREE) + 3, 2)
    assert len(find_images(root)) == len(TREE) + 5


def test_predict_finds_the_images_of_folders_archives_and_lists(tmp_path: Path) -> None:
    """The same images that a task of the source has, in the order of their names."""
    root = write_folder(tmp_path / "t", TREE)
    (root / "all.csv").write_text("path,label\n" + "".join(f"{n},x\n" for n in TREE))
    archive = write_zip(tmp_path / "t.zip", TREE)
    names = sorted(TREE)
    assert [i.name for i in find_images(root)] == [f"{root}/{name}" for name in names]
    assert [i.name for i in find_images(archive)] == [f"{archive}:{name}" for name in names]
    assert [i.name for i in find_images(root / "all.csv")] == [f"{root}/{name}" for name in names]


def test_zip_names_without_an_encoding_mark_are_utf8_if_they_can_be(tmp_path: Path) -> None:
    """Python writes the mark; without it, UTF-8 is tried before code page 437, which is said."""
    path = write_zip(tmp_path / "t.zip", flat_tree(4, ("größe", "dog")))
    data = path.read_bytes()
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        pieces = data.split(mark)
        rest = [p[: at - 4] + b"\0\0" + p[at - 2 :] for p in pieces[1:]]
        data = mark.join([pieces[0], *rest])
    path.write_bytes(data)
    assert read_task(path).classes == ("dog", "größe")
    path.write_bytes(data.replace("größe".encode(), b"gr\x94\xe1e!!"))
    task = read_task(path)
    assert task.classes == ("dog", "größe!!")
    assert "read as code page 437" in task.warnings[0]


def test_links_in_an_archive_are_counted_and_not_followed(tmp_path: Path) -> None:
    """A symbolic link in a zip is left out with a remark."""
    path = write_zip(tmp_path / "t.zip", TREE)
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("cat/link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    assert read_task(path).warnings == ("1 link in the archive ignored",)


ROWS = [f"img\\{name.replace('/', chr(92))},{name.split('/')[0]}" for name in TREE]
TEXT = "\r\n".join(["path,label", *ROWS])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (TEXT.encode(), ""),
        (("sep=;\r\n" + TEXT.replace(",", ";")).encode("utf-8-sig"), ""),
        (TEXT.replace(",", "\t").encode("utf-16"), ""),
        (TEXT.replace("dog\r", "größe\r").encode("cp1252"), "code page 1252"),
        (TEXT.replace("img\\", "C:\\Users\\ann\\img\\").encode(), "another machine"),
        (TEXT.replace("img\\", "/mnt/ann/img/").encode(), "another machine"),
    ],
)
def test_lists_of_windows_and_excel_are_read(tmp_path: Path, data: bytes, said: str) -> None:
    """Backslashes, Excel's separator line, encodings, and absolute paths of another machine."""
    write_folder(tmp_path / "img", TREE)
    (tmp_path / "list.csv").write_bytes(data)
    task = read_task(tmp_path / "list.csv")
    assert [len(task.train), len(task.validation), len(task.test)] == [20, 2, 2]
    assert said in "".join(task.warnings)
    assert len(task.warnings) == bool(said)
