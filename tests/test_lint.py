"""scripts/lint.py: what it finds itself, without other programs."""

import pytest

from scripts import lint

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    "name", ["templates/a/page.html", "templates/mail/letter.txt", "static/css/a.css", "static/js/a.js"]
)
def test_a_page_with_a_line_of_201_characters_is_named(name, tmp_path, monkeypatch, capsys):
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(f"{'é' * 200}\n{'x' * 201}\n", encoding="utf-8")
    monkeypatch.setattr(lint, "ROOT", tmp_path)

    assert lint.check_line_lengths() == ("line lengths", False)
    assert capsys.readouterr().out.splitlines()[1:] == [f"{name}:2: 201 characters, at most 200"]


def test_lines_of_200_characters_are_in_order(tmp_path, monkeypatch):
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "page.html").write_text("x" * 200, encoding="utf-8")
    (tmp_path / "templates" / "picture.png").write_bytes(b"\xff" * 300)
    monkeypatch.setattr(lint, "ROOT", tmp_path)

    assert lint.check_line_lengths() == ("line lengths", True)
