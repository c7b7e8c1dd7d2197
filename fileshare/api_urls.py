"""The addresses of the API calls about folders and files."""

from django.urls import path

from .api import archives, downloads, file_requests, files, folders, log, search, shares, uploads

urlpatterns = [
    path("ops/upload", files.OpsUpload.as_view(), name="api-ops-upload"),
    path("client/files", files.ClientFiles.as_view(), name="api-client-files"),
    path("client/download/<str:file_id>", downloads.ClientDownload.as_view(), name="api-client-download"),
    path("users/me/files", files.OwnFiles.as_view(), name="api-own-files"),
    path("files/upload", files.FormUpload.as_view(), name="api-file-upload"),
    path("files/search", search.Search.as_view(), name="api-search"),
    path("files/tags", files.Tags.as_view(), name="api-tags"),
    path("files/trash", files.Trash.as_view(), name="api-trash"),
    path("files/trash/<str:file_id>", files.TrashedFile.as_view(), name="api-trashed-file"),
    path("files/<str:file_id>", files.OneFile.as_view(), name="api-file"),
    path("files/<str:file_id>/download", downloads.FileDownload.as_view(), name="api-file-download"),
    path("files/<str:file_id>/tags", files.FileTags.as_view(), name="api-file-tags"),
    path("files/<str:file_id>/tags/<str:tag_id>", files.FileTag.as_view(), name="api-file-tag"),
    path("files/<str:file_id>/share", shares.FileShares.as_view(), name="api-file-shares"),
    path("files/<str:file_id>/share/<str:share_id>", shares.OneShare.as_view(), name="api-file-share"),
    path("files/<str:file_id>/restore", files.Restore.as_view(), name="api-file-restore"),
    path("file-requests", file_requests.FileRequests.as_view(), name="api-file-requests"),
    path("file-requests/<str:request_id>", file_requests.OneFileRequest.as_view(), name="api-file-request"),
    path("file-requests/<str:request_id>/files", file_requests.ReceivedFiles.as_view(), name="api-received-files"),
    path("fileshare/folders", folders.Folders.as_view(), name="api-folders"),
    path("fileshare/folders/<str:folder_id>", folders.OneFolder.as_view(), name="api-folder"),
    path("fileshare/folders/<str:folder_id>/subfolders", folders.Subfolders.as_view(), name="api-subfolders"),
    path("fileshare/subfolders/<str:subfolder_id>", folders.OneSubfolder.as_view(), name="api-subfolder"),
    path("fileshare/folders/<str:folder_id>/permissions", folders.Permissions.as_view(), name="api-grants"),
    path("fileshare/permissions/<str:permission_id>", folders.OnePermission.as_view(), name="api-grant"),
    path("fileshare/folders/<str:folder_id>/files", folders.FolderFiles.as_view(), name="api-folder-files"),
    path("fileshare/audit-logs", log.FileEvents.as_view(), name="api-file-events"),
    path("fileshare/upload/initiate", uploads.Initiate.as_view(), name="api-initiate"),
    path("fileshare/upload/complete", uploads.Complete.as_view(), name="api-complete"),
    path("fileshare/upload/abort", uploads.Abort.as_view(), name="api-abort"),
    path("fileshare/upload/<str:file_id>", uploads.OneUpload.as_view(), name="api-upload"),
    path("fileshare/uploads", uploads.Uploads.as_view(), name="api-uploads"),
    path("fileshare/download/bulk", archives.Bulk.as_view(), name="api-bulk"),
    path("fileshare/download/bulk/<str:archive_id>", archives.BulkAgain.as_view(), name="api-bulk-again"),
    path("fileshare/download/<str:file_id>", downloads.DownloadUrl.as_view(), name="api-download-url"),
    path(
        "fileshare/files/<str:file_id>",
        files.FolderFile.as_view(),
        name="api-fileshare-file",
    ),
]
