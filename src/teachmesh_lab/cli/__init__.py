"""Commands of the laboratory: `bench`, `demo` and `evaluate`, which `teachmesh.cli.main` loads."""
