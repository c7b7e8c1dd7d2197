"""Move, copy, delete and tag many files by one call, for scripts."""

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from config.api.serializers import read
from config.http.throttling import throttle
from fileshare import lists
from fileshare.contributions import scopes
from fileshare.many import copying, deleting, moving, tagging

from ..models import File
from . import files, serializers


def answer(user, done):
    """The body for what an operation on many files did: its `files`, as `user` sees them, and its `refused`.

    A file that somebody has deleted for good since then is in neither.
    """
    ids = [file.pk for file in done.files]
    rows = {row.pk: row for row in lists.rows_with_tags(File.objects.filter(pk__in=ids).as_rows(user))}
    done_rows = [rows[pk] for pk in ids if pk in rows]
    return Response(serializers.ManyAnswer({"done": done_rows, "refused": done.refused}).data)


class Move(APIView):
    token_scopes = scopes.FILES

    @extend_schema(request=serializers.ManyToInput, responses=serializers.ManyAnswer)
    def post(self, request):
        """Move up to 1,000 files to a folder or subfolder.

        They keep their ids, history, tags, links and holds. A file that comes into another folder is kept as long as
        that folder keeps a new one.
        """
        throttle(request, "many_files")
        facts = read(serializers.ManyToInput, request)
        return answer(request.user, moving.move(user=request.user, **facts))


class Copy(APIView):
    token_scopes = scopes.FILES

    @extend_schema(request=serializers.ManyToInput, responses=serializers.ManyAnswer)
    def post(self, request):
        """Copy up to 1,000 files to a folder or subfolder. The answer has the copies, which are new files."""
        throttle(request, "many_files")
        facts = read(serializers.ManyToInput, request)
        return answer(request.user, copying.copy(user=request.user, **facts))


class Delete(APIView):
    token_scopes = scopes.FILES

    @extend_schema(request=serializers.ManyInput, responses=serializers.ManyAnswer)
    def post(self, request):
        """Move up to 1,000 files to the trash. They can be restored from there for some days."""
        throttle(request, "many_files")
        facts = read(serializers.ManyInput, request)
        return answer(request.user, deleting.delete(user=request.user, **facts))


class Tags(files.Tags):
    @extend_schema(request=serializers.ManyTagsInput, responses=serializers.ManyAnswer)
    def post(self, request):
        """Add and remove tags of up to 1,000 files."""
        throttle(request, "many_files")
        facts = read(serializers.ManyTagsInput, request)
        add, remove = facts.pop("tags", ()), facts.pop("remove_tags", ())
        return answer(request.user, tagging.change_tags(user=request.user, add=add, remove=remove, **facts))
