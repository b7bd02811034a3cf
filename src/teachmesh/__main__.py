"""Run the `teachmesh` command as `python -m teachmesh`."""

from teachmesh.cli.main import run

if __name__ == "__main__":
    run()
