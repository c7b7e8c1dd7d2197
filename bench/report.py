"""The results: a table to read and JSON to keep."""

import os
import platform
import statistics
from dataclasses import asdict


def spread(values, form):
    """The median, with the minimum and maximum in brackets."""
    values = list(values)
    return f"{form(statistics.median(values))} ({form(min(values))}–{form(max(values))})"


def number(value):
    """Three significant digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def table(works):
    """Lines of Markdown: a table for each work. Ratios compare values of the same round."""
    for work in works:
        unit = "MiB/s" if work.unit == "MiB" else "/s"
        cpu = "CPU s/GiB user + system" if work.unit == "MiB" else "CPU ms each"
        yield f"\n**{work.name}**{': ' + work.note if work.note else ''}\n"
        yield f"| | {unit} | ms | × {work.limit} | {cpu} | memory, MiB |"
        yield "| --- | ---: | ---: | ---: | ---: | ---: |"
        limit = [sample.amount / sample.seconds for sample in work.samples[work.limit]]
        for name, samples in work.samples.items():
            rates = [sample.amount / sample.seconds for sample in samples]
            told = {
                title: [sample.facts[name] * 1000 for sample in samples if name in sample.facts]
                for name, title in (("first_byte", "first byte"), ("p95", "p95"))
            }
            cells = [
                name,
                spread(rates, number),
                spread(
                    [sample.seconds / (1 if work.unit == "MiB" else sample.amount) * 1000 for sample in samples], number
                )
                + "".join(f"; {title} {spread(values, number)}" for title, values in told.items() if values),
                spread([rate / least for rate, least in zip(rates, limit, strict=True)], number),
                used(work, samples),
                spread([sample.memory_mib for sample in samples], number),
            ]
            yield f"| {' | '.join(cells)} |"


def used(work, samples):
    """CPU time of the server processes per GiB, or per request."""
    if work.unit == "MiB":
        user, system = (
            statistics.median(getattr(sample, kind) / sample.amount * 1024 for sample in samples)
            for kind in ("user", "system")
        )
        return f"{number(user)} + {number(system)}"
    return spread([(sample.user + sample.system) / sample.amount * 1000 for sample in samples], number)


def facts(works, *, quick, rounds, when, load):
    """All results, for a program to read."""
    return {
        "when": when.isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "system": platform.system(), "python": platform.python_version()},
        "load": {"before": load, "after": os.getloadavg()[0]},
        "quick": quick,
        "rounds": rounds,
        "works": [
            {
                "name": work.name,
                "unit": work.unit,
                "limit": work.limit,
                "note": work.note,
                "samples": {name: [asdict(sample) for sample in samples] for name, samples in work.samples.items()},
            }
            for work in works
        ],
    }
