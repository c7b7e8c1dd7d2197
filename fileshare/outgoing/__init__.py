"""Downloads: links, single files, ZIP archives and previews."""
