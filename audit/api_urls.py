"""The log's calls of the API."""

from django.urls import path

from . import api

urlpatterns = [
    path("admin/logs", api.AllEvents.as_view(), name="api-events"),
]
