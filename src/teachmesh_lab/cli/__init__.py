"""The commands `bench`, `demo` and `evaluate`, which `teachmesh.cli.main` loads."""
