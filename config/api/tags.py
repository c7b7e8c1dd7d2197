"""The headings of the API's documentation, in the order in which people use the calls."""

from dataclasses import dataclass

from config.contributions.registry import Registry


@dataclass(frozen=True)
class Heading:
    """A heading for some calls. They stand in the order of `rank`, in English, as all of the schema."""

    name: str
    rank: int
    about: str


TAGS = Registry("heading of the API")
"""{first word of an address after /api/: Heading}"""


def tag_of(path):
    """The name of the heading for an address such as /api/files/search."""
    return TAGS[path.split("/")[2]].name


def add_headings(result, generator, request, public):
    """Postprocessing hook: lists the headings of the schema's operations, in their order."""
    used = {tag for item in result["paths"].values() for operation in item.values() for tag in operation["tags"]}
    headings = sorted({heading for heading in TAGS.values() if heading.name in used}, key=lambda one: one.rank)
    result["tags"] = [{"name": heading.name, "description": heading.about} for heading in headings]
    return result
