"""The addresses of the pages about folders and files, and those that send and receive their bytes."""

from django.urls import path

from .views import archives, dashboard, file_requests, files, folders, ops, previews, search, shares, trash
from .views.secure_downloads import SecureDownload
from .views.store import store_object

urlpatterns = [
    path("", dashboard.home, name="home"),
    path("fileshare/", folders.folder_list, name="folders"),
    path("fileshare/<slug:slug>/", folders.folder, name="folder"),
    path("fileshare/<slug:slug>/<slug:subfolder_slug>/", folders.folder, name="subfolder"),
    path("fileshare/<slug:slug>/download.zip", archives.download_folder, name="folder-download"),
    path(
        "fileshare/<slug:slug>/<slug:subfolder_slug>/download.zip", archives.download_folder, name="subfolder-download"
    ),
    path("files/download.zip", archives.download_chosen, name="files-download"),
    path("files/", folders.my_files, name="my-files"),
    path("files/upload", files.upload, name="file-upload"),
    path("files/trash/", trash.trash, name="trash"),
    path("files/<uuid:file_id>/restore", trash.restore, name="file-restore"),
    path("files/<uuid:file_id>/purge", trash.purge, name="file-purge"),
    path("files/<uuid:file_id>/", files.file, name="file"),
    path("files/<uuid:file_id>/download", files.download, name="file-download"),
    path("files/<uuid:file_id>/delete", files.delete, name="file-delete"),
    path("files/<uuid:file_id>/edit", files.edit, name="file-edit"),
    path("files/<uuid:file_id>/preview", previews.file_preview, name="file-preview"),
    path("files/<uuid:file_id>/share", shares.share, name="file-share"),
    path("files/<uuid:file_id>/share/<uuid:share_id>/revoke", shares.revoke, name="share-revoke"),
    path("shares/", shares.my_shares, name="shares"),
    path("shares/<uuid:share_id>/open", shares.open_received, name="share-open"),
    path("share/<str:token>", shares.SharePage.as_view(), name="share"),
    path("share/<str:token>/download", shares.ShareDownloadPage.as_view(), name="share-download"),
    path("share/<str:token>/unlock", shares.ShareUnlock.as_view(), name="share-unlock"),
    path("share/<str:token>/preview", shares.SharePreview.as_view(), name="share-preview"),
    path("files/<uuid:file_id>/tags", files.add_tags, name="file-tags"),
    path("files/<uuid:file_id>/tags/<uuid:tag_id>/remove", files.remove_tag, name="file-tag-remove"),
    path("requests/", file_requests.request_list, name="file-requests"),
    path("requests/new", file_requests.new_request, name="file-request-new"),
    path("requests/<uuid:request_id>/", file_requests.file_request, name="file-request"),
    path("requests/<uuid:request_id>/edit", file_requests.edit, name="file-request-edit"),
    path("requests/<uuid:request_id>/close", file_requests.close, name="file-request-close"),
    path("requests/<uuid:request_id>/reopen", file_requests.reopen, name="file-request-reopen"),
    path("requests/<uuid:request_id>/address", file_requests.renew_address, name="file-request-address"),
    path("requests/<uuid:request_id>/invite", file_requests.invite, name="file-request-invite"),
    path("request/<str:token>", file_requests.sender_page, name="request"),
    path("request/<str:token>/start", file_requests.start, name="request-start"),
    path("request/<str:token>/leave", file_requests.leave, name="request-leave"),
    path("request/<str:token>/send", file_requests.send, name="request-send"),
    path("request/<str:token>/receipt", file_requests.receipt, name="request-receipt"),
    path("ops/", ops.overview, name="ops"),
    path("ops/uploads/", ops.upload_queue, name="ops-uploads"),
    path("ops/uploads/<uuid:file_id>/give-up", ops.give_up, name="ops-give-up"),
    path("ops/files/", ops.files, name="ops-files"),
    path("ops/files/<uuid:file_id>/", ops.file, name="ops-file"),
    path("ops/clients/", ops.clients, name="ops-clients"),
    path("ops/folders/<uuid:folder_id>/clients/<uuid:user_id>/nudge", ops.nudge, name="ops-nudge"),
    path("ops/refusals/", ops.refusals, name="ops-refusals"),
    path("search", search.search, name="search"),
    path("secure-download/<str:token>", SecureDownload.as_view(), name="secure-download"),
    path("store/<str:token>", store_object, name="store-object"),
]
