"""CSV for spreadsheets."""

import pytest

from config.http.csv_export import csv_answer, harmless


@pytest.mark.parametrize("text", ["\n=1", " =1", "\t=1", "＝1", "＋1", "－1", "＠x", "\u00a0=1", "\r1"])
def test_a_formula_in_disguise_is_none(text):
    assert harmless(text) == f"'{text}"


def test_it_streams_what_it_is_given():
    answer = csv_answer(filename="a.csv", head=["a", "b"], rows=iter([["x", 1], ["=1", None]]))

    assert answer.streaming
    assert b"".join(answer).decode() == "\ufeffa,b\r\nx,1\r\n'=1,None\r\n"
    assert answer["Content-Disposition"] == 'attachment; filename="a.csv"'
