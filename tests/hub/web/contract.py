"""Answers held against the OpenAPI document that the hub itself serves."""

from typing import Any

import httpx
import jsonschema


class Contract:
    """The document, ready to judge."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def operation(self, path: str) -> dict[str, Any]:
        """The GET of a path; `KeyError` where the document does not know it."""
        found: dict[str, Any] = self.document["paths"][path]["get"]
        return found

    def check(self, path: str, answer: httpx.Response) -> None:
        """Fail unless the document says that `path` may answer so."""
        responses = self.operation(path)["responses"]
        status = str(answer.status_code)
        assert status in responses, f"{path} answered {status}, documented are {sorted(responses)}: {answer.text}"
        response = self._resolve(responses[status])
        kind = answer.headers["content-type"].split(";")[0]
        assert kind in response["content"], f"{path} answered {kind}, documented are {sorted(response['content'])}"
        if kind.endswith("json"):
            schema = {**response["content"][kind]["schema"], "components": self.document["components"]}
            jsonschema.Draft202012Validator(schema).validate(answer.json())
        if int(status) >= 400:
            assert answer.json()["status"] == answer.status_code

    def _resolve(self, response: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in response:
            return response
        node: Any = self.document
        for part in response["$ref"].removeprefix("#/").split("/"):
            node = node[part]
        found: dict[str, Any] = node
        return found
