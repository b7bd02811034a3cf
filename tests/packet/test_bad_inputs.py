"""Broken skill files of every kind, each refused with its reason.

The numbers are those of the project's list of bad inputs: 1-29 format, 30-36 names, 37-40 values,
41-56 meaning. Some are tested elsewhere (41, 42, 46, 48, 52, 53: admission; 50: there are no
tombstones from peers; 55: accepted by design).
"""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from teachmesh.errors import SkillRefused
from teachmesh.packet.codec import decode
from tests.packet.sample_skills import (
    LATENT_SIZE,
    N_CLUSTERS,
    canonical,
    file_with_card,
    file_with_tensors,
    moments_file,
    moments_tensors,
    parse_file,
    sample_bytes,
    sample_tensors,
    write_file,
)

VALID = sample_bytes()
MIB = 1024 * 1024


def with_header(change: Callable[[dict[str, Any]], None]) -> bytes:
    """The valid file with its header changed as JSON values."""
    header, body = parse_file(VALID)
    change(header)
    return write_file(header, body)


def with_text(old: str, new: str) -> bytes:
    """The valid file with a piece of its header's text replaced."""
    length = int.from_bytes(VALID[:8], "little")
    text = VALID[8 : 8 + length].decode()
    assert old in text
    return write_file(text.replace(old, new, 1), VALID[8 + length :])


def with_entry(**changes: Any) -> bytes:
    """The valid file with other values in the entry of its first tensor."""
    return with_header(lambda header: header["gmmc.means"].update(changes))


def with_offsets(name: str, begin: int, end: int) -> bytes:
    """The valid file with other offsets of one tensor."""
    return with_header(lambda header: header[name].update(data_offsets=[begin, end]))


def with_metadata(text: str) -> bytes:
    """The valid file with other metadata."""
    return with_header(lambda header: header["__metadata__"].update(teachmesh=text))


def metadata() -> dict[str, Any]:
    """The valid file's metadata as JSON values."""
    parsed: dict[str, Any] = json.loads(parse_file(VALID)[0]["__metadata__"]["teachmesh"])
    return parsed


def without_tensors() -> bytes:
    """A header with metadata only."""
    header = parse_file(VALID)[0]
    return write_file({"__metadata__": header["__metadata__"]}, b"")


def reversed_metadata() -> str:
    """The valid metadata with its two keys in the wrong order."""
    return json.dumps(dict(reversed(metadata().items())), separators=(",", ":"), ensure_ascii=False)


def with_tensors_reordered() -> bytes:
    """A valid safetensors file of the valid tensors in another order."""
    header, body = parse_file(VALID)
    turned = {"__metadata__": header.pop("__metadata__")}
    moved = b""
    for name in reversed(header):
        begin, end = header[name]["data_offsets"]
        offsets = [len(moved), len(moved) + end - begin]
        turned[name] = {**header[name], "data_offsets": offsets}
        moved += body[begin:end]
    return write_file(turned, moved)


def many_tensors(count: int) -> bytes:
    """A header full of empty tensors."""
    entry = '"t%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    return write_file("{" + ",".join(entry % index for index in range(count)) + "}", b"")


def body_of(name: str, array: np.ndarray) -> bytes:
    """The sample with one tensor replaced."""
    return file_with_tensors({name: array})


def filled(name: str, value: float) -> bytes:
    """The sample with one number of one tensor replaced."""
    array = sample_tensors()[name]
    array.flat[1] = value
    return body_of(name, array)


FORMAT: dict[str, tuple[str, bytes]] = {
    "1 pickle named safetensors": ("FORMAT", pickle.dumps({"weights": [1.0] * 100})),
    "2 torch zip": ("FORMAT", b"PK\x03\x04\x00\x00\x08\x08" + bytes(500)),
    "3 zip appended": ("FORMAT", VALID + b"PK\x05\x06" + bytes(18)),
    "3 ELF appended": ("FORMAT", VALID + b"\x7fELF" + bytes(60)),
    "4 __class__ in the card": ("SCHEMA", file_with_card({"__class__": "os.system"})),
    "4 $ref in the card": ("SCHEMA", file_with_card({"$ref": "file:///etc/passwd"})),
    "4 url in the card": ("SCHEMA", file_with_card({"url": "http://example.org/x"})),
    "4 host in the card": ("SCHEMA", file_with_card({"host": "alices-laptop"})),
    "4 unknown key beside the card": (
        "SCHEMA",
        with_metadata(canonical({**metadata(), "extra": 1})),
    ),
    "5 empty file": ("FORMAT", b""),
    "6 seven bytes": ("FORMAT", VALID[:7]),
    "6 eight bytes": ("FORMAT", VALID[:8]),
    "7 header length 0": ("FORMAT", bytes(8) + VALID[8:]),
    "7 header longer than the file": ("FORMAT", (10**6).to_bytes(8, "little") + VALID[8:]),
    "7 header length 2^63": ("FORMAT", (2**63).to_bytes(8, "little") + VALID[8:]),
    "7 header length 2^64-1": ("FORMAT", b"\xff" * 8 + VALID[8:]),
    "8 header one byte over the cap": (
        "LIMIT",
        (MIB + 1).to_bytes(8, "little") + b"{" + b" " * (MIB + 100),
    ),
    "8 file one byte over the cap": ("LIMIT", VALID + bytes(16 * MIB + 1 - len(VALID))),
    "9 body truncated by one byte": ("FORMAT", VALID[:-1]),
    "10 one extra byte": ("FORMAT", VALID + b"\0"),
    "11 hole": ("FORMAT", with_offsets("gmmc.variances", 132, 260)),
    "11 hole at the start": ("FORMAT", with_offsets("gmmc.means", 4, 132)),
    "12 overlap": ("FORMAT", with_offsets("gmmc.variances", 124, 252)),
    "12 all tensors share one place": ("FORMAT", with_offsets("gmmc.variances", 0, 128)),
    "13 negative offset": ("FORMAT", with_offsets("gmmc.means", -128, 0)),
    "14 end before begin": ("FORMAT", with_offsets("gmmc.means", 128, 0)),
    "14 three offsets": ("FORMAT", with_entry(data_offsets=[0, 64, 128])),
    "15 shape and bytes disagree": ("FORMAT", with_entry(shape=[N_CLUSTERS, LATENT_SIZE + 1])),
    "15 dtype and bytes disagree": ("FORMAT", with_entry(dtype="F16")),
    "16 dimensions overflow 64 bits": ("FORMAT", with_entry(shape=[2**62, 8])),
    "16 product is 0 modulo 2^64": ("FORMAT", with_entry(shape=[2**32, 2**32])),
    "17 negative dimension": ("FORMAT", with_entry(shape=[-4, -8])),
    "17 float dimension": ("FORMAT", with_entry(shape=[4.0, 8.0])),
    "17 true as dimension": ("FORMAT", with_entry(shape=[True, 32])),
    "17 text as dimension": ("FORMAT", with_entry(shape=["4", "8"])),
    "17 endless dimension": ("LIMIT", with_text("[4,8]", f"[{'9' * 5000},8]")),
    "18 unknown dtype": ("FORMAT", with_entry(dtype="X99")),
    "18 dtype F8_E4M3": ("FORMAT", with_entry(dtype="F8_E4M3", shape=[128])),
    "18 dtype F64": ("FORMAT", with_entry(dtype="F64", shape=[16])),
    "18 dtype BOOL": ("FORMAT", with_entry(dtype="BOOL", shape=[128])),
    "18 dtype is a list": ("FORMAT", with_entry(dtype=["F32"])),
    "19 rank 10,000": ("FORMAT", with_entry(shape=[1] * 10_000)),
    "19 rank 0": ("FORMAT", with_entry(shape=[])),
    "19 rank 3": ("FORMAT", with_entry(shape=[4, 4, 2])),
    "20 a quarter of a million empty tensors": ("LIMIT", many_tensors(250_000)),
    "20 as many as fit under the cap": ("LIMIT", many_tensors(16_000)),
    "20 thirty-three tensors": (
        "LIMIT",
        with_header(lambda h: h.update({f"t{i}": dict(h["gmmc.means"]) for i in range(28)})),
    ),
    "21 zero-size promise": ("FORMAT", with_entry(shape=[2**40, 0], data_offsets=[0, 0])),
    "22 10,000 nested lists": ("LIMIT", write_file('{"a":' + "[" * 10_000, b"")),
    "22 10,000 nested objects": ("LIMIT", write_file('{"a":' * 10_000, b"")),
    "22 10,000 nested lists in the card": ("LIMIT", with_metadata("[" * 10_000)),
    "22 a megabyte of backslashes": ("FORMAT", write_file('{"' + "\\" * 1_000_000, b"")),
    "22 a megabyte of escaped quotes": ("FORMAT", write_file('{"' + '\\"' * 500_000, b"")),
    "22 a megabyte of quotes": ("LIMIT", write_file("{" + '"' * 1_000_000, b"")),
    "23 duplicate tensor name": (
        "FORMAT",
        with_text('"gmmc.variances"', '"gmmc.means"'),
    ),
    "23 duplicate metadata": ("FORMAT", with_text('{"__meta', '{"__metadata__":{},"__meta')),
    "24 duplicate key in an entry": ("FORMAT", with_text('"dtype"', '"dtype":"F32","dtype"')),
    "24 duplicate key in the metadata": (
        "FORMAT",
        with_text('{"teachmesh"', '{"teachmesh":"","teachmesh"'),
    ),
    "24 duplicate key in the card": (
        "FORMAT",
        with_text('\\"alias\\":\\"alice\\"', '\\"alias\\":\\"bob\\",\\"alias\\":\\"alice\\"'),
    ),
    "24 a second metadata key": (
        "FORMAT",
        with_header(lambda header: header["__metadata__"].update(format="pt")),
    ),
    "24 no metadata": ("FORMAT", with_header(lambda header: header.pop("__metadata__"))),
    "24 metadata is a list": ("FORMAT", with_header(lambda h: h.update(__metadata__=[]))),
    "24 metadata value is a number": (
        "FORMAT",
        with_header(lambda header: header["__metadata__"].update(teachmesh=1)),
    ),
    "25 leading space": ("FORMAT", write_file(b" " + VALID[8:].split(b"\0")[0], b"")),
    "25 leading byte-order mark": ("FORMAT", with_text("{", "\ufeff{")),
    "25 trailing NUL": ("FORMAT", with_text("]}}", "]}}\0")),
    "25 spaces inside": ("FORMAT", with_text('":{"dtype', '": {"dtype')),
    "25 eight spaces too many": ("FORMAT", with_text("]}}", "]}}        ")),
    "25 tensors in another order": ("FORMAT", with_tensors_reordered()),
    "25 signature after the card": ("FORMAT", with_metadata(reversed_metadata())),
    "25 card with spaces": ("FORMAT", with_metadata(json.dumps(metadata(), sort_keys=True))),
    "25 card with escapes": (
        "FORMAT",
        with_text('\\"alice\\"', '\\"\\\\u0061lice\\"'),
    ),
    "26 header is not UTF-8": ("FORMAT", write_file(b'{"\xff\xfe":1}', b"")),
    "26 header is a list": ("FORMAT", write_file("[]", b"")),
    "26 header is not JSON": ("FORMAT", write_file("{nothing}", b"")),
    "26 metadata is not JSON": ("FORMAT", with_metadata("hello")),
    "26 metadata is a number": ("SCHEMA", with_metadata("1")),
    "26 NaN in the header": ("VALUE", with_text("[4,8]", "[NaN,8]")),
    "27 unknown key in an entry": ("FORMAT", with_entry(device="cuda")),
    "27 missing key in an entry": (
        "FORMAT",
        with_header(lambda header: header["gmmc.means"].pop("shape")),
    ),
    "27 entry is a list": ("FORMAT", with_header(lambda h: h.update({"gmmc.means": []}))),
    "28 no tensors": ("SCHEMA", without_tensors()),
    "29 missing tensor": ("SCHEMA", file_with_tensors({"gmmc.weights": None})),
    "29 half a head": ("SCHEMA", file_with_tensors({"head.bias": None})),
    "29 extra tensor": ("SCHEMA", file_with_tensors({"evil": np.zeros(1, np.float32)})),
    "29 extra tensor under a known prefix": (
        "SCHEMA",
        file_with_tensors({"gmmc.evil": np.zeros(1, np.float32)}),
    ),
    "29 tensor named like a path": (
        "SCHEMA",
        file_with_tensors({"../../etc/passwd": np.zeros(1, np.float32)}),
    ),
    "29 tensor with an empty name": ("SCHEMA", file_with_tensors({"": np.zeros(1, np.float32)})),
    "29 tensor of an anchor that the card lacks": (
        "SCHEMA",
        file_with_tensors({"maha.means": np.zeros((3, LATENT_SIZE), np.float32)}),
    ),
}

CLASS_NAMES = {
    "32 device CON": "CON",
    "32 device with an ending": "nul.txt",
    "32 device COM1": "com1",
    "32 trailing dot": "roses.",
}
"""Names that only a class may have, because classes are never names of files."""

BAD_NAMES = {
    "30 parent folders": "../../etc/passwd",
    "30 parent folder inside": "a/../b",
    "30 Windows parent folder": "..\\x",
    "31 absolute path": "/tmp/x",
    "31 drive": "C:\\x",
    "31 drive with a slash": "C:/x",
    "31 server": "\\\\host\\x",
    "31 home": "~/x",
    "32 trailing space": "roses ",
    "32 leading space": " roses",
    "33 empty": "",
    "33 only spaces": "   ",
    "34 a megabyte": "x" * 400_000,
    "34 129 characters": "x" * 129,
    "35 NUL": "a\0b",
    "35 newline": "a\nb",
    "35 carriage return": "a\rb",
    "35 ANSI escape": "\x1b[31mred",
    "35 terminal title": "\x1b]0;pwned\x07",
    "35 right-to-left override": "a\u202eb",
    "35 zero-width no-break space": "a\ufeffb",
    "35 line separator": "a\u2028b",
    "35 delete": "a\x7fb",
    "36 not in NFC": "cafe\u0301",
}


def name_cases() -> dict[str, tuple[str, bytes]]:
    """Every bad name as a task, as a class, as an alias and as a backbone."""
    cases = {}
    for label, name in (BAD_NAMES | CLASS_NAMES).items():
        for field in ("task", "alias", "backbone_name"):
            cases[f"{label} as {field}"] = ("NAME", file_with_card({field: name}))
    for label, name in BAD_NAMES.items():
        cases[f"{label} as class"] = ("NAME", file_with_card({"classes": ["a", name, "b"]}))
    for label, classes in {
        "36 twice": ["a", "b", "a"],
        "36 equal but for case": ["Rose", "rOSE", "b"],
        "36 equal after case folding": ["straße", "STRASSE", "b"],
        "36 equal with accents": ["CAFÉ", "café", "b"],
    }.items():
        cases[label] = ("NAME", file_with_card({"classes": classes}))
    lone = with_text('\\"alice\\"', '\\"\\\\ud800\\"')
    cases["35 lone surrogate"] = ("FORMAT", lone)
    return cases


VALUES: dict[str, tuple[str, bytes]] = {
    "37 NaN in a mean": ("VALUE", filled("gmmc.means", np.nan)),
    "37 NaN in a weight": ("VALUE", filled("gmmc.weights", np.nan)),
    "37 NaN in a head": ("VALUE", filled("head.weight", np.nan)),
    "37 NaN in a bias": ("VALUE", filled("head.bias", np.nan)),
    "38 Inf in a mean": ("VALUE", filled("gmmc.means", np.inf)),
    "38 -Inf in a variance": ("VALUE", filled("gmmc.variances", -np.inf)),
    "38 Inf in a head": ("VALUE", filled("head.weight", np.inf)),
    "39 negative variance": ("VALUE", filled("gmmc.variances", -0.5)),
    "39 zero variance": ("VALUE", filled("gmmc.variances", 0.0)),
    "39 variance 1e-38": ("VALUE", filled("gmmc.variances", 1e-38)),
    "39 variance 1e38": ("VALUE", filled("gmmc.variances", 1e38)),
    "39 negative weight": (
        "VALUE",
        body_of("gmmc.weights", np.array([0.5, -0.25, 0.5, 0.25], np.float32)),
    ),
    "39 weights sum to 1e6": ("VALUE", body_of("gmmc.weights", np.full(4, 2.5e5, np.float32))),
    "39 all weights zero": ("VALUE", body_of("gmmc.weights", np.zeros(4, np.float32))),
    "40 mean 1e30": ("VALUE", filled("gmmc.means", 1e30)),
    "40 head 1e30": (
        "VALUE",
        body_of("head.weight", np.full((3, LATENT_SIZE), 1e30, np.float32)),
    ),
}

MEANING: dict[str, tuple[str, bytes]] = {
    "43 more classes than rows": (
        "SCHEMA",
        file_with_tensors({"head.weight": np.zeros((2, LATENT_SIZE), np.float16)}),
    ),
    "43 more counts than classes": ("VALUE", file_with_card({"images_per_class": [1, 2, 3, 4]})),
    "44 latent sizes differ inside the anchor": (
        "SCHEMA",
        file_with_tensors({"gmmc.variances": np.ones((N_CLUSTERS, 16), np.float32)}),
    ),
    "44 latent sizes of anchor and head differ": (
        "SCHEMA",
        file_with_tensors({"head.weight": np.zeros((3, 16), np.float16)}),
    ),
    "44 other rank": (
        "SCHEMA",
        file_with_tensors({"gmmc.means": np.zeros(N_CLUSTERS * LATENT_SIZE, np.float32)}),
    ),
    "44 other dtype": (
        "SCHEMA",
        file_with_tensors({"gmmc.means": np.zeros((N_CLUSTERS, LATENT_SIZE), np.int32)}),
    ),
    "45 no class": ("VALUE", file_with_card({"classes": [], "images_per_class": []})),
    "45 10,001 classes": (
        "LIMIT",
        file_with_card(
            {
                "classes": [f"c{index}" for index in range(10_001)],
                "images_per_class": [1] * 10_001,
            }
        ),
    ),
    "45 a class without images": ("VALUE", file_with_card({"images_per_class": [1, 0, 1]})),
    "47 signature of another length": (
        "SIGNATURE",
        with_metadata(canonical({**metadata(), "signature": "00"})),
    ),
    "47 signature in capitals": (
        "SIGNATURE",
        with_metadata(canonical({**metadata(), "signature": "AB" * 64})),
    ),
    "47 signature is a number": (
        "SIGNATURE",
        with_metadata(canonical({**metadata(), "signature": 0})),
    ),
    "49 cost 2^63": ("VALUE", file_with_card({"cost_macs": 2**63})),
    "49 negative cost": ("VALUE", file_with_card({"cost_macs": -1})),
    "49 replaces is no id": ("VALUE", file_with_card({"replaces": "../x"})),
    "51 no such date": ("VALUE", file_with_card({"created": "2026-02-30T00:00:00Z"})),
    "51 other time zone": ("VALUE", file_with_card({"created": "2026-02-03T00:00:00+01"})),
    "54 a thousand clusters": (
        "LIMIT",
        file_with_tensors(
            {
                "gmmc.means": np.zeros((1000, LATENT_SIZE), np.float32),
                "gmmc.variances": np.ones((1000, LATENT_SIZE), np.float32),
                "gmmc.weights": np.full(1000, 0.001, np.float32),
            }
        ),
    ),
    "54 65 clusters": (
        "LIMIT",
        file_with_tensors(
            {
                "gmmc.means": np.zeros((65, LATENT_SIZE), np.float32),
                "gmmc.variances": np.ones((65, LATENT_SIZE), np.float32),
                "gmmc.weights": np.full(65, 1 / 65, np.float32),
            }
        ),
    ),
    "56 schema version 99": ("VERSION", file_with_card({"schema": "teachmesh.skill/99"})),
    "56 schema version 3 with new keys": (
        "VERSION",
        file_with_card({"schema": "teachmesh.skill/3", "new": 1}, drop=("alias",)),
    ),
    "56 schema version 1": ("VERSION", file_with_card({"schema": "teachmesh.skill/1"})),
    "56 schema version 1 with old keys": (
        "VERSION",
        file_with_card({"schema": "teachmesh.skill/1", "old": 1}, drop=("privacy",)),
    ),
    "56 schema version 01": ("SCHEMA", file_with_card({"schema": "teachmesh.skill/01"})),
    "56 schema version 02": ("SCHEMA", file_with_card({"schema": "teachmesh.skill/02"})),
    "56 another schema": ("SCHEMA", file_with_card({"schema": "other/1"})),
    "56 schema version 0": ("SCHEMA", file_with_card({"schema": "teachmesh.skill/0"})),
    "56 schema is a list": ("SCHEMA", file_with_card({"schema": ["teachmesh.skill/2"]})),
    "card is missing": ("SCHEMA", with_metadata(canonical({"signature": ""}))),
    "card lacks a key": ("SCHEMA", file_with_card({}, drop=("privacy",))),
    "text for a number": ("SCHEMA", file_with_card({"cost_s": "1.25"})),
    "whole number for a float": ("SCHEMA", file_with_card({"cost_s": 1})),
    "true for a number": ("SCHEMA", file_with_card({"validation_images": True})),
    "null for a text": ("SCHEMA", file_with_card({"alias": None})),
    "number among the classes": ("SCHEMA", file_with_card({"classes": ["a", 1, "b"]})),
    "text for the classes": ("SCHEMA", file_with_card({"classes": "abc"})),
    "infinite calibration": (
        "VALUE",
        with_text('\\"temperature\\":1.5', '\\"temperature\\":1e999'),
    ),
    "endless number in the card": (
        "LIMIT",
        with_text("123456789", "1" * 5000),
    ),
    "accuracy 1.5": ("VALUE", file_with_card({"validation_accuracy": 1.5})),
    "unknown privacy": ("VALUE", file_with_card({"privacy": "none"})),
    "anchor of a package without tensors": (
        "SCHEMA",
        file_with_card({"method": "x", "anchors": ["x"]}),
    ),
    "reserved anchor": ("SCHEMA", file_with_card({"method": "head", "anchors": ["head"]})),
    "no anchor": ("VALUE", file_with_card({"anchors": []})),
    "anchor twice": ("VALUE", file_with_card({"anchors": ["gmmc", "gmmc"]})),
    "method without its anchor": ("VALUE", file_with_card({"method": "maha"})),
    "author in capitals": ("VALUE", file_with_card({"author": "AB" * 32})),
    "fingerprint too short": ("VALUE", file_with_card({"backbone_fingerprint": "ab"})),
    "calibration named like code": ("NAME", file_with_card({"calibration": {"__x__": 1.0}})),
    "version with spaces": ("VALUE", file_with_card({"version": "0.1 (alice@laptop)"})),
}


def moments(name: str, value: float) -> bytes:
    """Class moments with one number of one tensor replaced."""
    array = moments_tensors()[f"moments.{name}"]
    array.flat[0] = value
    return moments_file({f"moments.{name}": array})


def held_out(*values: float) -> bytes:
    """Class moments with other scores of held-out images."""
    return moments_file({"held_out.moments": np.array(values, np.float32)})


MOMENTS: dict[str, tuple[str, bytes]] = {
    "moments: format 1 tensors": (
        "SCHEMA",
        moments_file(
            {
                "moments.variances": None,
                "moments.rest": None,
                "moments.degrees": None,
                "moments.weights": np.ones(2, np.uint32),
                "moments.residual": np.ones(LATENT_SIZE, np.float16),
            }
        ),
    ),
    "moments: rest per dimension": (
        "SCHEMA",
        moments_file({"moments.rest": np.ones(LATENT_SIZE, np.float32)}),
    ),
    "moments: signed degrees": (
        "SCHEMA",
        moments_file({"moments.degrees": np.ones(1, np.int32)}),
    ),
    "moments: two degrees": ("SCHEMA", moments_file({"moments.degrees": np.ones(2, np.uint32)})),
    "moments: no degrees": ("SCHEMA", moments_file({"moments.degrees": None})),
    "moments: float means": (
        "SCHEMA",
        moments_file({"moments.means": np.ones((3, LATENT_SIZE), np.float32)}),
    ),
    "moments: a variance too many": (
        "SCHEMA",
        moments_file({"moments.variances": np.ones(3, np.float32)}),
    ),
    "moments: 257 directions": (
        "LIMIT",
        moments_file(
            {
                "moments.directions": np.ones((257, LATENT_SIZE), np.int8),
                "moments.variances": np.zeros(257, np.float32),
            }
        ),
    ),
    "moments: lowest level in a mean": ("VALUE", moments("means", -128)),
    "moments: lowest level in a direction": ("VALUE", moments("directions", -128)),
    "moments: lowest level in a head": ("VALUE", moments("head", -128)),
    "moments: mean scale 0": ("VALUE", moments("mean_scales", 0)),
    "moments: mean scale above 1": ("VALUE", moments("mean_scales", 1.01)),
    "moments: head scale 0": ("VALUE", moments("head_scales", 0)),
    "moments: head scale above 1000": ("VALUE", moments("head_scales", 1001)),
    "moments: negative variance": ("VALUE", moments("variances", -0.5)),
    "moments: negative rest": ("VALUE", moments("rest", -0.5)),
    "moments: mean variance above 16": ("VALUE", moments("rest", 15.8)),
    "moments: NaN in a variance": ("VALUE", moments("variances", np.nan)),
    "moments: infinite rest": ("VALUE", moments("rest", np.inf)),
    "moments: bias 1e30": ("VALUE", moments("head_bias", 1e30)),
    "held out: two numbers": ("VALUE", held_out(0, 0)),
    "held out: a score too many": ("VALUE", held_out(1, 1, 1, 0, 0)),
    "held out: a score too few": ("VALUE", held_out(2, 1, 1, 0)),
    "held out: half an image": ("VALUE", held_out(1.5, 1, 1, 0)),
    "held out: 400 images": ("VALUE", held_out(400, 1, 1, *range(100))),
    "held out: descending": ("VALUE", held_out(2, 1, 1, 1, 0)),
    "held out: NaN": ("VALUE", held_out(1, 1, 1, np.nan)),
    "held out: negative median": ("VALUE", held_out(1, -1, 1, 0)),
    "held out: negative spread": ("VALUE", held_out(1, 1, -1, 0)),
    "held out: 104 numbers": ("SCHEMA", held_out(101, 1, 1, *range(101))),
    "held out: two rows": (
        "SCHEMA",
        moments_file({"held_out.moments": np.zeros((2, 3), np.float32)}),
    ),
    "held out: half precision": (
        "SCHEMA",
        moments_file({"held_out.moments": np.zeros(3, np.float16)}),
    ),
    "held out: an anchor that the card lacks": (
        "SCHEMA",
        file_with_tensors({"held_out.moments": np.zeros(3, np.float32)}),
    ),
    "held out: an unknown anchor": (
        "SCHEMA",
        moments_file({"held_out.x": np.zeros(3, np.float32)}),
    ),
}

CASES = FORMAT | name_cases() | VALUES | MEANING | MOMENTS


def test_the_file_that_all_cases_start_from_is_valid() -> None:
    """Otherwise the cases below would prove nothing."""
    decode(VALID)
    decode(file_with_tensors({}))
    decode(file_with_card({}))
    decode(moments_file({}))
    decode(moments_file({"held_out.moments": None}))
    decode(held_out(100, 1, 1, *range(100)))


@pytest.mark.parametrize(("reason", "data"), CASES.values(), ids=CASES.keys())
def test_a_bad_file_is_refused_with_its_reason(reason: str, data: bytes) -> None:
    """One SkillRefused with the right code and one clean line for a person; nothing else."""
    with pytest.raises(SkillRefused) as refusal:
        decode(data)

    message = str(refusal.value)
    assert refusal.value.reason == reason, message
    assert message.isprintable()
    assert 10 < len(message) < 300


@pytest.mark.parametrize("name", CLASS_NAMES.values(), ids=CLASS_NAMES)
def test_a_class_may_end_with_a_dot_or_be_a_device(name: str) -> None:
    """Species and diagnoses have such names."""
    skill = decode(file_with_card({"classes": ["a", name, "b"]})).skill
    assert skill.card.classes == ("a", name, "b")


def test_a_file_without_a_header_is_called_so() -> None:
    """Eight bytes are the length of a header, and nothing else."""
    for size in range(9):
        with pytest.raises(SkillRefused, match=f"expected a skill file, got {size} bytes"):
            decode(b"\x01" * size)


def test_no_refusal_takes_long() -> None:
    """The slowest file of all takes a small part of the two seconds that are allowed."""
    slowest = 0.0
    for _, data in CASES.values():
        start = time.thread_time()
        with pytest.raises(SkillRefused):
            decode(data)
        slowest = max(slowest, time.thread_time() - start)

    assert slowest < 1.0
