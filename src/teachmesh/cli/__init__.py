"""The `teachmesh` command: options, messages and exit codes, but no logic.

- `main`: the application and its commands, including those of other packages.
- `plain_lines`: runs plain lines of `predict` and `status` without typer, which is slow to import.
- `command`: declares a command with its examples, errors and exit codes.
- `clear_errors`: one sentence and an exit code for each error; `verbosity`: log and remarks.
- `shared_options`: options that several commands share.
- `output`: one JSON document on stdout; progress bars and remarks on stderr.
- `learn_command`, `skills_commands`, ...: one module per command or command group.

Commands import torch, numpy and the network library only when they run, so that
`teachmesh --help` and shell completion take little longer than importing typer.
"""
