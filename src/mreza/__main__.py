"""`python -m mreza`: the command line."""

from mreza.cli.main import run

if __name__ == "__main__":
    run()
