from django.db import migrations, models


class Migration(migrations.Migration):
    """The clients desk looks up the newest letter to each of its people."""

    dependencies = [("accounts", "0006_api_tokens")]

    operations = [
        migrations.AddIndex(
            model_name="outgoingmail", index=models.Index(fields=["to", "-created_at"], name="mail_to")
        ),
    ]
