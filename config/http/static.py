"""Static files of a built image. Their names hold a hash, so browsers may cache them for ever."""

import re

from whitenoise.storage import CompressedManifestStaticFilesStorage

IN_A_COMMENT = re.compile(r"\s*(//|/?\*)")


class ManifestStorage(CompressedManifestStaticFilesStorage):
    """Also rewrites the imports between our JavaScript modules."""

    support_js_module_import_aggregation = True

    def url_converter(self, name, hashed_files, template=None):
        """Django's converter, but leaves comments alone.

        A type such as `{import("./ticket.js").Ticket}` in a comment loads nothing. If it counted as an import, two
        modules that name each other's types would depend on each other's hash, and no hash would fit.
        """
        convert = super().url_converter(name, hashed_files, template)

        def convert_code(match):
            line = match.string[match.string.rfind("\n", 0, match.start()) + 1 : match.start()]
            return match["matched"] if name.endswith(".js") and IN_A_COMMENT.match(line) else convert(match)

        return convert_code
