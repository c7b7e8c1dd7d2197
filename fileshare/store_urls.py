"""Addresses of bytes: the local store's signed URLs, and encrypted links."""

from django.urls import path

from .views.secure_downloads import SecureDownload
from .views.store import store_object

urlpatterns = [
    path("store/<str:token>", store_object, name="store-object"),
    path("secure-download/<str:token>", SecureDownload.as_view(), name="secure-download"),
]
