"""A local stand-in for the Hugging Face Hub: the few endpoints that Facesmith uses, with repositories in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit

import yaml

LICENSES = ("apache-2.0", "mit", "cc-by-4.0", "cc-by-nc-4.0", "unknown", "other")  # some of those that the Hub knows
DATASET_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", re.ASCII)


class Hub(ThreadingHTTPServer):
    """Repositories by name: lists of commits, each a dictionary of files. Only `token` may write."""

    def __init__(self, token="hf_allowed"):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos, self.private, self.token = {}, {}, token
        self.statuses = {}  # by repository: answer everything with this status, and the body below
        self.body = {"error": "refused"}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def at(self, repo, revision):
        """The commit ID and the files of a revision. None if there is no such revision."""
        commits = self.repos.get(repo, [])
        for i, files in enumerate(commits):
            if revision in (commit_id(repo, i), *(["main"] if i == len(commits) - 1 else [])):
                return commit_id(repo, i), files
        return None


def commit_id(repo, number):
    return hashlib.sha1(f"{repo} {number}".encode()).hexdigest()


def refusals(card):
    """What the Hub says about a card whose front matter it refuses; empty if it accepts it."""
    front_matter = re.match(r"\s*---\r?\n(.*?\n)---", card, re.DOTALL)
    fields = yaml.safe_load(front_matter[1]) if front_matter else {}
    messages = []
    if fields.get("license", "unknown") not in LICENSES:
        messages.append(f'"license" must be one of [{", ".join(LICENSES)}, array]')
    datasets = [(f"datasets[{i}]", name) for i, name in enumerate(fields.get("datasets", []))]
    for index, model in enumerate(fields.get("model-index", [])):
        datasets += [
            (f"model-index[{index}].results[{i}].dataset.type", result["dataset"]["type"])
            for i, result in enumerate(model["results"])
        ]
    return messages + [
        f'"{field}" with value "{name}" is not valid.' for field, name in datasets if not DATASET_ID.fullmatch(name)
    ]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def missing(self, code):
        self.answer(404, {"error": code}, X_Error_Code=code, X_Error_Message=code)

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        if parts == ["api", "validate-yaml"]:
            errors = [{"message": message} for message in refusals(json.loads(raw)["content"])]
            return self.answer(400 if errors else 200, {"warnings": [], "errors": errors})
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            return self.answer(401, {"error": "Unauthorized"})
        if parts == ["api", "repos", "create"]:
            request = json.loads(raw)
            repo = f"{request['organization']}/{request['name']}"
            is_private = request.get("visibility") == "private" or bool(request.get("private"))
            self.server.private.setdefault(repo, is_private)
            exists = repo in self.server.repos
            self.server.repos.setdefault(repo, [{}])
            return self.answer(409 if exists else 200, {"url": f"{self.server.url}/{repo}", "id": repo})
        repo, verb = "/".join(parts[2:4]), parts[4]
        if repo in self.server.statuses:
            return self.answer(self.server.statuses[repo], self.server.body)
        if verb == "preupload":
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(raw)["files"]
            ]
            return self.answer(200, {"files": files})
        assert verb == "commit"
        files = dict(self.server.repos[repo][-1])
        for line in raw.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
        self.server.repos[repo].append(files)
        commit = commit_id(repo, len(self.server.repos[repo]) - 1)
        return self.answer(
            200, {"success": True, "commitOid": commit, "commitUrl": f"{self.server.url}/{repo}/commit/{commit}"}
        )

    def do_GET(self):
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        api = parts[0] == "api"
        repo, revision = ("/".join(parts[2:4]), [*parts[5:], "main"][0]) if api else ("/".join(parts[:2]), parts[3])
        if repo in self.server.statuses:
            return self.answer(self.server.statuses[repo], self.server.body)
        if repo not in self.server.repos:
            return self.missing("RepoNotFound")
        version = self.server.at(repo, revision)
        if version is None:
            return self.missing("RevisionNotFound")
        commit, files = version
        if api and "tree" in parts[4:5]:
            return self.answer(200, [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in files.items()
            ], Content_Type="application/json")  # fmt: skip
        if api:
            siblings = [{"rfilename": name} for name in files]
            return self.answer(200, {"id": repo, "modelId": repo, "sha": commit, "siblings": siblings, "tags": []})
        name = "/".join(parts[4:])
        if name not in files:
            return self.missing("EntryNotFound")
        tag = f'"{hashlib.sha1(files[name]).hexdigest()}"'
        return self.answer(200, files[name], ETag=tag, X_Repo_Commit=commit)

    do_HEAD = do_GET  # noqa: N815


@contextmanager
def serving():
    """Run a Hub while the block runs."""
    hub = Hub()
    thread = Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
