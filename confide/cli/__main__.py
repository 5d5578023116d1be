"""`python -m confide.cli`: the same as the `confide` command."""

from confide.cli.main import main

main(prog_name="confide")
