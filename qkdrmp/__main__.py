"""`python -m qkdrmp` is the `qkdrmp` command."""

from qkdrmp.cli import main

if __name__ == "__main__":
    main(prog_name="qkdrmp")
