"""`python -m medgain`: the same as the command `medgain`."""

from medgain.cli.main import main

if __name__ == "__main__":
    main()
