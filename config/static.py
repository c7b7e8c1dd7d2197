"""Static files of a built image: hashed names, so that a browser may keep them for ever."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class ManifestStorage(CompressedManifestStaticFilesStorage):
    """Rewrites the imports between our JavaScript modules too."""

    support_js_module_import_aggregation = True
