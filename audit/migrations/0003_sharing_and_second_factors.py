"""Sharing, file requests, second factors and tokens in the log."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0002_restore_and_purge"),
    ]

    operations = [
        migrations.AlterField(
            model_name="event",
            name="action",
            field=models.CharField(
                choices=[
                    ("signup", "Signed up"),
                    ("email_verified", "Address verified"),
                    ("login", "Logged in"),
                    ("login_failed", "Log-in failed"),
                    ("logout", "Logged out"),
                    ("token_reused", "Refresh token used twice"),
                    ("password_reset_requested", "Password reset asked for"),
                    ("password_changed", "Password changed"),
                    ("email_changed", "Address changed"),
                    ("second_factor_added", "Second factor added"),
                    ("second_factor_removed", "Second factor removed"),
                    ("second_factor_failed", "Second factor failed"),
                    ("recovery_code_used", "Recovery code used"),
                    ("session_ended", "Session ended"),
                    ("api_token_created", "API token made"),
                    ("api_token_revoked", "API token revoked"),
                    ("profile_changed", "Profile changed"),
                    ("data_exported", "Own data exported"),
                    ("account_closed", "Account closed"),
                    ("user_changed", "User changed"),
                    ("role_changed", "Role changed"),
                    ("company_changed", "Company changed"),
                    ("folder_created", "Folder made"),
                    ("folder_changed", "Folder changed"),
                    ("folder_deleted", "Folder deleted"),
                    ("permission_granted", "Permission granted"),
                    ("permission_revoked", "Permission revoked"),
                    ("upload", "Uploaded"),
                    ("upload_refused", "Upload refused"),
                    ("upload_aborted", "Upload given up"),
                    ("link_created", "Download link made"),
                    ("link_refused", "Download link refused"),
                    ("download", "Downloaded"),
                    ("preview", "Looked at"),
                    ("share_created", "Share link made"),
                    ("share_revoked", "Share link revoked"),
                    ("share_refused", "Share link refused"),
                    ("request_created", "File request made"),
                    ("request_changed", "File request changed"),
                    ("request_closed", "File request closed"),
                    ("request_refused", "File request refused"),
                    ("file_changed", "File changed"),
                    ("delete", "Deleted"),
                    ("restore", "Restored"),
                    ("purge", "Deleted for good"),
                    ("expired", "Expired"),
                    ("quota_repaired", "Sizes repaired"),
                    ("store_reconciled", "Store compared with the files"),
                ],
                max_length=40,
            ),
        ),
    ]
