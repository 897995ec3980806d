#!/usr/bin/env bash
# Run notebooks on a real Kubernetes (kind), and look at the verdicts and at what is left.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
cp -r tests/kind/project "$work/project"
python3 - "$work/project" <<'PYTHON'
import json, pathlib, sys

def write(name, source):
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": source}
    notebook = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [cell]}
    pathlib.Path(sys.argv[1], name).write_text(json.dumps(notebook))

for number in range(6):
    write(f"good-{number}.ipynb", "import socket; assert socket.gethostname().startswith('envsolver-')")
write("bad.ipynb", "1 / 0")
PYTHON
sed "s|WORK|$work|" tests/kind/cluster.yaml >"$work/cluster.yaml"
trap 'kind delete cluster --name envsolver' EXIT
kind create cluster --name envsolver --config "$work/cluster.yaml" --wait 120s
docker build --quiet --tag envsolver:kind --file tests/kind/Dockerfile .
kind load docker-image envsolver:kind --name envsolver
kubectl apply -f tests/kind/controller.yaml
kubectl wait --for=jsonpath='{.status.phase}'=Succeeded pod/controller --timeout=900s || true
kubectl logs controller
python3 - "$work/project/.envsolver/runs" <<'PYTHON'
import json, pathlib, sys

def verdicts(name):
    results = json.loads(pathlib.Path(sys.argv[1], name, "results.json").read_text())["results"]
    return {each["notebook"]: each for each in results}

for name, each in verdicts("good").items():
    assert each["status"] == ("failed" if name == "bad.ipynb" else "passed"), each
for each in verdicts("bad").values():
    assert each["status"] == "environment" and "registry.invalid" in each["reason"], each
PYTHON
test -z "$(kubectl get pods,secrets -l envsolver-run -o name)"
