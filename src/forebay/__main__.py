"""`python -m forebay`: the command line."""

from forebay.cli import main

if __name__ == "__main__":
    main()
