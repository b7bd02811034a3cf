"""The `teachmesh` command: options, messages and exit codes, but no logic.

- `main`: the application and its commands, those of other packages included.
- `command`: declaration of one command: examples, errors, exit codes.
- `shared_options`: options that several commands share.
- `output`: one JSON document on stdout; progress bars and remarks on stderr.
- one module per command or group: `learn_command`, `skills_commands`, ...

The modules load neither torch nor numpy nor the network; commands import them when they run. So
`teachmesh --help` and shell completion take little longer than importing typer.
"""
