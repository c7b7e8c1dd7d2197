"""Reads deploy/k8s as `kustomize build` does. It knows only what these files use, and fails on anything else.

The tests need it on machines without kubectl. Where kubectl is installed, they read the files with it too.
"""

import copy
import re

import yaml

KNOWN = {"apiVersion", "kind", "namespace", "labels", "resources", "images", "configMapGenerator", "patches"}


def build(folder):
    """The resources of the kustomization in `folder`."""
    plan = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    assert set(plan) <= KNOWN, f"{folder}: this reader does not know {set(plan) - KNOWN}"
    assert (plan["kind"], plan["apiVersion"]) == ("Kustomization", "kustomize.config.k8s.io/v1beta1")
    resources = []
    for name in plan["resources"]:
        path = folder / name
        resources += build(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    for generator in plan.get("configMapGenerator", []):
        generate(resources, generator)
    for patch in plan.get("patches", []):
        change(resources, patch)
    for resource in resources:
        for label in plan.get("labels", []):
            resource["metadata"].setdefault("labels", {}).update(label["pairs"])
        if "namespace" in plan and resource["kind"] != "Namespace":
            resource["metadata"]["namespace"] = plan["namespace"]
        for image in plan.get("images", []):
            for container in containers(resource):
                if container["image"] == image["name"]:
                    container["image"] = f"{image['newName']}:{image['newTag']}"
    return resources


def generate(resources, generator):
    assert set(generator) <= {"name", "behavior", "literals"}
    data = dict(literal.split("=", 1) for literal in generator["literals"])
    if generator.get("behavior") == "merge":
        (config,) = [each for each in resources if names(each) == ("ConfigMap", generator["name"])]
        config["data"].update(data)
    else:
        resources.append(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": generator["name"]}, "data": data}
        )


def change(resources, patch):
    assert set(patch) == {"target", "patch"}
    met = [each for each in resources if meets(each, **patch["target"])]
    steps = yaml.safe_load(patch["patch"])
    if isinstance(steps, dict):
        assert met
        assert steps["$patch"] == "delete"
        resources[:] = [each for each in resources if each not in met]
        return
    (resource,) = met
    for step in steps:
        *way, last = [part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:]]
        place = resource
        for part in way:
            place = place[int(part) if isinstance(place, list) else part]
        last = int(last) if isinstance(place, list) else last
        assert step["op"] == "add" or (step["op"] == "replace" and place[last] is not None)
        place[last] = copy.deepcopy(step["value"])


def meets(resource, kind, name=".*"):
    """True when the target of a patch matches this resource. `kind` and `name` are regular expressions."""
    return all(re.fullmatch(*pair) for pair in zip((kind, name), names(resource), strict=True))


def names(resource):
    return resource["kind"], resource["metadata"]["name"]


def pod(resource):
    """The pod that a workload makes, or None."""
    return resource["spec"]["template"]["spec"] if resource["kind"] in ("Deployment", "Job") else None


def containers(resource):
    spec = pod(resource)
    return [*spec.get("initContainers", []), *spec["containers"]] if spec else []
