"""Examples of documents for the OpenAPI page; a test compares their keys with real answers."""

from __future__ import annotations

from typing import Any

_ID = "3f9a5c0d" * 8
_AUTHOR = "7Q2M-K4XC"
_RUNNER_UP = {"task": "screws", "class": "M5", "probability": 0.04}
PREDICT: dict[str, Any] = {
    "schema": "teachmesh.predict/1",
    "method": "moments",
    "backbone": "embedded",
    "encoder": "names",
    "predictions": [
        {
            "image": "part.jpg",
            "task": "screws",
            "probability": 0.94,
            "unknown": False,
            "author": _AUTHOR,
            "alias": "bench-2",
            "alternatives": [_RUNNER_UP],
            "same_as": [],
            "unknown_reason": "",
            "familiarity": 0.3,
            "probability_together": 0.94,
            "class": "M4",
            "skill": _ID,
        }
    ],
    "skipped": [],
}
CORRECT: dict[str, Any] = {
    "schema": "teachmesh.correct/1",
    "task": "screws",
    "left": ["M5"],
    "known": False,
    "part": None,
    "class": "M4",
    "skill": _ID,
}
UPLOAD: dict[str, Any] = {
    "schema": "teachmesh.upload/1",
    "upload": "9c41d0e2aa310b55",
    "images": 12,
    "size_bytes": 240_000,
    "classes": {"M4": 12},
}
LEARN: dict[str, Any] = {"upload": "9c41d0e2aa310b55", "name": "screws", "quality": "best"}
JOB: dict[str, Any] = {
    "schema": "teachmesh.job/1",
    "job": "51f3aa09c2d7e614",
    "task": "screws",
    "state": "running",
    "done": 64,
    "total": 320,
    "summary": "2 classes, 256 / 32 / 32 images (train / validation / test)",
    "result": None,
    "error": None,
}
SKILL: dict[str, Any] = {
    "id": _ID,
    "task": "screws",
    "display_name": "screws",
    "method": "moments",
    "anchors": ["moments"],
    "n_classes": 2,
    "author": _AUTHOR,
    "alias": "bench-2",
    "size_bytes": 36_900,
    "created": "2026-11-30T12:00:00Z",
    "usable": True,
    "reason": "",
    "active": True,
    "remark": "",
}
SKILLS: dict[str, Any] = {
    "schema": "teachmesh.skills/1",
    "digest": _ID,
    "skills": [SKILL],
    "withheld": {},
}
CARD: dict[str, Any] = {
    "schema": "teachmesh.skill-card/1",
    "id": _ID,
    "card": {"task": "screws", "classes": ["M4", "M5"]},
    "skill": {**SKILL, "own": True},
}
HISTORY: dict[str, Any] = {
    "schema": "teachmesh.history/1",
    "versions": [
        {
            "version": 1,
            "id": _ID,
            "created": "2026-11-30T12:00:00Z",
            "author": _AUTHOR,
            "alias": "bench-2",
            "classes": ["M4", "M5"],
            "validation_accuracy": 0.97,
            "active": True,
            "replaces": None,
        }
    ],
}
RESTORED: dict[str, Any] = {
    "schema": "teachmesh.restored/1",
    "task": "screws",
    "version": 1,
    "changed": True,
    "from": _ID,
    "skill": _ID,
}
WITHDRAWN: dict[str, Any] = {"schema": "teachmesh.withdrawn/1", "task": "screws", "skills": [_ID]}
SHARED: dict[str, Any] = {
    "schema": "teachmesh.shared/1",
    "task": "screws",
    "skills": [_ID],
    "shared": True,
}
REMOVED: dict[str, Any] = {"schema": "teachmesh.removed/1", "id": _ID, "task": "screws"}
IMPORTED: dict[str, Any] = {
    "schema": "teachmesh.imported/1",
    "skills": [{"id": _ID, "task": "screws", "file": "screws.skill"}],
    "failed": [],
}
QUARANTINE: dict[str, Any] = {
    "schema": "teachmesh.quarantine/1",
    "skills": [
        {
            "id": _ID,
            "name": "screws@bench-9",
            "author": "K7QM-2F3D-ABCD-EFGH",
            "alias": "bench-9",
            "code": "CAPTURE",
            "reason": "it takes 60 % of the images of screws",
            "against": "screws",
        }
    ],
}
RELEASED: dict[str, Any] = {"schema": "teachmesh.released/1", "id": _ID, "task": "screws"}
STATUS: dict[str, Any] = {
    "schema": "teachmesh.status/1",
    "id": _AUTHOR,
    "alias": "bench-2",
    "home": "/home/me/.local/share/teachmesh",
    "backbone": "embedded",
    "backbone_licence": "Apache-2.0",
    "method": "moments",
    "skills": 1,
    "withdrawn": 0,
    "policy": "ask",
    "pending": 0,
    "withheld": 0,
    "blocked": 0,
    "forks": 0,
    "usable": 1,
    "classes": 2,
    "size_bytes": 36_900,
    "digest": _ID,
    "running": None,
}
_PEER: dict[str, Any] = {
    "id": "K7QM-2F3D-ABCD-EFGH",
    "alias": "bench-3",
    "standing": "trusted",
    "decided": None,
    "stranger": False,
    "own": False,
    "skills": 1,
    "last_seen_s": 0.4,
    "in_sync": True,
}
PEERS: dict[str, Any] = {"schema": "teachmesh.peers/1", "policy": "ask", "agents": [_PEER]}
PEER: dict[str, Any] = {"schema": "teachmesh.peer/1", "decision": "trust", "agent": _PEER}
PENDING: dict[str, Any] = {"schema": "teachmesh.pending/1", "skills": [SKILL]}
_OPEN_INVITE: dict[str, Any] = {
    "id": "3f9a5c0d",
    "state": "open",
    "expires_s": 1_796_000_000,
    "used_by": None,
}
INVITES: dict[str, Any] = {"schema": "teachmesh.invites/1", "invites": [_OPEN_INVITE]}
INVITE: dict[str, Any] = {
    "schema": "teachmesh.invite/1",
    "id": "3f9a5c0d",
    "invite": "TEACHMESH:AEBAGBAF...",
    "agent": _AUTHOR,
    "expires_s": 1_796_000_000,
    "addresses": ["192.168.1.20:7448"],
    "qr": {"size": 45, "path": "M0 0h7v1h-7z"},
}
REVOKED: dict[str, Any] = {"schema": "teachmesh.revoked/1", "id": "3f9a5c0d"}
JOIN: dict[str, Any] = {"join": "TEACHMESH:AEBAGBAF..."}
JOINED: dict[str, Any] = {"schema": "teachmesh.joined/1", "endpoints": ["tls/192.168.1.20:7447"]}
AGENT: dict[str, Any] = {
    "schema": "teachmesh.agent/1",
    "home": "/home/me/.local/share/teachmesh",
    "backbone": "embedded",
    "method": "moments",
    "device": "auto",
    "configured": {"backbone": "embedded", "method": "moments"},
    "limits": {"body_bytes": 20_971_520, "files": 64},
}
RUNS: dict[str, Any] = {
    "schema": "teachmesh.runs/1",
    "runs": [{"name": "demo-report.html", "size_bytes": 52_000, "written_s": 1_796_000_000.0}],
}
