#!/usr/bin/env bash
# A client made by openapi-python-client raises UnexpectedStatus for a 200 that the document promises, if it is a ZIP.
#
# Expected: drf-spectacular describes a download as `application/zip`, `format: binary`, and the generated client hands
#           out its bytes, as it does for `application/octet-stream`.
# Seen:     the generator leaves the answer out with a warning and ends with 0. With `raise_on_unexpected_status` the
#           client then raises UnexpectedStatus for status 200; without it, `parsed` is None.
# With:     openapi-python-client 0.29.1, drf-spectacular 0.30.0, djangorestframework 3.18.3, Django 5.2.19; 2026-11.
# Matters:  the people who use the portal's API generate their clients. PDF answers are left out in the same way.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --disable-pip-version-check openapi-python-client==0.29.1 drf-spectacular==0.30.0 \
  djangorestframework==3.18.3 django==5.2.19

cat >describe.py <<'PY'
import json

import django
from django.conf import settings

settings.configure(
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["rest_framework", "drf_spectacular"],
    REST_FRAMEWORK={"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema", "UNAUTHENTICATED_USER": None},
    SPECTACULAR_SETTINGS={"TITLE": "portal", "VERSION": "1"},
)
django.setup()

from django.urls import path
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework.views import APIView


def view(kind, name):
    class Download(APIView):
        authentication_classes = permission_classes = []

        @extend_schema(operation_id=name, tags=["get"], responses={(200, kind): OpenApiTypes.BINARY})
        def get(self, request): ...

    return Download.as_view()


urlpatterns = [path("zip", view("application/zip", "folder")), path("file", view("application/octet-stream", "file"))]
json.dump(SchemaGenerator().get_schema(public=True), open("schema.json", "w"))
PY
venv/bin/python describe.py
venv/bin/openapi-python-client generate --path schema.json --meta none --output-path portal >told 2>&1
grep -q "Unsupported content_type application/zip" told
echo "seen: the generator ends with 0 and a warning"

venv/bin/python - <<'PY'
import httpx
from portal import Client
from portal.api.get import file, folder
from portal.errors import UnexpectedStatus

server = httpx.MockTransport(lambda request: httpx.Response(200, content=b"PK"))
client = Client("http://portal", raise_on_unexpected_status=True, httpx_args={"transport": server})
assert file.sync_detailed(client=client).parsed.payload.read() == b"PK"
print("seen: octet-stream gives the bytes")
try:
    raised = folder.sync_detailed(client=client)
except UnexpectedStatus as error:
    raised = error
print(f"seen: zip gives {type(raised).__name__}, status {raised.status_code}")
assert isinstance(raised, UnexpectedStatus) and raised.status_code == 200
PY
