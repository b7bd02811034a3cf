"""Reading tasks: layouts, names, splits, and errors in each."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from teachmesh.data.tasks import Task, check_failed, find_tasks, read_task, task_name
from teachmesh.errors import DataError
from tests.data.pictures import (
    encoded,
    flat_tree,
    smooth,
    split_tree,
    write_csv,
    write_folder,
    write_tar,
    write_zip,
)

TREE = flat_tree(20)
SPLIT = split_tree({"train": 8, "val": 3, "test": 4})
SHARED = Path(__file__).parents[3] / "shared" / "tasks"


def contents(task: Task) -> list[tuple[str, bytes, str]]:
    """Return split, bytes and class of every image, in order."""
    parts = {"train": task.train, "validation": task.validation, "test": task.test}
    return [
        (split, image.read(), task.classes[label])
        for split, part in parts.items()
        for image, label in zip(part.images, part.labels, strict=True)
    ]


def test_a_flat_folder_has_all_splits_in_every_class(tmp_path: Path) -> None:
    """root/<class>/*: most images are for training, classes are sorted, labels int64."""
    task = read_task(write_folder(tmp_path / "pets", TREE))
    assert task.name == "pets"
    assert task.classes == ("cat", "dog")
    parts = (task.train, task.validation, task.test)
    counts = np.array([np.bincount(part.labels, minlength=2) for part in parts])
    assert all(part.labels.dtype == np.int64 for part in parts)
    np.testing.assert_array_equal(counts.sum(axis=0), [20, 20])
    assert counts.min() >= 1
    assert counts[0].min() >= 10
    assert task.split_seed == 0
    sizes = " / ".join(str(len(part)) for part in parts)
    assert task.summary() == f"2 classes, {sizes} images (train / validation / test)"


def test_names_do_not_decide_the_split(tmp_path: Path) -> None:
    """The same files under other names, some twice, are in the same splits."""
    one = read_task(write_folder(tmp_path / "pets", TREE))
    renamed = {f"{name.split('/')[0]}/x{n}.png": TREE[name] for n, name in enumerate(TREE)}
    other = read_task(write_folder(tmp_path / "again", {**TREE, **renamed}))
    assert set(contents(one)) == set(contents(other))


def test_given_splits_are_kept(tmp_path: Path) -> None:
    """root/{train,val,test}/<class>/*: nothing is moved, nothing is seeded."""
    task = read_task(write_folder(tmp_path / "pets", SPLIT))
    assert task.split_seed is None
    for split, data, label in contents(task):
        folder = "val" if split == "validation" else split
        assert data in {d for name, d in SPLIT.items() if name.startswith(f"{folder}/{label}/")}
    assert [len(task.train), len(task.validation), len(task.test)] == [16, 6, 8]


@pytest.mark.parametrize("tree", [TREE, SPLIT], ids=["flat", "split"])
def test_folder_tar_zip_and_common_top_folder_give_equal_tasks(
    tmp_path: Path, tree: dict[str, bytes]
) -> None:
    """The kind of source, the order inside of it and a folder around it change nothing."""
    shuffled = dict(sorted(tree.items(), key=lambda file: file[1]))
    wrapped = {f"photos/pets/{name}": data for name, data in shuffled.items()}
    sources = [
        write_folder(tmp_path / "a" / "pets", tree),
        write_folder(tmp_path / "b" / "pets", wrapped),
        write_tar(tmp_path / "pets.tar", shuffled),
        write_tar(tmp_path / "pets.tgz", wrapped, "w:gz"),
        write_tar(tmp_path / "abs.tar", {f"/{name}": data for name, data in wrapped.items()}),
        write_zip(tmp_path / "pets.zip", wrapped),
        write_zip(tmp_path / "win.zip", {n.replace("/", "\\"): d for n, d in shuffled.items()}),
    ]
    if tree is TREE:
        sources.append(write_csv(tmp_path / "c" / "pets.csv", shuffled))
    expected = contents(read_task(sources[0]))
    assert len(expected) == len(tree)
    for source in sources[1:]:
        assert contents(read_task(source)) == expected, source


def test_another_seed_splits_differently_and_the_same_seed_equally(tmp_path: Path) -> None:
    """The split is a function of seed and names."""
    path = write_folder(tmp_path / "pets", TREE)
    assert contents(read_task(path, seed=3)) == contents(read_task(path, seed=3))
    assert contents(read_task(path, seed=3)) != contents(read_task(path, seed=4))


def test_missing_validation_is_carved_from_training_images_only(tmp_path: Path) -> None:
    """With train and test given, test stays untouched; with train alone, test is empty."""
    tree = split_tree({"train": 10, "test": 5})
    task = read_task(write_folder(tmp_path / "pets", tree))
    assert [len(task.train), len(task.validation), len(task.test)] == [18, 2, 10]
    given = {data for name, data in tree.items() if name.startswith("test/")}
    assert {data for split, data, _ in contents(task) if split == "test"} == given
    only = read_task(write_folder(tmp_path / "only", split_tree({"Training": 10})))
    assert [len(only.train), len(only.validation), len(only.test)] == [18, 2, 0]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    """A flat folder of vehicles is not taken for a split."""
    task = read_task(write_folder(tmp_path / "v", flat_tree(3, ("car", "test", "train"))))
    assert task.classes == ("car", "test", "train")


def test_stray_hidden_and_other_files_are_ignored_and_counted(tmp_path: Path) -> None:
    """Hidden files, texts, nested archives and images outside of classes, with a count."""
    extra = {
        ".hidden/cat/1.png": b"x",
        "cat/.DS_Store": b"x",
        "__MACOSX/cat/1.png": b"x",
        "cat/notes.txt": b"x",
        "cat/more.tar": b"x",
        "cover.png": encoded(smooth(4, 4)),
    }
    for source in (
        write_folder(tmp_path / "f", {**TREE, **extra}),
        write_tar(tmp_path / "t.tar", {**TREE, **extra}),
    ):
        task = read_task(source)
        assert task.classes == ("cat", "dog")
        assert task.warnings == (
            "2 files that are no images ignored",
            "1 file outside of class folders ignored",
            "hidden and system files ignored: 2 folders ('.hidden', '__MACOSX'), 1 files",
        )


def test_unreadable_images_are_skipped_and_counted(tmp_path: Path) -> None:
    """Text named .jpg, an empty file, a PDF and a dangling link are known before decoding."""
    root = write_folder(
        tmp_path / "pets",
        {**TREE, "cat/t.jpg": b"hello", "cat/e.jpg": b"", "dog/h.heic": b"%PDF-1.7"},
    )
    (root / "dog" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    task = read_task(root)
    assert task.skipped == 4
    assert task.summary().endswith("images (train / validation / test), 4 unreadable skipped")


def test_more_than_a_fifth_unreadable_stops(tmp_path: Path) -> None:
    """10 of 50 pass, 11 of 51 do not, and the sentence says how many and why."""
    bad = {f"cat/bad{n}.jpg": b"hello" for n in range(10)}
    assert read_task(write_folder(tmp_path / "pets", {**TREE, **bad})).skipped == 10
    (tmp_path / "pets" / "cat" / "worse.jpg").write_bytes(b"hello")
    with pytest.raises(
        DataError, match=r"80% readable .* 11 unreadable ones of 51 .*bad0\.jpg' is text"
    ):
        read_task(tmp_path / "pets")


def test_the_same_limit_holds_for_what_decoding_finds() -> None:
    """check_failed: exactly a fifth passes, one more does not, none of none passes."""
    check_failed(20, 100, "pets", "")
    check_failed(0, 0, "pets", "")
    with pytest.raises(DataError, match="'pets', got 21 unreadable ones of 100"):
        check_failed(21, 100, "pets", "a.png is text")


def test_empty_class_folders_are_dropped_with_a_warning(tmp_path: Path) -> None:
    """An empty class, and one whose images are all unreadable, is no class."""
    root = write_folder(tmp_path / "pets", {**TREE, "fox/1.jpg": b"hello"})
    (root / "elk").mkdir()
    task = read_task(root)
    assert task.classes == ("cat", "dog")
    assert task.warnings == ("left out 2 classes without images: 'elk', 'fox'",)


def test_small_classes_keep_their_training_images(tmp_path: Path) -> None:
    """Two images in two classes are learned from; the lack of validation images is said."""
    task = read_task(write_folder(tmp_path / "pets", flat_tree(1)))
    assert [len(task.train), len(task.validation), len(task.test)] == [2, 0, 0]
    assert any("no validation images" in warning for warning in task.warnings)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({}, "at least two classes .* got none"),
        ({"cat/1.png": encoded(smooth(4, 4))}, r"got 1 \('cat'\)"),
        (flat_tree(5, ("cat",)), r"at least two classes .* got 1 \('cat'\)"),
        ({"1.png": encoded(smooth(4, 4))}, "got none.*folder of its name"),
        (split_tree({"val": 2, "test": 2}), "expected a folder train/ next to test/ and val/"),
        ({**SPLIT, "test/fox/1.png": SPLIT["test/cat/0.png"]}, "got none for 'fox'"),
        ({**split_tree({"train": 2}), "test/Cat/1.png": SPLIT["test/cat/0.png"]}, "'Cat', 'cat'"),
        (flat_tree(2, ("Cat", "cat")), "'Cat', 'cat'; give one class one name"),
        (flat_tree(2, ("café", unicodedata.normalize("NFD", "café"))), "'café'.*in all splits"),
        (flat_tree(2, ("cat", "a\nb")), r"got 'a\\nb': .*U\+000A"),
        (flat_tree(2, ("cat", "a\x1b[31m")), r"got 'a\\x1b\[31m'"),
        (flat_tree(2, ("cat", "a\u202eb")), r"U\+202E"),
        (flat_tree(2, ("cat", "x" * 129)), "129 characters, 128 may be used"),
        ({**SPLIT, "validation/cat/9.png": b"x"}, "one folder per split"),
    ],
)
def test_what_cannot_be_learned_is_refused_with_one_sentence(
    tmp_path: Path, tree: dict[str, bytes], message: str
) -> None:
    """From a folder where the system can store it, and from a tar, the same DataError."""
    sources = [write_tar(tmp_path / "t.tar", tree)]
    if all(len(part) < 100 for name in tree for part in name.split("/")):
        (tmp_path / "t").mkdir()
        sources.append(write_folder(tmp_path / "t", tree))
    for source in sources:
        with pytest.raises(DataError, match=message) as caught:
            read_task(source)
        assert str(caught.value).isprintable()


def test_a_missing_path_suggests_its_neighbour(tmp_path: Path) -> None:
    """Exit code 4, and the nearest name in the same folder."""
    write_folder(tmp_path / "flowers", TREE)
    with pytest.raises(
        DataError, match=r"got nothing there \(did you mean 'flowers'\?\)"
    ) as caught:
        read_task(tmp_path / "flwers")
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("name", "what"), [("a.png", "one image"), ("a.txt", "another kind of file")]
)
def test_a_single_file_is_no_task(tmp_path: Path, name: str, what: str) -> None:
    """The message describes the input and the layout of a task."""
    (tmp_path / name).write_bytes(encoded(smooth(4, 4)))
    with pytest.raises(DataError, match=f"got {what}"):
        read_task(tmp_path / name)


def test_paths_that_no_system_can_open_are_refused() -> None:
    """Over-long names and NUL bytes are data errors, not tracebacks."""
    for path in ("x" * 5000, "a\0b"):
        with pytest.raises(DataError, match="expected"):
            read_task(path)


def test_symlink_loops_end_and_linked_classes_are_read(tmp_path: Path) -> None:
    """A link to a folder above is not followed; a link to another folder is."""
    root = write_folder(tmp_path / "pets", TREE)
    (root / "cat" / "again").symlink_to(root)
    (root / "dog" / "self").symlink_to(root / "dog")
    assert len(contents(read_task(root))) == len(TREE)
    other = tmp_path / "links"
    other.mkdir()
    for label in ("cat", "dog"):
        (other / label).symlink_to(write_folder(tmp_path / label, flat_tree(5, ("x",))))
    assert read_task(other).classes == ("cat", "dog")


def test_a_task_can_be_named_and_bad_names_are_refused(tmp_path: Path) -> None:
    """`--name` replaces the folder's name; it must be usable as a file name."""
    root = write_folder(tmp_path / "pets", TREE)
    assert read_task(root, name="my pets").name == "my pets"
    with pytest.raises(DataError, match="expected a printable task name"):
        read_task(root, name="../pets")


def test_task_names_come_from_the_path_without_endings(tmp_path: Path) -> None:
    """Archive endings go, dots in folder names stay, odd characters are cleaned."""
    (tmp_path / "v1.tar").mkdir()
    assert task_name(tmp_path / "v1.tar") == "v1.tar"
    assert task_name(Path("a/flowers.TAR.GZ")) == "flowers"
    assert task_name(Path("a/flowers.v2.zip")) == "flowers.v2"
    assert task_name(Path("a/x\x1b[2J.csv")) == "x [2J"
    assert task_name(Path()) == Path.cwd().name


def test_tasks_in_a_folder_are_found_sorted_and_chosen(tmp_path: Path) -> None:
    """Folders of folders and archives are tasks; other entries are not."""
    write_tar(tmp_path / "b.tar", TREE)
    write_zip(tmp_path / "a.zip", TREE)
    write_folder(tmp_path / "c", TREE)
    write_folder(tmp_path / "plain", {"1.png": b"x"})
    (tmp_path / "index.json").write_text("[]")
    names = ["a.zip", "b.tar", "c"]
    assert [path.name for path in find_tasks(tmp_path)] == names
    assert [path.name for path in find_tasks(tmp_path, ["c", "a"])] == ["a.zip", "c"]
    with pytest.raises(DataError, match="got 'bb'"):
        find_tasks(tmp_path, ["bb"])
    with pytest.raises(DataError, match=r"expected tasks .* got none"):
        find_tasks(tmp_path / "c")
    with pytest.raises(DataError, match="got nothing there"):
        find_tasks(tmp_path / "none")
    write_folder(tmp_path / "b", TREE)
    with pytest.raises(DataError, match="tasks of different names"):
        find_tasks(tmp_path)


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="no measuring data beside the project")
def test_a_real_task_has_the_counts_of_its_index() -> None:
    """cifar10.tar: 10 classes, 1,200 / 150 / 150 images in folders named train, val and test."""
    assert read_task(SHARED / "cifar10.tar").summary() == (
        "10 classes, 1,200 / 150 / 150 images (train / validation / test); "
        "splits by folder: 'test' = test, 'train' = train, 'val' = validation"
    )
