"""`teachmesh invite`: let another agent join the mesh."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from teachmesh.cli.command import command
from teachmesh.cli.output import emit, note, say, table
from teachmesh.cli.shared_options import HomeOption, JsonOption, refuse_options

if TYPE_CHECKING:
    from teachmesh.bank.invites import Invite


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    command(
        app,
        "invite",
        "teachmesh invite",
        "teachmesh invite --minutes 10 --at 192.168.1.20 --json",
        "teachmesh invite --list",
        "teachmesh invite --revoke 3f9a",
    )(invite)


def invite(
    context: typer.Context,
    minutes: Annotated[
        float, typer.Option("--minutes", help="Time until the invite expires.")
    ] = 60.0,
    at: Annotated[
        list[str] | None,
        typer.Option(
            "--at",
            help="Address at which others reach this machine; may be repeated. Default: its own.",
            show_default=False,
        ),
    ] = None,
    no_qr: Annotated[bool, typer.Option("--no-qr", help="Print no QR code.")] = False,
    show: Annotated[bool, typer.Option("--list", help="List the invites of this agent.")] = False,
    revoke: Annotated[
        str | None,
        typer.Option("--revoke", help="Revoke the invite with this id.", show_default=False),
    ] = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Print an invite with which one other agent joins the mesh: `teachmesh up --join INVITE`.

    This agent must be running (`teachmesh up`). The invite works once, until it expires, and has a
    secret: send it only to the person that you invite. Both agents trust each other afterwards. The
    QR code has the same text and is printed to stderr.
    """
    if show or revoke is not None:
        reason = "with --list" if show else "with --revoke"
        refuse_options(context, ["minutes", "at", "no_qr", *(["revoke"] if show else [])], reason)
        _show_list(home, json_output) if show else _revoke(home, str(revoke), json_output)
        return
    from teachmesh.agent.known_skills.bank_view import BankView
    from teachmesh.agent.on_mesh.mesh_invites import make_invite

    made = make_invite(BankView(home), 60 * minutes, tuple(at or ()))
    if json_output:
        emit({"schema": "teachmesh.invite/1", **made.to_json()})
        return
    say(str(made.code))
    if not no_qr:
        _show_qr(str(made.code))
    note(
        f"invite {made.id}: works once, for {minutes:g} minutes, at "
        f"{', '.join(made.code.addresses)}; keep it secret"
    )
    note("on the other machine: teachmesh up --join INVITE")


def _show_qr(text: str) -> None:
    try:
        import segno
    except ImportError:
        note('no QR code, because segno is missing; install it with: pip install "teachmesh[qr]"')
        return
    drawn = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(out=drawn, compact=True)
    for line in drawn.getvalue().splitlines():
        note(line)


def _show_list(home: Any, json_output: bool) -> None:
    from teachmesh.bank.home import open_to_read
    from teachmesh.bank.invites import InviteBook

    found, now_s = InviteBook(open_to_read(home).path).invites(), time.time()
    if json_output:
        emit({"schema": "teachmesh.invites/1", "invites": [i.to_json(now_s) for i in found]})
    elif not found:
        say("no invite yet; make one with: teachmesh invite")
    else:
        say(table(["id", "state", "expires", "used by"], [_row(i, now_s) for i in found]))


def _revoke(home: Any, invite_id: str, json_output: bool) -> None:
    from teachmesh.bank.home import open_to_read
    from teachmesh.bank.invites import InviteBook

    revoked = InviteBook(open_to_read(home).path).revoke(invite_id)
    if json_output:
        emit({"schema": "teachmesh.revoked/1", "id": revoked.id})
    else:
        say(f"revoked invite {revoked.id}")


def _row(invite: Invite, now_s: float) -> list[str]:
    shown = invite.to_json(now_s)
    expires = time.strftime("%Y-%m-%d %H:%M", time.localtime(invite.expires_s))
    return [shown["id"], shown["state"], expires, shown["used_by"] or ""]
