"""Bar charts by day. This module computes the numbers; `partials/bars.html` draws them."""

WIDTH, HEIGHT = 720, 180


def bars(rows, *, value, label):
    """The context of `partials/bars.html` for `rows`: dicts with a `day`, oldest first.

    `value` is the key of a row's number, which sets the height of its bar. `label(row)` gives the bar's text. Returns
    {bars: the rows with x, y, width and height in a picture of `width` × `height`, and label; most: the highest value;
    marks: the rows of the days written below}.
    """
    most = max((row[value] for row in rows), default=0)
    step = WIDTH / max(1, len(rows))
    drawn = []
    for number, row in enumerate(rows):
        # A bar above zero is at least 2 high, so that it can be seen.
        height = max(2, round(row[value] / most * HEIGHT, 1)) if row[value] else 0
        place = {"x": round((number + 0.15) * step, 1), "width": round(step * 0.7, 1)}
        drawn.append({**row, **place, "y": round(HEIGHT - height, 1), "height": height, "label": label(row)})
    marks = [drawn[0], drawn[len(drawn) // 2], drawn[-1]] if drawn else []
    return {"bars": drawn, "most": most, "marks": marks, "width": WIDTH, "height": HEIGHT}
