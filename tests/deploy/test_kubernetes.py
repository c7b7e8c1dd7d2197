"""deploy/k8s: valid to Kubernetes' own schemas, and in agreement with itself, the image and the settings."""

import re
import shutil
import subprocess

import kubernetes_validate
import pytest
import yaml
from cryptography.fernet import Fernet

from config.liveness import WORKER_ALIVE
from tests.deploy import kustomize
from tests.deploy.conftest import ROOT, image_command, manage, production
from tests.deploy.test_workers import BEAT, SWEEP, WORKER
from tests.plugin import settings_names

pytestmark = pytest.mark.once

OVERLAY = ROOT / "deploy" / "k8s" / "overlays" / "production"
SECRETS = "portal-secrets"
# The oldest and the newest that the manifests are promised for.
VERSIONS = ["1.29", "1.37"]


def by_kubectl():
    done = subprocess.run(["kubectl", "kustomize", str(OVERLAY)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # The hash that kustomize puts behind a generated name is of no interest here.
    return list(yaml.safe_load_all(re.sub(r"(portal-settings)-[a-z0-9]{10}\b", r"\1", done.stdout)))


READERS = {"here": lambda: kustomize.build(OVERLAY)} | ({"kubectl": by_kubectl} if shutil.which("kubectl") else {})


@pytest.fixture(scope="module", params=READERS)
def resources(request):
    return READERS[request.param]()


def of_kind(resources, kind):
    return {each["metadata"]["name"]: each for each in resources if each["kind"] == kind}


def pods(resources):
    """(labels, pod) of everything that makes pods."""
    return [
        (each["spec"]["template"]["metadata"]["labels"], kustomize.pod(each))
        for each in resources
        if kustomize.pod(each)
    ]


def selected(resources, selector):
    """The pods with these labels."""
    return [pod for labels, pod in pods(resources) if selector.items() <= labels.items()]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_resource_fits_its_schema(resources, version):
    for resource in resources:
        kubernetes_validate.validate(resource, version, strict=True)


def test_nothing_lies_in_the_folders_unused():
    for folder in (ROOT / "deploy" / "k8s" / "base", OVERLAY):
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
            assert mounts == {"data": "/data", "tmp": "/tmp"}  # noqa: S108 - a container's own
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
    (ingress,) = of_kind(resources, "Ingress").values()
    (port,) = service["spec"]["ports"]
    (web,) = selected(resources, service["spec"]["selector"])
    (rule,) = ingress["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]

    assert port["targetPort"] in {each["name"] for each in web["containers"][0]["ports"]}
    assert (backend["name"], backend["port"]["name"]) == (service["metadata"]["name"], port["name"])
    assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"]]


def test_the_controller_writes_no_addresses_down(resources):
    (ingress,) = of_kind(resources, "Ingress").values()

    # They hold tokens of links and the secret of callbacks.
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
    (way_in,) = policies["portal-in-from-ingress"]["spec"]["ingress"]
    out = {port["port"] for rule in policies["portal-out"]["spec"]["egress"] for port in rule["ports"]}

    assert (set(nothing["policyTypes"]), set(nothing) & {"ingress", "egress"}) == ({"Ingress", "Egress"}, set())
    assert len(selected(resources, nothing["podSelector"]["matchLabels"])) == len(pods(resources))
    (web,) = selected(resources, policies["portal-in-from-ingress"]["spec"]["podSelector"]["matchLabels"])
    assert way_in["ports"] == [{"protocol": "TCP", "port": web["containers"][0]["ports"][0]["name"]}]
    assert out == {53, 5432, 6379, 443, 587, 465}


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
    settings = of_kind(resources, "ConfigMap")["portal-settings"]["data"]
    secrets = re.findall(r"^#?([A-Z][A-Z0-9_]*)=", (OVERLAY / "secrets.env.example").read_text(), re.MULTILINE)
    filled = production(tmp_path) | settings | {"DATA_DIR": str(tmp_path), "LINK_KEYS": Fernet.generate_key().decode()}

    assert {*settings, *secrets} <= set(settings_names())
    assert "no issues" in manage(filled | {"REDIS_URL": "redis://127.0.0.1:1/0"}, "check")
    assert not set(settings) & set(secrets)
