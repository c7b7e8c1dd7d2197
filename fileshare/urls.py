"""The pages about folders and files, and the addresses their bytes travel by."""

from django.urls import path

from .views import archives, dashboard, files, folders, search, trash
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
    path("files/<uuid:file_id>/tags", files.add_tags, name="file-tags"),
    path("files/<uuid:file_id>/tags/<uuid:tag_id>/remove", files.remove_tag, name="file-tag-remove"),
    path("search", search.search, name="search"),
    path("secure-download/<str:token>", SecureDownload.as_view(), name="secure-download"),
    path("store/<str:token>", store_object, name="store-object"),
]
