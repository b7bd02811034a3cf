"""References are made from labelled, unlabelled and procedural images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from teachmesh.data.procedural_images import procedural_images
from teachmesh.errors import DataError
from teachmesh.mapping.metric import TASK_SHARE, TOTAL_SHARE
from teachmesh.model import reference_images
from teachmesh.model.forward_pass import ForwardPass
from teachmesh.model.reference import Reference
from teachmesh.model.reference_images import (
    LOOK_IMAGES,
    LOOKS,
    FolderImages,
    ProceduralImages,
    ReferenceImages,
    make_reference,
)
from tests.model.nets import GREY, SIZE, TinyNet, pictures

DIM = 6
CLASSES = 4
PER_CLASS = 20
LEAST = 40
"""Minimum number of images in these tests; that of the product is larger and only takes longer."""


@pytest.fixture(autouse=True)
def _few_images_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_images, "MIN_IMAGES", LEAST)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four classes, each with images of its own brightness."""
    return write_images(tmp_path_factory.mktemp("labelled"), CLASSES * PER_CLASS, CLASSES)


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same images and no subfolder."""
    return write_images(
        tmp_path_factory.mktemp("unlabelled"), CLASSES * PER_CLASS, CLASSES, flat=True
    )


@cache
def most_pictures() -> np.ndarray:
    """Draw as many pictures as any test writes; fewer pictures are the first ones of these."""
    return procedural_images(CLASSES * PER_CLASS, SIZE, seed=3)


def write_images(folder: Path, count: int, n_classes: int, *, flat: bool = False) -> Path:
    """Write images whose brightness depends on their class, into one folder per class or one."""
    for i, pixels in enumerate(most_pictures()[:count]):
        label = i % n_classes
        target = folder if flat else folder / f"class{label}"
        target.mkdir(parents=True, exist_ok=True)
        shaded = (pixels * (0.4 + 0.6 * label / n_classes)).astype(np.uint8)
        Image.fromarray(shaded.transpose(1, 2, 0)).save(target / f"{label}-{i:03}.png")
    return folder


@cache
def forward_pass() -> ForwardPass:
    """Build the tiny network once."""
    return ForwardPass(TinyNet(), GREY, torch.device("cpu"))


def taps(pixels: torch.Tensor) -> Sequence[torch.Tensor]:
    """Run the tiny network."""
    return forward_pass().taps(pixels)


def images_of(kind: str, labelled: Path, unlabelled: Path) -> ReferenceImages:
    """Return images of one of the three kinds."""
    if kind == "procedural":
        return ProceduralImages(40, SIZE)
    return FolderImages.of(labelled if kind == "labelled" else unlabelled, SIZE)


def within_trace(x: np.ndarray, labels: np.ndarray) -> float:
    """Compute the total within-class variance, class by class."""
    squares = 0.0
    for label in np.unique(labels):
        rows = x[labels == label]
        squares += float(((rows - rows.mean(axis=0)) ** 2).sum())
    return squares / (len(x) - len(np.unique(labels)))


@pytest.mark.parametrize("kind", ["labelled", "unlabelled", "procedural"])
def test_the_same_images_give_the_same_bytes_and_progress_reaches_its_total(
    kind: str, labelled: Path, unlabelled: Path
) -> None:
    """Nothing is random; progress rises by at most a batch and ends exactly at the total."""
    seen: list[tuple[int, int]] = []
    one, other = (
        make_reference(
            taps,
            images_of(kind, labelled, unlabelled),
            DIM,
            progress=lambda done, total: seen.append((done, total)),
        )
        for _ in range(2)
    )
    assert one.to_bytes() == other.to_bytes()
    assert Reference.from_bytes(one.to_bytes()).id == one.id
    first = seen[: len(seen) // 2]
    expected = 40 if kind == "procedural" else CLASSES * PER_CLASS * (1 + len(LOOKS))
    assert {total for _, total in seen} == {expected}
    done = [count for count, _ in first]
    assert done == sorted(set(done))
    assert done[-1] == expected
    assert seen == 2 * first


def test_the_three_kinds_give_three_references(labelled: Path, unlabelled: Path) -> None:
    """Labels change the metric; the projection depends on the images alone."""
    kinds = ("labelled", "unlabelled", "procedural")
    made = [make_reference(taps, images_of(kind, labelled, unlabelled), DIM) for kind in kinds]
    assert len({reference.id for reference in made}) == len(kinds)


def test_the_metric_of_labelled_images_is_their_covariance_within_classes(labelled: Path) -> None:
    """The oracle reads the files, one class after another; the scale of tasks is known."""
    images = FolderImages.of(labelled, SIZE)
    reference = make_reference(taps, images, DIM)
    assert images.labels is not None
    x = reference.apply(taps(images.batch(0, len(images)))).numpy().astype(np.float64)
    np.testing.assert_allclose(reference.metric.centre, x.mean(axis=0), atol=1e-5)
    expected = TASK_SHARE * within_trace(x, images.labels)
    assert reference.metric.trace == pytest.approx(expected, rel=1e-3)
    names = [Path(image.name).parent.name for image in images.images]
    same = np.equal.outer(names, names) == np.equal.outer(images.labels, images.labels)
    assert same.all()


def test_without_labels_the_total_variance_stands_for_that_within_tasks(unlabelled: Path) -> None:
    """The scale comes from real tasks."""
    images = FolderImages.of(unlabelled, SIZE)
    reference = make_reference(taps, images, DIM)
    assert images.labels is None
    x = reference.apply(taps(images.batch(0, len(images)))).numpy().astype(np.float64)
    total = float(((x - x.mean(axis=0)) ** 2).sum()) / len(x)
    assert reference.metric.trace == pytest.approx(TOTAL_SHARE * total, rel=1e-3)


def test_a_reference_does_not_depend_on_where_the_images_lie(tmp_path: Path) -> None:
    """Only the order of the files below the folder counts."""
    folders = [tmp_path / "photos", tmp_path / "a" / "b"]
    ids = set()
    for folder in folders:
        write_images(folder, LEAST, 2)
        ids.add(make_reference(taps, FolderImages.of(folder, SIZE), DIM).id)
    assert len(ids) == 1


def test_folders_of_one_image_each_are_no_classes(tmp_path: Path) -> None:
    """A class needs two images; otherwise nothing can vary within it."""
    write_images(tmp_path, LEAST, LEAST)
    assert FolderImages.of(tmp_path, SIZE).labels is None


def test_too_few_images_are_refused_with_one_sentence(tmp_path: Path) -> None:
    """Unreadable files do not count; one image more is enough."""
    write_images(tmp_path, LEAST - 1, 2)
    broken = tmp_path / "class0" / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(DataError) as refusal:
        FolderImages.of(tmp_path, SIZE)
    assert str(refusal.value) == (
        f"expected at least {LEAST} readable images below '{tmp_path}' for a reference, got "
        f"{LEAST - 1}; add more, or leave --reference-images out"
    )
    Image.new("RGB", (SIZE, SIZE), (9, 80, 200)).save(broken)
    assert len(FolderImages.of(tmp_path, SIZE)) == LEAST


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    """The sentence names the folder."""
    with pytest.raises(DataError, match="expected images"):
        FolderImages.of(tmp_path, SIZE)


def test_unreadable_images_leave_no_gap(tmp_path: Path) -> None:
    """A reference with a broken file equals one without it."""
    write_images(tmp_path, LEAST, 2)
    before = make_reference(taps, FolderImages.of(tmp_path, SIZE), DIM)
    (tmp_path / "class0" / "0-0000.png").write_bytes(b"no image")
    after = make_reference(taps, FolderImages.of(tmp_path, SIZE), DIM)
    assert after.id == before.id


def test_a_procedural_reference_depends_on_the_number_of_images() -> None:
    """A longer series begins with the same images."""
    few, many = ProceduralImages(33, SIZE), ProceduralImages(64, SIZE)
    assert torch.equal(few.batch(0, 32), many.batch(0, 32))
    assert torch.equal(few.batch(32, 33), many.batch(32, 64)[:1])
    assert make_reference(taps, few, DIM).id != make_reference(taps, many, DIM).id


@pytest.mark.parametrize("size", [16, 32, 97, 224])
def test_looks_have_the_size_of_the_image(size: int) -> None:
    """Each look is another picture of the same size, and equal inputs give equal looks."""
    picture = Image.fromarray(pictures(1, size)[0].permute(1, 2, 0).numpy())
    found = {name: look(picture).convert("RGB") for name, look in LOOKS.items()}
    assert {look.size for look in found.values()} == {(size, size)}
    pixels = {name: look.tobytes() for name, look in found.items()}
    assert len({picture.tobytes(), *pixels.values()}) == 1 + len(LOOKS)
    assert {name: look(picture).convert("RGB").tobytes() for name, look in LOOKS.items()} == pixels


def test_an_image_of_one_colour_has_all_looks() -> None:
    """No look divides by the range of the grey values."""
    plain = Image.new("RGB", (SIZE, SIZE), (120, 120, 120))
    assert {look(plain).size for look in LOOKS.values()} == {(SIZE, SIZE)}


def test_the_number_of_looks_is_limited(monkeypatch: pytest.MonkeyPatch, labelled: Path) -> None:
    """Only every k-th image is shown in all looks, at most `LOOK_IMAGES` images."""
    assert LOOK_IMAGES * len(LOOKS) < 4000
    most = 12
    monkeypatch.setattr(reference_images, "LOOK_IMAGES", most)
    seen: list[int] = []

    def counted(pixels: torch.Tensor) -> Sequence[torch.Tensor]:
        seen.append(len(pixels))
        return taps(pixels)

    totals: set[int] = set()
    images = FolderImages.of(labelled, SIZE)
    make_reference(counted, images, DIM, progress=lambda _, total: totals.add(total))
    shown = -(-len(images) // -(-len(images) // most))
    assert shown <= most
    assert sum(seen) == len(images) + len(LOOKS) * shown
    assert totals == {sum(seen)}


def test_a_quantised_reference_has_the_metric_of_its_own_latents(labelled: Path) -> None:
    """The metric is fitted after the projection was rounded."""
    images = FolderImages.of(labelled, SIZE)
    reference = make_reference(taps, images, DIM, quantise=True)
    assert reference.steps is not None
    x = reference.apply(taps(images.batch(0, len(images)))).numpy()
    np.testing.assert_allclose(reference.metric.centre, x.mean(axis=0), atol=1e-5)


def test_weights_belong_to_taps() -> None:
    """A weight of 1/2 quadruples the scale of the second tap's channels, not of the first's."""
    images = ProceduralImages(32, SIZE)
    plain = make_reference(taps, images, DIM).scale
    weighted = make_reference(taps, images, DIM, weights=[1, 0.5]).scale
    np.testing.assert_allclose(weighted, plain * np.repeat([1, 4], [5, 7]), rtol=1e-6)


def test_activations_that_are_no_numbers_are_refused() -> None:
    """No reference is made from them."""

    def broken(pixels: torch.Tensor) -> Sequence[torch.Tensor]:
        return [torch.full((len(pixels), 12), torch.inf)]

    with pytest.raises(ValueError, match="not finite"):
        make_reference(broken, ProceduralImages(40, SIZE), DIM)
