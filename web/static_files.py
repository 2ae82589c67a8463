"""Style sheets, pictures, fonts and scripts: ours only, read once, named by what is in them.

A page links `/static/<name>?v=<hash>`, so a browser keeps a file for ever and a new version is fetched at once. Names
are looked up in a table and never become a path, so there is nothing to traverse.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

OWN: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str
    version: str


class StaticFiles:
    """The files of `web/static` and of a part's own folders; a later folder's file takes the place of an earlier's."""

    def __init__(self, *folders: Path) -> None:
        self._files: dict[str, _File] = {}
        for folder in (OWN, *folders):
            for path in sorted(folder.iterdir()):
                if path.suffix in _TYPES:
                    content = path.read_bytes()
                    version = hashlib.sha256(content).hexdigest()[:12]
                    self._files[path.name] = _File(content, _TYPES[path.suffix], version)

    def link(self, name: str) -> str:
        """The path of a file for a page. `KeyError` for a file that is not there: a page of ours is wrong."""
        return f"/static/{name}?v={self._files[name].version}"

    async def serve(self, request: Request) -> Response:
        """Answer `/static/{name}`."""
        file = self._files.get(request.path_params["name"])
        if file is None:
            raise HTTPException(404)
        tag = f'"{file.version}"'
        lasting = request.query_params.get("v") == file.version
        headers = {
            "ETag": tag,
            "Cache-Control": "public, max-age=31536000, immutable" if lasting else "public, max-age=3600",
        }
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(file.content, 200, headers, file.media_type)
