"""Runs moto's server with BatchGetQueryExecution, which moto lacks; prints its port.

Run by the interpreter of an environment of its own. Access key ``DENIED`` may do nothing. moto
lists the oldest first; work groups named ``newest...`` are listed as Athena does. As moto dates
executions itself, the catalog of an execution is JSON of what its ``Status`` shall say.
"""

from __future__ import annotations

import io
import json
import sys
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

app = DomainDispatcherApplication(create_backend_app)


def call(environ: dict[str, Any], target: str, body: Any) -> tuple[str, list[Any], bytes]:
    """The answer of moto to another request in place of the one that came."""
    sent = json.dumps(body).encode()
    answered: list[Any] = []
    inner = {key: value for key, value in environ.items() if not key.startswith("werkzeug.")} | {
        "HTTP_X_AMZ_TARGET": f"AmazonAthena.{target}",
        "CONTENT_LENGTH": str(len(sent)),
        "wsgi.input": io.BytesIO(sent),
    }
    out = b"".join(app(inner, lambda status, headers, exc=None: answered.extend([status, headers])))
    return answered[0], answered[1], out


def json_answer(start: Any, status: str, body: Any) -> list[bytes]:
    out = json.dumps(body).encode()
    start(
        status,
        [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(out)))],
    )
    return [out]


requests: list[str] = []


def wsgi(environ: dict[str, Any], start: Any) -> Any:
    if environ["PATH_INFO"] == "/requests":
        told, requests[:] = list(requests), []
        return json_answer(start, "200 OK", told)
    target = environ.get("HTTP_X_AMZ_TARGET", "").removeprefix("AmazonAthena.")
    requests.append(target)
    if "Credential=DENIED/" in environ.get("HTTP_AUTHORIZATION", ""):
        text = "User is not authorized to perform: athena:ListQueryExecutions"
        return json_answer(
            start, "400 Bad Request", {"__type": "AccessDeniedException", "Message": text}
        )
    if target == "BatchGetQueryExecution":
        body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        found, lost = [], []
        for one in body["QueryExecutionIds"]:
            status, _, out = call(environ, "GetQueryExecution", {"QueryExecutionId": one})
            if status.startswith("200"):
                execution = json.loads(out)["QueryExecution"]
                told = json.loads(execution["QueryExecutionContext"].pop("Catalog", None) or "{}")
                execution["Status"] |= told
                found.append(execution)
            else:
                lost.append({"QueryExecutionId": one, "ErrorCode": "INVALID_INPUT"})
        answer = {"QueryExecutions": found, "UnprocessedQueryExecutionIds": lost}
        return json_answer(start, "200 OK", answer)
    if target == "ListQueryExecutions":
        body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        ids, token = [], None
        while True:  # moto's own pages, made one list
            request = {"WorkGroup": body["WorkGroup"]} | ({"NextToken": token} if token else {})
            status, headers, out = call(environ, target, request)
            if not status.startswith("200"):
                start(status, headers)
                return [out]
            answer = json.loads(out)
            ids += answer["QueryExecutionIds"]
            token = answer.get("NextToken")
            if not token:
                break
        if body["WorkGroup"].startswith("newest"):
            ids.reverse()
        at, size = int(body.get("NextToken", 0)), body.get("MaxResults", 50)
        page: dict[str, Any] = {"QueryExecutionIds": ids[at : at + size]}
        if at + size < len(ids):
            page["NextToken"] = str(at + size)
        return json_answer(start, "200 OK", page)
    return app(environ, start)


server = make_server("127.0.0.1", 0, wsgi, threaded=True)
sys.stdout.write(f"{server.server_port}\n")
sys.stdout.flush()
server.serve_forever()
