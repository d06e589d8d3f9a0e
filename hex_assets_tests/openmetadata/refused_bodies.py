"""Which bodies OpenMetadata's own models refuse; runs where openmetadata-ingestion is installed.

Reads one case per line, ``{"model": "module.Class", "body": ...}``, and writes those refused with
the reason.
"""

import importlib
import json
import sys

for line in sys.stdin:
    case = json.loads(line)
    module, _, name = case["model"].rpartition(".")
    model = getattr(importlib.import_module(f"metadata.generated.schema.{module}"), name)
    try:
        model.model_validate(case["body"])
    except ValueError as error:
        sys.stdout.write(json.dumps({**case, "error": str(error)}) + "\n")
