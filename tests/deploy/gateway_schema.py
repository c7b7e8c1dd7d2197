"""The part of the Gateway API (v1, standard channel) and of Envoy Gateway that deploy/k8s uses, as JSON Schema.

kubernetes-validate knows the core kinds only. A cluster drops unknown fields, so a misspelt name would have no effect
there. These schemas are closed to find such names. Add a field here when a manifest uses it. The names are those of
https://gateway-api.sigs.k8s.io/reference/spec/ and https://gateway.envoyproxy.io/docs/api/extension_types/.
"""

TEXT = {"type": "string", "minLength": 1}
PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
DURATION = {"type": "string", "pattern": "^([0-9]{1,5}(h|m|s|ms)){1,4}$"}
WORDS = {"type": "object", "additionalProperties": TEXT}


def closed(**fields):
    """An object with these fields only. A field is optional if its name here ends with `_`."""
    names = {name: name.removesuffix("_") for name in fields}
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {names[name]: schema for name, schema in fields.items()},
        "required": [name for name in fields if not name.endswith("_")],
    }


def several(schema):
    return {"type": "array", "minItems": 1, "items": schema}


def resource(version, kind, spec):
    return closed(
        apiVersion={"const": version},
        kind={"const": kind},
        metadata=closed(name=TEXT, namespace=TEXT, labels_=WORDS, annotations_=WORDS),
        spec=spec,
    )


LISTENER = closed(
    name=TEXT,
    protocol={"enum": ["HTTP", "HTTPS"]},
    port=PORT,
    hostname=TEXT,
    allowedRoutes=closed(namespaces=closed(**{"from": {"enum": ["Same", "All", "Selector"]}})),
    tls_=closed(mode={"enum": ["Terminate"]}, certificateRefs=several(closed(kind={"const": "Secret"}, name=TEXT))),
)
GATEWAY = closed(
    gatewayClassName=TEXT,
    listeners=several(LISTENER),
    infrastructure_=closed(parametersRef=closed(group=TEXT, kind=TEXT, name=TEXT)),
)
REDIRECT = closed(scheme={"enum": ["http", "https"]}, statusCode={"enum": [301, 302]})
RULE = closed(
    matches_=several(closed(path=closed(type={"enum": ["Exact", "PathPrefix"]}, value=TEXT))),
    filters_=several(closed(type={"const": "RequestRedirect"}, requestRedirect=REDIRECT)),
    timeouts_=closed(request=DURATION, backendRequest=DURATION),
    backendRefs_=several(closed(name=TEXT, port=PORT)),
)
ROUTE = closed(parentRefs=several(closed(name=TEXT, sectionName=TEXT)), rules=several(RULE))
PROXY = closed(telemetry=closed(accessLog=closed(disable={"type": "boolean"})))

OTHERS = {
    "Gateway": resource("gateway.networking.k8s.io/v1", "Gateway", GATEWAY),
    "HTTPRoute": resource("gateway.networking.k8s.io/v1", "HTTPRoute", ROUTE),
    "EnvoyProxy": resource("gateway.envoyproxy.io/v1alpha1", "EnvoyProxy", PROXY),
}
