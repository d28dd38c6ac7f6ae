"""What a failed job said is found at the end of its log."""

from workflow_scripts.plumbing.errors import LINES, last_message


def test_the_last_message_begins_with_the_last_error_and_fits_a_screen():
    assert last_message("step 1\nerror: first\nagain\nerror: banks.parquet: no rows\nadd some\n") == (
        "error: banks.parquet: no rows\nadd some"
    )
    assert last_message("Traceback:\n  line\nValueError: 3\n") == "Traceback:\n  line\nValueError: 3"
    assert last_message("") == ""
    assert len(last_message("error: \n" + "line\n" * 100).splitlines()) == LINES
