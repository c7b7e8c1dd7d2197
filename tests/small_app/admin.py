from django.contrib import admin

from config.admin.site import ReadOnlyAdmin

from .models import Thing


@admin.register(Thing)
class ThingAdmin(ReadOnlyAdmin):
    list_display = ["lent_to"]
