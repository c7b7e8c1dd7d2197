"""The OpenAPI schema: tags by path, summaries, and the error answers that every call can return."""

import re

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import get_lib_doc_excludes
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from config.http.parsers import StrictJSONParser

from .serializers import InputSerializer
from .tags import tag_of

LIMIT = OpenApiParameter("limit", OpenApiTypes.INT, description="1 to 500, 100 unless told.")
PAGE_PARAMETERS = [OpenApiParameter("cursor", OpenApiTypes.STR, description="From `next` or `previous`."), LIMIT]
OFFSET_PARAMETERS = [LIMIT, OpenApiParameter("offset", OpenApiTypes.INT)]

ERRORS = {
    "400": ("The request is malformed or a field is not valid.", "invalid", "Enter a valid email address."),
    "401": ("Nobody is signed in, or the token is not valid.", "not_authenticated", "Sign in first."),
    "403": ("You may see it, but not do this.", "permission_denied", "You may not do this."),
    "404": ("It is not there, or you may not see it.", "not_found", "There is nothing here, or you may not see it."),
    "405": ("This address knows other methods.", "method_not_allowed", 'Method "PUT" not allowed.'),
    "409": (
        "The state of things does not allow it; see Retry-After, if any.",
        "conflict",
        "A folder of this name is there already.",
    ),
    "410": ("The link has expired or is used up.", "link_expired", "This link has expired."),
    "413": ("Over the quota or a size limit.", "quota_exceeded", "The folder has no room for this file."),
    "415": ("The kind of file or body is not accepted.", "extension_not_allowed", "Only .docx, .xlsx and .pptx."),
    "429": ("Too many requests; see Retry-After.", "throttled", "Too many requests. Try again in 30 seconds."),
    "503": ("A service behind the portal is down; see Retry-After.", "database_unavailable", "Try again in a moment."),
}


# The first sentence of a docstring, and the rest.
SENTENCE = re.compile(r"(.+?)\.(?:\s+(.*))?$", re.S)


def classes_without_description():
    """Base classes whose docstrings are for developers. Else they would describe every class without one."""
    return [*get_lib_doc_excludes(), InputSerializer]


class PortalSchema(AutoSchema):
    """Groups calls by the first word of their path. The first sentence of a call's docstring is its summary."""

    def get_tags(self):
        return [tag_of(self.path)]

    def get_summary(self):
        return " ".join(self._told()[1].split())

    def get_description(self):
        return self._told()[2] or ""

    def _told(self):
        """A match: the summary, and the rest of the docstring or None."""
        return SENTENCE.match(super().get_description())

    def get_operation_id(self):
        """Method and path: "get_fileshare_folders_folder_id". It stays the same when a view is renamed."""
        words = re.sub(r"[^A-Za-z0-9]+", "_", self.path.removeprefix("/api/")).strip("_")
        return f"{self.method.lower()}_{words}"

    def map_parsers(self):
        return ["application/json" if parser is StrictJSONParser else parser.media_type for parser in self._parsers()]

    def _parsers(self):
        return [type(parser) for parser in self.view.get_parsers()]


def add_error_answers(result, generator, request, public):
    """Postprocessing hook: adds the error body as a component, and the error answers to every operation."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas["Error"] = {
        "type": "object",
        "required": ["detail", "code"],
        "properties": {
            "detail": {"type": "string", "description": "One sentence for people."},
            "code": {"type": "string", "description": "One word for machines."},
            "errors": {
                "type": "object",
                "additionalProperties": {"type": "array", "items": {"type": "string"}},
                "description": "With 400: sentences by field.",
            },
        },
    }
    answers = result["components"].setdefault("responses", {})
    for status, (description, code, detail) in ERRORS.items():
        example = {"detail": detail, "code": code}
        if status == "400":
            example["errors"] = {"email": [detail]}
        answers[f"Error{status}"] = {
            "description": description,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}, "example": example}},
        }
    for item in result["paths"].values():
        for method, operation in item.items():
            if method in ("get", "put", "post", "patch", "delete"):
                for status in ERRORS:
                    operation["responses"].setdefault(status, {"$ref": f"#/components/responses/Error{status}"})
    return result
