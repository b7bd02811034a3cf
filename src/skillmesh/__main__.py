"""`python -m skillmesh` is the same as the `skillmesh` command."""

from skillmesh.cli.main import run

if __name__ == "__main__":
    run()
