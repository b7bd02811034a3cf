"""Commands of the laboratory: `bench`, `demo` and `evaluate`, found by `teachmesh.cli.main`."""
