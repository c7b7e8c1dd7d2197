"""Bar charts by day."""

from datetime import date

from config.drawing.charts import HEIGHT, WIDTH, bars


def days(*values):
    return [{"day": date(2026, 11, number), "n": value} for number, value in enumerate(values, start=1)]


def test_the_highest_bar_fills_the_picture_and_a_small_one_still_shows():
    chart = bars(days(0, 1, 10_000), value="n", label=lambda row: f"{row['n']} files")

    assert [bar["height"] for bar in chart["bars"]] == [0, 2, HEIGHT]
    assert [bar["label"] for bar in chart["bars"]] == ["0 files", "1 files", "10000 files"]
    assert chart["most"] == 10_000
    last = chart["bars"][-1]
    assert (last["y"], last["x"] + last["width"] <= WIDTH) == (0, True)


def test_no_rows_no_bars():
    assert bars([], value="n", label=str)["bars"] == []
