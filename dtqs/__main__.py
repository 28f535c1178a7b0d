"""`python -m dtqs`: the command line."""

from dtqs.cli import main

if __name__ == "__main__":
    main(prog_name="dtqs")
