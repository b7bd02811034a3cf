"""`python -m teachmesh` is the same as the `teachmesh` command."""

from teachmesh.cli.main import run

if __name__ == "__main__":
    run()
