"""Which notices go out by mail, and when; and what an unread one is about, so that the next says more in its place."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_language_and_closure")]

    operations = [
        migrations.AddField(
            model_name="notification",
            name="about",
            field=models.CharField(blank=True, default="", max_length=200),
        ),
        migrations.AddField(
            model_name="notification",
            name="for_digest",
            field=models.BooleanField(default=False),
        ),
        migrations.AddIndex(
            model_name="notification",
            index=models.Index(condition=models.Q(for_digest=True), fields=["user"], name="notification_for_digest"),
        ),
        migrations.AddIndex(
            model_name="notification",
            index=models.Index(
                condition=~models.Q(about=""), fields=["user", "type", "about"], name="notification_about_what"
            ),
        ),
        migrations.AddConstraint(
            model_name="notification",
            constraint=models.UniqueConstraint(
                condition=models.Q(is_read=False) & ~models.Q(about=""),
                fields=["user", "type", "about"],
                name="notification_unread_about",
            ),
        ),
        migrations.CreateModel(
            name="NotificationPreference",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(max_length=40)),
                (
                    "mail",
                    models.CharField(
                        choices=[("now", "At once"), ("digest", "Once a day"), ("off", "Not by e-mail")],
                        max_length=10,
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=models.CASCADE,
                        related_name="notification_preferences",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("user", "kind"), name="one_preference_a_kind"),
                    models.CheckConstraint(condition=models.Q(mail__in=["now", "digest", "off"]), name="mail_is_known"),
                ],
            },
        ),
    ]
