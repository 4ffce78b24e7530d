"""The operator's command line as a module: `python -m onecard`."""

from onecard.commands import main

main()
