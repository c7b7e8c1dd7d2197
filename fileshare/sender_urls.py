"""The API calls that the sender's page of a file request makes. Their addresses begin with the page's own."""

from django.urls import path

from .api import senders

urlpatterns = [
    path("request/<str:token>/upload/initiate", senders.SenderInitiate.as_view(), name="request-initiate"),
    path("request/<str:token>/upload/complete", senders.SenderComplete.as_view(), name="request-complete"),
    path("request/<str:token>/upload/abort", senders.SenderAbort.as_view(), name="request-abort"),
    path("request/<str:token>/upload/<str:file_id>", senders.SenderUpload.as_view(), name="request-upload"),
]
