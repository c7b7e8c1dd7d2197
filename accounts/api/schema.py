"""The OpenAPI schema with the scopes of API tokens."""

from accounts.signing_in.scopes import scope_of
from config.api.schema import PortalSchema


class ScopedSchema(PortalSchema):
    """Adds to each operation the scope that an API token needs, or that the operation takes no API token."""

    def get_operation(self, *args):
        operation = super().get_operation(*args)
        if operation is None or not any("apiToken" in way for way in operation.get("security", ())):
            return operation
        scope = scope_of(self.view, self.method)
        if scope is None:
            operation["security"] = [way for way in operation["security"] if "apiToken" not in way]
            text = "Not by API token."
        else:
            operation["x-scope"] = str(scope)
            text = f"Scope of an API token: `{scope}`."
        operation["description"] = "\n\n".join(filter(None, [operation.get("description"), text]))
        return operation
