"""Check the custom resources of rendered manifests by typed models: `custom_resources.py FILE…`, exit status 1 or 0.

It runs in the environment of bin/test-kube. The models let unknown keys pass, so what they read is written again and
compared.
"""

import json
import sys
from types import ModuleType
from typing import Any

import cloudcoil.models.keda.v1alpha1 as keda
import cloudcoil.models.prometheus_operator.v1 as prometheus
import yaml
from pydantic import ValidationError

MODELS = {"keda.sh/v1alpha1": keda, "monitoring.coreos.com/v1": prometheus}


def fault(document: dict[str, Any], models: ModuleType) -> str | None:
    try:
        read = getattr(models, document["kind"]).model_validate(document)
    except ValidationError as error:
        return str(error)
    again = json.loads(read.model_dump_json(by_alias=True, exclude_unset=True))
    return None if again == document else f"an unknown key, or a value of another type:\n{document}\n{again}"


def main() -> int:
    status, checked = 0, 0
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            documents = [one for one in yaml.safe_load_all(file) if one["apiVersion"] in MODELS]
        for document in documents:
            checked += 1
            if found := fault(document, MODELS[document["apiVersion"]]):
                status = 1
                print(f"{path}: {document['kind']} {document['metadata']['name']}: {found}")
    print(f"{checked} custom resources checked")
    return status


if __name__ == "__main__":
    sys.exit(main())
