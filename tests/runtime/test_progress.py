"""Progress prints lines where the output is no terminal."""

from medgain.runtime.progress import progress


def test_lines_end_with_the_total(capsys):
    with progress("cells", 3) as advance:
        for note in ("", "", "failed, recorded"):
            advance(1, note)
    assert capsys.readouterr().err.splitlines()[-1] == "cells: 3/3 (failed, recorded)"
