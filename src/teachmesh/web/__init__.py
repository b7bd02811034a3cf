"""An agent over HTTP: page, API `/v1`, and clients of it.

- `web_server`: `WebServer`, which serves an agent in a thread; `timed_protocol`: its connections.
- `web_app`: the application: all routes, errors and the guard.
- `web_service`: state that the routes share; `web_limits`: limits of requests.
- `request_guard`, `access`: checks of every request: host, origin, token, size, time.
- `answer_routes`, `teaching_routes`, `skill_routes`, `quarantine_routes`, `peer_routes`,
  `invite_routes`, `mesh_routes`, `page_routes`: the routes.
- `form_files`, `json_answers`, `http_errors`, `public_errors`: reading requests, writing answers.
- `request_workers`, `learning_jobs`, `picture_uploads`: work in the background.
- `event_log`, `request_counts`: events and metrics. `qr_path`: QR codes of invites.
- `api_examples`: examples in the OpenAPI document.
- `http_client`, `async_client`, `http_calls`: `Client` and `AsyncClient` for Python programs.
- `running_web`, `running_agent`, `bare_http`, `named_images`: how commands find and use the agent
  that runs.
- `agent_page`: page and API of `teachmesh up`.

The server and the clients need the packages of the extra `web`; `running_agent` needs none.
"""

from __future__ import annotations
