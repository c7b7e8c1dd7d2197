from django.urls import path

from config import urls as portal

from . import views

urlpatterns = [
    *portal.urlpatterns,
    path("api/lending/things", views.Things.as_view(), name="api-things"),
    path("lent/<str:token>", views.lent, name="lent"),
]
handler400, handler403 = portal.handler400, portal.handler403
handler404, handler500 = portal.handler404, portal.handler500
