"""The `teachmesh` command: thin, no logic, the only place that prints.

- `main`: the application, its commands, and what an error looks like.
- `command`: how a command is declared (examples, errors, exit codes).
- `shared_options`: options that several commands share.
- `output`: one JSON document on stdout, bars and remarks on stderr.
- one module per command or group: `learn`, `predict`, `evaluate`, `skills`, `backbone`, `up`,
  `status`, `demo`, `doctor`.

Nothing here imports torch, numpy or the network at import time: `teachmesh --help` is instant.
"""
