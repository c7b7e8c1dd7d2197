"""The log's pages."""

from django.urls import path

from . import views

urlpatterns = [
    path("audit/", views.log, name="audit-log"),
    path("audit/export.csv", views.export_csv, name="audit-export-csv"),
    path("audit/export.json", views.export_json, name="audit-export-json"),
]
