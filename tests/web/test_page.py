"""The page in a real browser: ask, correct, teach, reload, hostile names, keyboard only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from examples.shop_floor import take_photos

from teachmesh.agent import Agent
from teachmesh.agent.on_mesh.node import Node
from teachmesh_lab.drill.forged_skills import copy_of
from tests.conftest import write_task
from tests.web.page_browser import PHONE, browser, opened, take_pictures, violations
from tests.web.web_agents import Caller, running_here, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

EVIL = '<img src=x onerror="document.title=1">'


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests."""
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of parts: for teaching, and new ones."""
    folder = tmp_path_factory.mktemp("photos")
    for kind in ("bolt", "nut", "washer"):
        take_photos(folder / "parts", kind, first=0, number=12)
        take_photos(folder / "new", kind, first=500, number=2)
    return folder


@pytest.fixture(scope="module")
def shop(
    chromium: Browser, tmp_path_factory: pytest.TempPathFactory, photos: Path
) -> Iterator[Caller]:
    """An agent `alice` that shares with `bob`, who taught colours; alice taught bolts and nuts."""
    folder = tmp_path_factory.mktemp("shop")
    for name in ("alice", "bob"):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps({"alias": name}))
    bob = Agent(folder / "bob")
    bob.learn(write_task(folder, "warm"), name="colours", allow_few=True)
    with served(folder / "alice") as caller:
        alice = caller.server.service.agent
        (folder / "demo-report.html").write_text("<h1>Demo</h1>")
        (folder / "alice" / "demo-report.html").write_text("<h1>Demo</h1>")
        with (
            alice.share(on_event=caller.server.events.add) as node,
            bob.share(join=node.endpoints) as other,
        ):
            two = {"bolt": photos / "parts/bolt", "nut": photos / "parts/nut"}
            images = {k: [p.read_bytes() for p in sorted(f.iterdir())] for k, f in two.items()}
            caller.learn(images, name="parts", allow_few=True)
            wait_for_equal(node, other)
            yield caller


def wait_for_equal(*nodes: Node) -> None:
    """Wait until the nodes hold the same skills."""
    for node in nodes:
        node.wait_for_peers(timeout_s=60)


def ask(page: Page, photo: Path) -> None:
    """Choose a photo on the page, and wait for the answer."""
    before = page.locator(".answer").count()
    page.set_input_files("#ask-files", photo)
    page.locator(".answer").nth(before).wait_for()


def test_a_photo_is_answered_and_corrected_and_the_news_reach_the_others(
    chromium: Browser, shop: Caller, photos: Path
) -> None:
    """Task, class, probability, alternatives and teacher; the other agent has the correction."""
    with opened(chromium, shop) as page:
        take_pictures(page, "empty")
        ask(page, photos / "new/nut/500.png")
        answer = page.locator(".answer").first
        assert answer.locator("h3").text_content() == "nut"
        assert "Taught by alice" in (answer.text_content() or "")
        assert answer.locator(".bars li").count() == 4
        ask(page, photos / "new/washer/500.png")
        answer = page.locator(".answer").first
        answer.locator("summary").click()
        answer.locator("input").fill("washer")
        take_pictures(page, "ask")
        answer.get_by_role("button", name="Learn this").click()
        answer.get_by_text("Other agents that have it: 1 of 1.").wait_for()
        ask(page, photos / "new/washer/500.png")
        assert page.locator(".answer").first.locator("h3").text_content() == "washer"


def test_a_task_is_taught_also_if_the_page_is_reloaded_and_undone(
    chromium: Browser, shop: Caller, photos: Path
) -> None:
    """The job goes on in the agent; the page finds it again, and shows card and remarks."""
    with opened(chromium, shop, "teach") as page:
        page.get_by_role("button", name="Teach", exact=True).click()
        assert "name" in (page.locator("#says").text_content() or "")
        page.get_by_label("Name of the task").fill("shapes")
        boxes = page.locator(".class-box")
        for number, kind in enumerate(("bolt", "washer")):
            box = boxes.nth(number)
            box.get_by_label("Name of the class").fill(kind)
            files = sorted((photos / "parts" / kind).iterdir())
            box.locator("input[type=file]").set_input_files(files)
        page.get_by_label("Quality").select_option("fast")
        take_pictures(page, "teach")
        with shop.server.service.agent.learning:  # so that the job still runs at the reload
            page.get_by_role("button", name="Teach", exact=True).click()
            page.get_by_text("Learning shapes").wait_for()
            page.reload()
            page.get_by_text("Learning shapes").wait_for()
        page.get_by_text("Learned shapes").wait_for()
        take_pictures(page, "learned")
        page.get_by_role("button", name="Share it anyway").click()
        page.get_by_text("It is shared now.").wait_for()
        page.get_by_role("button", name="Undo").first.click()
        page.get_by_text("Undone: shapes is withdrawn").wait_for()
    assert "shapes" not in [skill["task"] for skill in shop.get("/v1/skills")["skills"]]


def test_skills_mesh_and_runs_are_shown(chromium: Browser, shop: Caller) -> None:
    """Search, card and versions; peers, drawing and events; reports."""
    with opened(chromium, shop, "skills") as page:
        page.get_by_label("Search").fill("bob")
        page.get_by_text("1 skill of").wait_for()
        page.get_by_label("Search").fill("parts")
        page.locator("#skills-list summary").click()
        page.get_by_role("button", name="Withdraw everywhere").wait_for()
        take_pictures(page, "skills")
        with page.expect_download() as download:
            page.get_by_role("button", name="Export").click()
        assert download.value.suggested_filename == "parts.skill"
        page.get_by_role("link", name="Mesh").click()
        page.locator("#mesh-peers td", has_text="in sync").wait_for()
        page.locator("#mesh-events li", has_text="received colours").wait_for()
        assert "bob taught 1 task" in (page.locator("#mesh-says").text_content() or "")
        take_pictures(page, "mesh")
        page.get_by_role("link", name="Runs").click()
        page.get_by_role("link", name="demo-report.html").wait_for()
        take_pictures(page, "runs")


def test_an_agent_that_waits_is_trusted_and_blocked(
    chromium: Browser, shop: Caller, tmp_path: Path
) -> None:
    """The notice, the buttons, and the state after each decision."""
    carol = Agent(tmp_path / "carol")
    skill = carol.learn(write_task(tmp_path, "cold"), name="blues").skill_id
    shop.server.service.agent.trust.set_policy("ask")
    shop.ask("POST", "/v1/skills", files={"files": ("blues.skill", carol.read(skill))})
    with opened(chromium, shop, "mesh") as page:
        row = page.locator("#mesh-peers tr", has_text=carol.id)
        row.get_by_text("waits for your decision").wait_for()
        take_pictures(page, "trust")
        row.get_by_role("button", name="Trust").click()
        page.get_by_text("is trusted.").wait_for()
        page.on("dialog", lambda dialog: dialog.accept())
        row.get_by_role("button", name="Block").click()
        row.get_by_text("blocked", exact=True).wait_for()
    assert "blues" not in [found["task"] for found in shop.get("/v1/skills")["skills"]]


def test_a_skill_in_quarantine_is_released_and_dropped(chromium: Browser, shop: Caller) -> None:
    """The reason is shown, the hostile names as text; both decisions work from the keyboard."""
    agent = shop.server.service.agent
    agent.trust.set_policy("open")
    colours = agent.bank.load(agent.find("colours").id).skill
    names = ("&lt;img src=x&gt;", "javascript;2")
    skills = [copy_of(colours, task=name) for name in names]
    for skill in skills:
        shop.ask("POST", "/v1/skills", files={"files": ("colours.skill", skill.data)})
    with opened(chromium, shop, "skills") as page:
        page.on("dialog", lambda dialog: dialog.accept())
        done = (("Use it anyway", "is used from now on."), ("Remove here", "is removed here."))
        for name, (button, text) in zip(names, done, strict=True):
            card = page.locator("#skills-list details", has_text=name)
            card.get_by_text("in quarantine", exact=True).wait_for()
            card.locator("summary").press("Enter")
            card.get_by_text("In quarantine, so no answer uses it").wait_for()
            if name == names[0]:
                take_pictures(page, "quarantine")
            card.get_by_role("button", name=button).press("Enter")
            page.locator("#says", has_text=text).wait_for()
        assert page.locator("#content img[src=x]").count() == 0
    listed = {found["id"]: found["usable"] for found in shop.get("/v1/skills")["skills"]}
    assert (listed.get(skills[0].id), skills[1].id in listed) == (True, False)
    shop.ask("DELETE", f"/v1/skills/{skills[0].id}")


def test_agents_are_connected_with_an_invite_or_an_address(
    chromium: Browser, tmp_path: Path
) -> None:
    """One page shows the invite, the other takes it; nobody leaves the page or the keyboard."""
    homes = {name: tmp_path / name for name in ("dora", "emil", "fred")}
    for name, home in homes.items():
        home.mkdir()
        (home / "config.json").write_text(json.dumps({"alias": name}))
    with (
        running_here(homes["dora"], tls=True) as dora,
        running_here(homes["emil"]) as emil,
        running_here(homes["fred"]) as fred,
    ):
        address = shown_text(chromium, fred, "address")
        assert address.startswith("tcp/127.0.0.1:")
        invite = shown_text(chromium, dora, "invite")
        with opened(chromium, emil, "mesh") as page:
            page.get_by_label("Invite or address").fill("TEACHMESH:" + EVIL)
            page.get_by_label("Invite or address").press("Enter")
            page.locator("#says.error", has_text="expected a whole invite").wait_for()
            page.get_by_label("Invite or address").fill(invite)
            page.get_by_label("Invite or address").press("Enter")
            page.locator("#mesh-peers td", has_text="in sync").wait_for()
            page.locator("#mesh-events li", has_text="joined the mesh of dora").wait_for()
            take_pictures(page, "joined")


def shown_text(chromium: Browser, caller: Caller, kind: str) -> str:
    """Ask for an invite on the page of an agent; return the text, an invite or an address."""
    with opened(chromium, caller, "mesh") as page:
        page.locator("#mesh-state dd", has_text="127.0.0.1:").wait_for()
        page.get_by_role("button", name="Invite an agent").press("Enter")
        page.locator("#connect-copy:focus").wait_for()
        take_pictures(page, kind)
        return page.locator("#connect-copy").input_value()


def test_the_camera_takes_a_picture(chromium: Browser, shop: Caller) -> None:
    """The picture is asked about like a file, and the camera can be closed."""
    with opened(chromium, shop, permissions=["camera"]) as page:
        page.get_by_role("button", name="Use the camera").click()
        while page.locator("video").evaluate("video => video.videoWidth") == 0:
            page.wait_for_timeout(50)
        page.get_by_role("button", name="Take a picture").click()
        page.locator(".answer h3").wait_for()
        page.get_by_role("button", name="Close the camera").click()
        assert page.locator("video").count() == 0


def test_names_of_other_agents_are_text(chromium: Browser, shop: Caller, photos: Path) -> None:
    """A task and a class that are HTML are shown as they are, and nothing runs."""
    shop.server.events.add({"event": "received", "task": EVIL, "skill": "x", "alias": EVIL})
    shop.server.events.add({"event": "refused", "skill": "x", "message": EVIL})
    kinds = {"b<img src=x onerror=alert(1)>": "bolt", "c&amp;d": "washer"}
    images = {
        name: [path.read_bytes() for path in sorted((photos / "parts" / kind).iterdir())]
        for name, kind in kinds.items()
    }
    shop.learn(images, name="javascript;alert(1)")
    with opened(chromium, shop, "skills") as page:
        page.locator("#skills-list summary", has_text="javascript;").click()
        page.get_by_text("b<img src=x onerror=alert(1)>, c&amp;d").wait_for()
        page.get_by_role("link", name="Mesh").click()
        page.locator("#mesh-events", has_text=EVIL).wait_for()
        assert page.locator("#content img[src=x]").count() == 0
        assert page.title() != "1"
    shop.ask("POST", "/v1/skills/javascript;alert(1)/withdraw")


def test_the_page_is_used_with_the_keyboard_alone(
    chromium: Browser, shop: Caller, photos: Path
) -> None:
    """Every control is reached with Tab, and the answer is corrected without a mouse."""
    with opened(chromium, shop, viewport=PHONE) as page:
        ask(page, photos / "new/bolt/500.png")
        page.locator("body").evaluate("() => document.activeElement.blur()")
        press_until(page, "Wrong, it is …")
        page.keyboard.press("Enter")
        page.locator(".answer form input:focus").wait_for()
        page.keyboard.type("bolt")
        page.keyboard.press("Enter")
        page.get_by_text("Learned as bolt of parts.").wait_for()
        press_until(page, "Skills", back=True)
        page.keyboard.press("Enter")
        page.locator("#skills-title:focus").wait_for()


def press_until(page: Page, text: str, *, back: bool = False) -> None:
    """Press Tab until the control with a text has the focus."""
    for _ in range(40):
        page.keyboard.press("Shift+Tab" if back else "Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == text:
            return
    pytest.fail(f"Tab does not reach {text!r}")


def test_without_the_token_one_can_ask_and_is_told_how_to_teach(
    chromium: Browser, shop: Caller, photos: Path
) -> None:
    """The token can be pasted, and the browser keeps it; a wrong one is not enough."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(shop.server.url)
    ask(page, photos / "new/bolt/500.png")
    assert page.locator("#sign-in").is_visible()
    assert violations(page) == []
    page.get_by_label("Token").fill(shop.server.service.access.token)
    page.get_by_role("button", name="Use it").click()
    page.reload()
    page.get_by_role("link", name="Teach").wait_for()
    assert page.locator("#sign-in").is_hidden()
    context.close()
