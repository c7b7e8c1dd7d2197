"""deploy/k8s is valid by the schemas of Kubernetes, and agrees with itself, the image and the settings."""

import re
import shutil
import subprocess

import jsonschema
import kubernetes_validate
import pytest
import yaml
from cryptography.fernet import Fernet

from config.watch.liveness import WORKER_ALIVE
from tests.deploy import kustomize
from tests.deploy.conftest import ROOT, image_command, manage, production
from tests.deploy.gateway_schema import OTHERS
from tests.deploy.test_workers import BEAT, SWEEP, WORKER
from tests.plugin import settings_names

pytestmark = pytest.mark.once

OVERLAYS = ROOT / "deploy" / "k8s" / "overlays"
OVERLAY = OVERLAYS / "production"
SECRETS = "portal-secrets"
WAYS_IN = {"Gateway", "HTTPRoute", "EnvoyProxy", "Ingress"}
# The oldest and the newest release of Kubernetes that the manifests support.
VERSIONS = ["1.29", "1.37"]


def by_kubectl(overlay):
    done = subprocess.run(["kubectl", "kustomize", str(overlay)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # Remove the hash that kustomize appends to a generated name: the other reader adds none.
    return list(yaml.safe_load_all(re.sub(r"(portal-settings)-[a-z0-9]{10}\b", r"\1", done.stdout)))


READERS = {"here": kustomize.build} | ({"kubectl": by_kubectl} if shutil.which("kubectl") else {})


@pytest.fixture(scope="module", params=READERS)
def read(request):
    """read(overlay) returns its resources."""
    return READERS[request.param]


@pytest.fixture(scope="module")
def resources(read):
    return read(OVERLAY)


@pytest.fixture(scope="module")
def with_ingress(read):
    return read(OVERLAYS / "ingress")


def of_kind(resources, kind):
    return {each["metadata"]["name"]: each for each in resources if each["kind"] == kind}


def pods(resources):
    """(labels, pod) of every workload."""
    return [
        (each["spec"]["template"]["metadata"]["labels"], kustomize.pod(each))
        for each in resources
        if kustomize.pod(each)
    ]


def selected(resources, selector):
    """The pods with these labels."""
    return [pod for labels, pod in pods(resources) if selector.items() <= labels.items()]


def settings_of(resources):
    return of_kind(resources, "ConfigMap")["portal-settings"]["data"]


def namespaces(policy):
    (rule,) = policy["spec"]["ingress"]
    return [peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for peer in rule["from"]]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_resource_fits_its_schema(resources, with_ingress, version):
    for resource in [*resources, *of_kind(with_ingress, "Ingress").values()]:
        if resource["kind"] in OTHERS:
            jsonschema.validate(resource, OTHERS[resource["kind"]])
        else:
            kubernetes_validate.validate(resource, version, strict=True)


def test_nothing_lies_in_the_folders_unused():
    for folder in (ROOT / "deploy" / "k8s" / "base", *OVERLAYS.iterdir()):
        listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
        there = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}

        assert there == {name for name in listed if name.endswith(".yaml")}


def test_everything_the_issue_asks_for_is_there(resources):
    assert set(of_kind(resources, "Deployment")) == {"portal-web", "portal-worker", "portal-sweep", "portal-beat"}
    assert set(of_kind(resources, "HorizontalPodAutoscaler")) == {"portal-web", "portal-worker"}
    assert set(of_kind(resources, "PodDisruptionBudget")) == {"portal-web", "portal-worker"}
    assert set(of_kind(resources, "Job")) == {"portal-migrate", "portal-setup-bucket"}
    assert {each["metadata"].get("namespace", "portal") for each in resources} == {"portal"}


def test_one_pinned_image_runs_everything(resources):
    images = {container["image"] for each in resources for container in kustomize.containers(each)}

    assert len(images) == 1
    assert re.fullmatch(r"\S+:\d+\.\d+\.\d+|\S+@sha256:[0-9a-f]{64}", images.pop())


def test_no_pod_can_be_root_or_write_to_its_image(resources):
    for _, pod in pods(resources):
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] == 10001
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert {volume["name"]: set(volume) for volume in pod["volumes"]} == {
            name: {"name", "emptyDir"} for name in ("data", "tmp")
        }
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert mounts == {"data": "/data", "tmp": "/tmp"}  # noqa: S108 - a path in the container
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


def test_references_lead_somewhere(resources):
    configs, accounts = of_kind(resources, "ConfigMap"), of_kind(resources, "ServiceAccount")
    for _, pod in pods(resources):
        assert pod["serviceAccountName"] in accounts
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            sources = container["envFrom"]
            assert {source["configMapRef"]["name"] for source in sources if "configMapRef" in source} == set(configs)
            assert {source["secretRef"]["name"] for source in sources if "secretRef" in source} == {SECRETS}


def test_requests_find_their_way_to_the_web_pods(resources):
    (service,) = of_kind(resources, "Service").values()
    (gateway,) = of_kind(resources, "Gateway").values()
    (port,) = service["spec"]["ports"]
    (web,) = selected(resources, service["spec"]["selector"])
    listeners = {each["name"]: each for each in gateway["spec"]["listeners"]}
    rule = {}
    for route in of_kind(resources, "HTTPRoute").values():
        (parent,) = route["spec"]["parentRefs"]
        assert parent["name"] == gateway["metadata"]["name"]
        (rule[parent["sectionName"]],) = route["spec"]["rules"]

    assert port["targetPort"] in {each["name"] for each in web["containers"][0]["ports"]}
    assert rule["https"]["backendRefs"] == [{"name": service["metadata"]["name"], "port": port["port"]}]
    assert rule["http"]["filters"][0]["requestRedirect"]["scheme"] == "https"
    assert set(rule["http"]) == {"filters"}
    assert {each["hostname"] for each in listeners.values()} == {settings_of(resources)["ALLOWED_HOSTS"]}
    # An upload or an archive may take hours. By default Envoy ends a request after 15 seconds.
    assert rule["https"]["timeouts"] == {"request": "0s", "backendRequest": "0s"}


def test_the_ingress_stands_in_for_the_gateway_and_changes_nothing_else(resources, with_ingress):
    def rest(given):
        return [each for each in given if each["kind"] not in WAYS_IN | {"NetworkPolicy"}]

    (ingress,) = of_kind(with_ingress, "Ingress").values()
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    (service,) = of_kind(with_ingress, "Service").values()
    (gateway,) = of_kind(resources, "Gateway").values()
    (certificate,) = gateway["spec"]["listeners"][1]["tls"]["certificateRefs"]
    way_in = of_kind(with_ingress, "NetworkPolicy")["portal-in-from-gateway"]

    assert {each["kind"] for each in with_ingress} & WAYS_IN == {"Ingress"}
    assert sorted(rest(with_ingress), key=str) == sorted(rest(resources), key=str)
    assert path["backend"]["service"] == {"name": service["metadata"]["name"], "port": {"name": "http"}}
    assert ingress["spec"]["tls"] == [{"hosts": [rule["host"]], "secretName": certificate["name"]}]
    assert namespaces(way_in) == ["ingress-nginx", "monitoring"]


def test_the_controller_writes_no_addresses_down(resources, with_ingress):
    (gateway,) = of_kind(resources, "Gateway").values()
    (proxy,) = of_kind(resources, "EnvoyProxy").values()
    (ingress,) = of_kind(with_ingress, "Ingress").values()

    # Addresses contain tokens of links and the secret of callbacks, so an access log would reveal them.
    assert gateway["spec"]["infrastructure"]["parametersRef"]["name"] == proxy["metadata"]["name"]
    assert proxy["spec"]["telemetry"] == {"accessLog": {"disable": True}}
    assert ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/enable-access-log"] == "false"


@pytest.mark.parametrize("kind", ["Deployment", "PodDisruptionBudget"])
def test_selectors_meet_exactly_one_workload(resources, kind):
    for resource in of_kind(resources, kind).values():
        assert len(selected(resources, resource["spec"]["selector"]["matchLabels"])) == 1


def test_what_scales_leaves_the_number_to_the_scaler(resources):
    deployments = of_kind(resources, "Deployment")
    for scaler in of_kind(resources, "HorizontalPodAutoscaler").values():
        target = scaler["spec"]["scaleTargetRef"]
        assert "replicas" not in deployments[target["name"]]["spec"]
        assert 2 <= scaler["spec"]["minReplicas"] < scaler["spec"]["maxReplicas"]

    beat = deployments["portal-beat"]["spec"]
    assert (beat["replicas"], beat["strategy"]) == (1, {"type": "Recreate"})


def test_the_network_is_closed_but_for_what_is_named(resources):
    policies = of_kind(resources, "NetworkPolicy")
    nothing = policies["portal-nothing"]["spec"]
    (way_in,) = policies["portal-in-from-gateway"]["spec"]["ingress"]
    out = {port["port"] for rule in policies["portal-out"]["spec"]["egress"] for port in rule["ports"]}

    assert (set(nothing["policyTypes"]), set(nothing) & {"ingress", "egress"}) == ({"Ingress", "Egress"}, set())
    assert len(selected(resources, nothing["podSelector"]["matchLabels"])) == len(pods(resources))
    (web,) = selected(resources, policies["portal-in-from-gateway"]["spec"]["podSelector"]["matchLabels"])
    assert way_in["ports"] == [{"protocol": "TCP", "port": web["containers"][0]["ports"][0]["name"]}]
    assert out == {53, 5432, 6379, 443, 587, 465}
    assert namespaces(policies["portal-in-from-gateway"]) == ["envoy-gateway-system", "monitoring"]


def test_names_are_asked_of_the_clusters_pods_and_of_the_node(resources):
    rules = of_kind(resources, "NetworkPolicy")["portal-out"]["spec"]["egress"]
    (dns,) = [rule for rule in rules if {port["port"] for port in rule["ports"]} == {53}]
    blocks = {peer["ipBlock"]["cidr"] for peer in dns["to"] if "ipBlock" in peer}
    (pods_rule,) = [peer for peer in dns["to"] if "podSelector" in peer]
    (labels,) = pods_rule["podSelector"]["matchExpressions"]

    assert {port["protocol"] for port in dns["ports"]} == {"UDP", "TCP"}
    assert pods_rule["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "kube-system"}
    assert set(labels["values"]) == {"kube-dns", "node-local-dns"}
    # NodeLocal DNSCache and Cloud DNS of GKE answer on the node, which no pod selector matches.
    assert blocks == {"169.254.20.10/32", "169.254.169.254/32"}


def test_what_needs_the_tables_waits_for_the_migration(resources):
    workloads = {each["metadata"]["name"]: kustomize.pod(each) for each in resources if kustomize.pod(each)}
    migrate = of_kind(resources, "Job")["portal-migrate"]["spec"]
    setup = of_kind(resources, "Job")["portal-setup-bucket"]["spec"]
    waiting = {name: pod["initContainers"][0]["command"] for name, pod in workloads.items() if "initContainers" in pod}

    assert set(waiting) == set(workloads) - {"portal-migrate"}
    for _, _, script in waiting.values():
        assert "until python manage.py migrate --check" in script
    # The deadline of the set-up includes the time it waits for the migration.
    assert setup["activeDeadlineSeconds"] >= migrate["activeDeadlineSeconds"] + 600


def test_prometheus_asks_the_web_pods_with_the_token(resources):
    monitor = yaml.safe_load((ROOT / "deploy/k8s/monitoring/podmonitor.yaml").read_text(encoding="utf-8"))
    plain = yaml.safe_load((ROOT / "deploy/prometheus/kubernetes.yml").read_text(encoding="utf-8"))
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    (job,) = plain["scrape_configs"]
    (web,) = selected(resources, monitor["spec"]["selector"]["matchLabels"])
    token = endpoint["authorization"]["credentials"]

    assert endpoint["port"] == web["containers"][0]["ports"][0]["name"]
    assert (token["name"], token["key"]) == (SECRETS, "METRICS_TOKEN")
    assert "METRICS_TOKEN=" in (OVERLAY / "secrets.env.example").read_text()
    assert (endpoint["path"], job["metrics_path"]) == ("/metrics", "/metrics")
    assert job["authorization"].keys() == {"type", "credentials_file"}
    assert job["relabel_configs"][0]["regex"] == f"web;{endpoint['port']};Running"
    # A Prometheus that finds pods by annotations sends no token, so the portal would refuse it.
    assert not [each for each in resources if "prometheus.io" in str(each)]


def test_the_workers_alone_reach_the_virus_scanner(resources):
    policy = of_kind(resources, "NetworkPolicy")["portal-worker-out"]["spec"]
    (rule,) = policy["egress"]
    (clamd,) = [line for line in (ROOT / "deploy/clamav/clamd.conf").read_text().splitlines() if "TCPSocket" in line]
    worker = kustomize.pod(of_kind(resources, "Deployment")["portal-worker"])

    assert selected(resources, policy["podSelector"]["matchLabels"]) == [worker]
    assert rule == {"ports": [{"protocol": "TCP", "port": int(clamd.split()[1])}]}
    assert "clamd" in (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8").partition("## Kubernetes")[2]


def test_the_probes_ask_what_answers(resources):
    container = {name: kustomize.pod(each)["containers"][0] for name, each in of_kind(resources, "Deployment").items()}
    web = container["portal-web"]

    asked = {name: web[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert [get["path"] for get in asked.values()] == ["/healthz", "/healthz", "/readyz"]
    for name, kind in (("worker", "worker"), ("sweep", "worker"), ("beat", "beat")):
        for probe in ("startupProbe", "livenessProbe"):
            command = container[f"portal-{name}"][probe]["exec"]["command"]
            assert command == ["python", "deploy/healthcheck.py", kind]


def test_workers_and_beat_run_the_commands_that_were_tried(resources):
    container = {name: kustomize.pod(each)["containers"][0] for name, each in of_kind(resources, "Deployment").items()}

    assert "command" not in container["portal-web"]
    assert container["portal-worker"]["command"] == WORKER.split()
    assert container["portal-sweep"]["command"] == SWEEP.split()
    assert container["portal-beat"]["command"] == BEAT.format(folder="/tmp").split()  # noqa: S108
    assert WORKER_ALIVE.name == "portal-worker-alive"


def test_a_web_pod_has_the_time_it_may_take_to_end(resources):
    pod = kustomize.pod(of_kind(resources, "Deployment")["portal-web"])
    command = image_command()
    graceful = int(command[command.index("--graceful-timeout") + 1])
    (_, pause) = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]

    assert pod["terminationGracePeriodSeconds"] >= int(pause) + graceful + 10


def test_the_portal_starts_with_these_settings_and_secrets(resources, tmp_path):
    settings = settings_of(resources)
    secrets = re.findall(r"^#?([A-Z][A-Z0-9_]*)=", (OVERLAY / "secrets.env.example").read_text(), re.MULTILINE)
    filled = production(tmp_path) | settings | {"DATA_DIR": str(tmp_path), "LINK_KEYS": Fernet.generate_key().decode()}

    assert {*settings, *secrets} <= set(settings_names())
    assert "no issues" in manage(filled | {"REDIS_URL": "redis://127.0.0.1:1/0"}, "check")
    assert not set(settings) & set(secrets)
