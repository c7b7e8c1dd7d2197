"""The roof: the one table that knows every app."""

from django.contrib import admin
from django.shortcuts import redirect
from django.urls import include, path, reverse
from django.utils.http import urlencode
from django.views.generic import RedirectView

from . import docs, health

admin.site.site_header = admin.site.site_title = "Portal administration"
admin.site.index_title = "Administration"


def admin_login(request):
    """There is one door: the portal's own log-in."""
    if request.user.is_authenticated:
        return redirect("home")
    return redirect(f"{reverse('login')}?{urlencode({'next': request.GET.get('next', reverse('admin:index'))})}")


urlpatterns = [
    path("admin/login/", admin_login),
    path("admin/", admin.site.urls),
    path("api/schema", docs.Schema.as_view(), name="api-schema"),
    path("api/docs", docs.Docs.as_view(), name="api-docs"),
    path("api/", include("accounts.api_urls")),
    path("api/", include("fileshare.api_urls")),
    path("api/", include("audit.api_urls")),
    path("", include("accounts.urls")),
    path("", include("fileshare.urls")),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("favicon.ico", RedirectView.as_view(url="/static/favicon.svg")),
]

handler400 = "config.refusals.bad_request"
handler403 = "config.refusals.permission_denied"
handler404 = "config.refusals.not_found"
handler500 = "config.refusals.server_error"
