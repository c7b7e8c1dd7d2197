"""deploy/prometheus and deploy/grafana can be read, are complete, and ask for metrics that exist."""

import json
import re

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from config.watch import metrics
from payments import transactions
from payments.mpesa import status_queries
from tests.deploy.conftest import ROOT

PROMETHEUS, GRAFANA = ROOT / "deploy" / "prometheus", ROOT / "deploy" / "grafana"
DOC = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
# Made by Prometheus itself.
STRANGERS = {"up"}
KEYWORDS = {"by", "without", "and", "or", "unless", "on", "ignoring", "group_left", "group_right", "bool", "offset"}
HISTOGRAM = ("_bucket", "_sum", "_count")


def rules():
    (group,) = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return group["rules"]


def dashboard():
    return json.loads((GRAFANA / "portal.json").read_text(encoding="utf-8"))


def expressions():
    """(where, PromQL) of every alert and every panel."""
    yield from ((rule["alert"], rule["expr"]) for rule in rules())
    for panel in dashboard()["panels"]:
        yield from ((panel["title"], target["expr"]) for target in panel.get("targets", []))


def names_in(expression):
    """The names of the metrics in an expression."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    bare = re.sub(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", bare)
    return {
        name
        for name in re.findall(r"\b[a-zA-Z_:][\w:]*\b(?!\s*\()", bare)
        if name not in KEYWORDS and not re.fullmatch(r"\d.*", name)
    }


def labels_in(expression):
    """(metric, label) of every condition on a label."""
    for name, conditions in re.findall(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}", expression):
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', '""', conditions)):
            yield name, label


@pytest.fixture
def told(db):
    """{metric: its labels} of all metrics that /metrics can report, including those without a value yet."""
    metrics.READINGS.forget()
    found = {}
    for family in metrics.READINGS.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = {label for sample in family.samples for label in sample.labels}
    for metric in metrics.OWN:
        name, labels = metric._name, set(metric._labelnames)
        if metric._type == "histogram":
            found |= {f"{name}{end}": labels | {"le"} for end in HISTOGRAM}
        else:
            found[f"{name}_total" if metric._type == "counter" else name] = labels
    metrics.READINGS.forget()
    return found


def test_every_expression_asks_for_metrics_and_labels_that_there_are(told):
    for where, expression in expressions():
        names = names_in(expression)
        assert names, where
        assert names <= set(told) | STRANGERS, where
        for name, label in labels_in(expression):
            assert name in STRANGERS or label in told[name], (where, name, label)


def test_every_metric_is_in_the_documentation(told):
    for name in told:
        plain = re.sub(r"_(?:bucket|sum|count)$", "", name) if name not in DOC else name
        assert f"`{plain}`" in DOC, name


def test_no_name_in_the_documentation_is_gone(told):
    families = {re.sub(r"_(?:bucket|sum|count)$", "", name) for name in told} | set(told)

    assert set(re.findall(r"`(portal_\w+)`", DOC)) <= families


@pytest.mark.once
def test_every_alert_says_when_how_badly_and_what_to_do():
    names = [rule["alert"] for rule in rules()]

    assert len(set(names)) == len(names)
    for rule in rules():
        assert re.fullmatch(r"\d+[smh]", rule["for"]), rule["alert"]
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert {"summary", "description", "runbook"} <= set(rule["annotations"])
        page, _hash, anchor = rule["annotations"]["runbook"].partition("#")
        assert (ROOT / page).is_file()
        assert f"### {rule['alert']}\n" in DOC
        assert anchor == rule["alert"].lower()
    assert set(re.findall(r"^### (Portal\w+)$", DOC, re.MULTILINE)) == set(names)


@pytest.mark.once
@pytest.mark.parametrize(("metric", "hours"), [("portal_backup_age_seconds", 36), ("portal_audit_faults", 7 * 24)])
def test_what_is_told_only_after_the_first_time_is_missed(metric, hours):
    (rule,) = [rule for rule in rules() if rule["expr"] == f"absent({metric})"]

    # At least until a new installation has had its first night.
    assert int(rule["for"].removesuffix("h")) >= hours


@pytest.mark.once
def test_a_payment_that_takes_its_usual_course_is_no_alarm():
    (rule,) = [rule for rule in rules() if rule["alert"] == "PortalPaymentsStuck"]
    usual = transactions.QUERY_SCHEDULE[-1] + status_queries.LAST_LEASE

    assert float(rule["expr"].rpartition(">")[2]) > usual.total_seconds()


@pytest.mark.once
def test_every_expression_is_balanced():
    for where, expression in expressions():
        for opening, closing in ("()", "[]", "{}"):
            assert expression.count(opening) == expression.count(closing), where
        assert expression.count('"') % 2 == 0, where


@pytest.mark.once
@pytest.mark.parametrize("name", ["prometheus.yml", "kubernetes.yml"])
def test_prometheus_asks_with_the_token_and_loads_the_rules(name):
    configuration = yaml.safe_load((PROMETHEUS / name).read_text(encoding="utf-8"))

    (job,) = configuration["scrape_configs"]
    assert (job["job_name"], job["metrics_path"]) == ("portal", "/metrics")
    assert job["authorization"]["type"] == "Bearer"
    assert "credentials" not in job["authorization"]
    assert [(PROMETHEUS / name).is_file() for name in configuration["rule_files"]] == [True]


@pytest.mark.once
def test_the_dashboard_can_be_imported():
    board = dashboard()

    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids) > 20
    assert [variable["name"] for variable in board["templating"]["list"]] == ["source"]
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert all(target["datasource"]["uid"] == "${source}" for target in panel.get("targets", []))


@pytest.mark.once
def test_the_public_door_gives_no_metrics_away():
    nginx = (ROOT / "deploy" / "nginx" / "portal.conf").read_text(encoding="utf-8")

    for path in ("/metrics", "/readyz"):
        assert re.search(rf"location = {path} \{{\s*return 404;", nginx)
    # Behind the gateway only the token gives access: the requests do not come from this machine, and are forwarded.
    assert "METRICS_TOKEN" in (ROOT / "deploy/k8s/overlays/production/secrets.env.example").read_text(encoding="utf-8")


@pytest.mark.django_db
def test_what_is_told_can_be_parsed():
    text = (generate_latest(metrics.REGISTRY) + generate_latest(metrics._read)).decode()

    assert len(list(text_string_to_metric_families(text))) > 25
