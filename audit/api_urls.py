"""The log's calls of the API."""

from django.urls import path

from . import api

urlpatterns = [
    path("fileshare/audit-logs", api.FileEvents.as_view(), name="api-file-events"),
    path("admin/logs", api.AllEvents.as_view(), name="api-events"),
]
