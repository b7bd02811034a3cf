"""`skills history` and `restore`, `learn --replace`, and tasks of one name, as people type them."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from teachmesh.agent.known_skills.bank_view import BankView
from teachmesh.bank.home import Config
from teachmesh.packet.signing import AgentKey, agent_id, sign
from teachmesh.packet.skill import Skill
from tests.cli.test_commands import run, run_json
from tests.conftest import write_muddled_task, write_task
from tests.packet.sample_skills import ALICE, BOB, MALLORY, sample_signed

SEEDS = (0, 1)


@pytest.fixture
def versions(tmp_path: Path) -> list[str]:
    """Put two versions of `flowers` into the home of Alice, the default; return their ids."""
    view = BankView(tmp_path / "default-home")
    view.home.key_file.write_bytes(ALICE.to_bytes())
    view.home.save_config(Config(alias="alice"))
    ids: list[str] = []
    for seed in SEEDS:
        before = ids[-1] if ids else None
        ids.append(view.bank.put(sample_signed(ALICE, seed, replaces=before)).id)
    return ids


def put_skill(key: AgentKey, seed: int, alias: str, task: str = "flowers") -> str:
    """Put a skill of another agent into the default home; return its id."""
    return BankView().bank.put(sample_signed(key, seed, alias=alias, task=task)).id


def test_history_lists_all_versions_newest_first(versions: list[str]) -> None:
    """As a table for people, as a document for programs; `list` shows the active ones only."""
    lines = run("skills", "history", "flowers").stdout.splitlines()
    header = ["version", "created", "author", "classes", "right", "id", "active", "replaces"]
    assert lines[0].split() == header
    when = "2026-11-23T11:00:00Z"
    start = [when, "alice", f"({agent_id(ALICE.public_key)[:9]})", "3", "87.5", "%"]
    assert lines[2].split() == ["2", *start, versions[1][:12], "yes", "1"]
    assert lines[3].split() == ["1", *start, versions[0][:12], "no", "-"]
    document = run_json("skills", "history", versions[0][:8])
    assert document["schema"] == "teachmesh.history/1"
    newest, oldest = document["versions"]
    assert newest == oldest | {"version": 2, "id": versions[1], "active": True} | {
        "replaces": versions[0]
    }
    assert oldest["classes"] == ["flower 0", "flower 1", "flower 2"]
    assert (oldest["validation_accuracy"], oldest["replaces"]) == (0.875, None)
    (active,) = run_json("skills", "list")["skills"]
    both = run_json("skills", "list", "--all")["skills"]
    assert [skill["id"] for skill in both if skill["active"]] == [active["id"]] == [versions[1]]
    assert {skill["id"] for skill in both} == set(versions)
    assert versions[0][:12] not in run("skills", "list").stdout
    assert f"flowers@alice@{versions[0][:8]} " in run("skills", "list", "--all").stdout


def test_restore_says_which_version_is_active_now(versions: list[str]) -> None:
    """Back, forth again, and a sentence if there is nothing to do."""
    done = run_json("skills", "restore", "flowers")
    assert (done["task"], done["version"], done["from"]) == ("flowers", 1, versions[0])
    assert done["changed"] is True
    assert run_json("skills", "show", "flowers")["id"] == done["skill"]
    said = run("skills", "restore", "flowers", "3").stdout
    short = done["skill"][:12]
    assert said == f"version 3 of flowers is active already (skill {short}); nothing was changed\n"
    assert "restored version 2 of flowers as skill " in run("skills", "restore", "flowers").stdout
    history = run_json("skills", "history", "flowers")["versions"]
    assert [one["version"] for one in history if one["active"]] == [4]
    for arguments in (("flowers", "9"), ("flowers", "x")):
        assert (
            "from 1 to 4, or the start of its id"
            in run("skills", "restore", *arguments, code=2).stderr
        )
    put_skill(BOB, 5, "bob", "roses")
    (line,) = run("skills", "restore", "roses", code=2).stderr.splitlines()
    assert "got 'roses' by bob" in line
    assert "only its author can restore a version" in line
    document = run_json("skills", "restore", "rose", code=4)
    assert "did you mean 'roses'" in document["message"]


def test_a_task_name_is_mine_then_the_only_one_then_a_choice(
    versions: list[str], tmp_path: Path
) -> None:
    """Every command that takes a name; a stranger's task changes no script."""
    roses = put_skill(BOB, 5, "bob", "roses")
    assert run_json("skills", "show", "roses")["id"] == roses
    put_skill(BOB, 6, "bob")
    other = put_skill(MALLORY, 7, "carol", "roses")
    target = tmp_path / "file.skill"
    for command in ("show", "history", "export", "remove"):
        extra = ["--output", str(target)] if command == "export" else []
        extra += ["--yes"] if command == "remove" else []
        result = run("skills", command, "roses", *extra, code=4)
        assert "'roses' fits 2: name one of roses@bob, roses@carol" in result.stderr
    assert run_json("skills", "show", "roses@carol")["id"] == other
    assert run_json("skills", "show", "flowers")["id"] == versions[1]
    assert run_json("skills", "export", "flowers", "-o", str(target))["id"] == versions[1]
    assert run_json("skills", "history", "flowers")["versions"][0]["id"] == versions[1]
    assert run_json("skills", "restore", "flowers")["from"] == versions[0]
    names = {skill["display_name"] for skill in run_json("skills", "list")["skills"]}
    assert names == {"flowers@alice", "flowers@bob", "roses@bob", "roses@carol"}
    assert run_json("skills", "remove", "flowers")["task"] == "flowers@alice"


def test_a_worse_version_is_stopped_forced_and_taken_back(tmp_path: Path) -> None:
    """The whole story: good, refused, forced, restored; a peer that gets it answers as before."""
    warm = write_task(tmp_path / "tasks", "warm", per_class=6)
    image = str(sorted((warm / "red").iterdir())[0])
    first = run_json("learn", str(warm))["skill"]
    muddled = str(write_muddled_task(tmp_path, "warm"))
    result = run("learn", muddled, "--replace", code=2)
    assert "right on validation images are 0.0 % of 9 instead of 100.0 % of 3" in result.stderr
    assert [skill["id"] for skill in run_json("skills", "list", "--all")["skills"]] == [first]
    two = Path(shutil.copytree(warm, tmp_path / "two" / "warm"))
    shutil.rmtree(two / "red")
    document = json.loads(run("learn", str(two), "--replace", "--json", code=2).stdout)
    assert "all 3 classes of 'warm' in its new version too" in document["message"]
    forced = run_json("learn", str(two), "--replace", "--force")
    (answer,) = run_json("predict", image, "--task", "warm")["predictions"]
    assert answer["skill"] == forced["skill"]
    restored = run_json("skills", "restore", "warm")
    assert restored["from"] == first
    peer, file = str(tmp_path / "peer"), str(tmp_path / "warm.skill")
    run("skills", "export", forced["skill"], "--output", file)
    run("skills", "import", file, "--home", peer)
    run("skills", "export", "warm", "--output", file)
    run("skills", "import", file, "--home", peer)
    for home in (["--home", peer], []):
        (answer,) = run_json("predict", image, "--task", "warm", *home)["predictions"]
        assert (answer["skill"], answer["class"]) == (restored["skill"], "red")


def test_predict_and_combine_take_my_task_first(tmp_path: Path) -> None:
    """With a stranger's task of the same name in the bank; without mine, the choice is listed."""
    warm = write_task(tmp_path / "tasks", "warm", per_class=6)
    mine = run_json("learn", str(warm))["skill"]
    view = BankView()
    bank = view.bank
    skill = bank.load(mine).skill
    for key, alias in ((BOB, "bob"), (MALLORY, "mal")):  # who learned the same
        card = dataclasses.replace(skill.card, author=key.public_key, alias=alias)
        copy = sign(Skill(card, skill.tensors), key)
        bank.put(copy)
        view.verdicts.release(copy.id)
    image = str(sorted((warm / "red").iterdir())[0])
    (answer,) = run_json("predict", image, "--task", "warm")["predictions"]
    assert answer["skill"] == mine
    (answer,) = run_json("predict", image, "--task", "warm@bob")["predictions"]
    assert answer["alias"] == "bob"
    for arguments in (("warm:red", "warm:yellow"), ("red", "yellow", "--from", "warm")):
        document = run_json("combine", "x", *arguments, "--replace", "--encoder", "names")
        parents = [parent for entry in document["classes"] for parent in entry["parents"]]
        assert [parent["skill"] for parent in parents] == [mine, mine]
    run("skills", "remove", "warm", "--yes")
    for command, code in (("predict", 4), ("combine", 2)):
        given = [image, "--task", "warm"] if command == "predict" else ["y", "warm:red", "red"]
        result = run(command, *given, code=code)
        assert "'warm' fits 2: name one of warm@bob, warm@mal" in result.stderr
