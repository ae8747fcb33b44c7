"""A small hub: as much of its protocol as publishing and `datasets.load_dataset` need, with faults to order."""

# ruff: noqa: D101, D102, PLR0911 - each route is an answer, and named as what it answers

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

CARD_FIELDS = {"license", "language", "configs", "tags", "size_categories", "task_categories", "pretty_name"}
SIZE = re.compile(r"n<1K|1K<n<10K|10K<n<100K|100K<n<1M|1M<n<10M|10M<n<100M")


def oid_of(*parts: object) -> str:
    return hashlib.sha1(repr(parts).encode(), usedforsecurity=False).hexdigest()


def is_private(told: dict[str, Any]) -> bool:
    return bool(told.get("private")) or told.get("visibility") == "private"


@dataclass
class Repository:
    """Commits are whole trees: a path to the SHA-256 of its content."""

    private: bool
    commits: dict[str, dict[str, str]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, ref: str, tree: dict[str, str]) -> str:
        oid = oid_of(self.refs.get(ref), sorted(tree.items()))
        self.commits[oid] = tree
        self.refs[ref] = oid
        return oid

    def oid(self, rev: str) -> str | None:
        known = {**self.refs, **self.tags, **{oid: oid for oid in self.commits}}
        return known.get(rev)


@dataclass
class Hub:
    """What the stub holds, what it was asked, and what it is to do wrong."""

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)  # by SHA-256
    asked: list[tuple[str, str]] = field(default_factory=list)
    fail: dict[str, list[str]] = field(default_factory=dict)  # by a part of the path: a status, "cut", "hang", "race"
    lock: threading.RLock = field(default_factory=threading.RLock)

    def keep(self, content: bytes) -> str:
        self.contents[hashlib.sha256(content).hexdigest()] = content
        return hashlib.sha256(content).hexdigest()

    def puts(self) -> int:
        return sum(method == "PUT" and path.startswith("/lfs/") for method, path in self.asked)


class Answers(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_told: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.answer()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - http.server's names

    def answer(self) -> None:
        split = urlsplit(self.path)
        path, self.query = unquote(split.path), parse_qs(split.query)
        length = int(self.headers.get("Content-Length") or 0)
        self.hub.asked.append((self.command, path))
        fault = next((found.pop(0) for part, found in self.hub.fail.items() if part in path and found), "")
        if fault == "cut":
            self.rfile.read(length // 2)
            self.close_connection = True
            self.connection.close()
            return
        self.body = self.rfile.read(length)
        if fault == "hang":
            threading.Event().wait(60)
        if fault.isdigit():
            self.send(int(fault), {"error": "the disk is full"})
            return
        with self.hub.lock:
            if fault == "race":
                for one in self.hub.repositories.values():
                    one.commit("main", {**one.commits[one.refs["main"]], "note.txt": self.hub.keep(b"first")})
            self.route(path)

    def send(self, status: int, value: Any = None, content: bytes | None = None, **headers: str) -> None:
        made = json.dumps(value).encode() if content is None else content
        self.send_response(status)
        for name, told in {"Content-Type": "application/json", "Content-Length": str(len(made)), **headers}.items():
            self.send_header(name.replace("_", "-"), told)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(made)

    def route(self, path: str) -> None:
        if path == "/api/validate-yaml":
            return self.validate()
        if path == "/api/repos/create":
            told = json.loads(self.body)
            name = "/".join(filter(None, (told.get("organization"), told["name"])))
            if name in self.hub.repositories:
                return self.send(409, {"error": "You already created this dataset repo"})
            self.hub.repositories[name] = Repository(is_private(told))
            self.hub.repositories[name].commit("main", {".gitattributes": self.hub.keep(b"*.parquet filter=lfs\n")})
            return self.send(200, {"url": f"{self.hub.url}/datasets/{name}"})
        if path.startswith("/lfs/"):
            self.hub.contents[path.removeprefix("/lfs/")] = self.body
            return self.send(200)
        found = re.match(r"(?:/api)?/datasets/([\w.-]+/[\w.-]+?)(\.git/info/lfs/objects/batch|/.*)?$", path)
        name = found[1] if found else ""
        known = self.hub.repositories.get(name)
        if known is None or (known.private and "Authorization" not in self.headers):
            return self.send(401, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
        kind, _, rest = (found[2] or "/").strip("/").partition("/") if found else ("", "", "")
        return self.repository(name, self.hub.repositories[name], kind, rest)

    def repository(self, name: str, repo: Repository, kind: str, rest: str) -> None:
        if kind.startswith(".git"):
            return self.batch()
        if kind == "preupload":
            files = json.loads(self.body)["files"]
            modes = {True: "lfs", False: "regular"}
            return self.send(200, {"files": [
                {"path": one["path"], "uploadMode": modes[one["path"].endswith(".parquet")], "shouldIgnore": False}
                for one in files
            ]})  # fmt: skip
        if kind == "commit":
            return self.commit(name, repo, rest)
        if kind == "refs":
            refs: dict[str, Any] = {
                "branches": [{"name": "main", "ref": "refs/heads/main", "targetCommit": repo.refs["main"]}],
                "tags": [
                    {"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": oid} for tag, oid in repo.tags.items()
                ],
                "converts": [],
                "pullRequests": [
                    {"name": ref, "ref": ref, "targetCommit": oid} for ref, oid in repo.refs.items() if "pr" in ref
                ],
            }
            return self.send(200, refs)
        if kind == "tag" and self.command == "DELETE":
            return self.send(200 if repo.tags.pop(rest, None) else 404)
        if kind == "tag":
            repo.tags[json.loads(self.body)["tag"]] = str(repo.oid(rest))
            return self.send(200)
        if kind == "settings":
            repo.private = is_private(json.loads(self.body))
            return self.send(200, {})
        return self.read(name, repo, kind, rest)

    def read(self, name: str, repo: Repository, kind: str, rest: str) -> None:
        """Answer what is asked of one revision."""
        ref = re.match(r"(refs/pr/\d+|[^/]+)/?(.*)", rest)
        rev, path = (ref[1], ref[2]) if ref and kind != "" else ("main", "")
        oid = repo.oid(rev)
        if oid is None:
            return self.send(404, {"error": "Invalid rev id"}, X_Error_Code="RevisionNotFound")
        tree = repo.commits[oid]
        if kind == "resolve":
            if path not in tree:
                return self.send(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound", X_Repo_Commit=oid)
            return self.content(self.hub.contents[tree[path]], oid, tree[path])
        entries = {p: {"type": "file", "path": p, "size": len(self.hub.contents[h]), "oid": h} for p, h in tree.items()}
        if kind == "tree":
            deep = self.query.get("recursive", ["false"])[0].lower() in {"true", "1"}
            inside = [p for p in entries if p.startswith(f"{path}/" if path else "")]
            start = len(path) + 1 if path else 0
            folders = {p[: p.index("/", start)] for p in inside if "/" in p[start:]}
            told = [{"type": "directory", "path": p, "size": 0, "oid": oid_of(p)} for p in sorted(folders)]
            told += [entries[p] for p in inside if deep or "/" not in p[start:]]
            return self.send(200, told) if told else self.send(404, {}, X_Error_Code="EntryNotFound")
        if kind == "paths-info":
            asked = parse_qs(self.body.decode()).get("paths") or json.loads(self.body or b"{}").get("paths", [])
            return self.send(200, [entries[p] for p in asked if p in entries])
        about = {
            "id": name,
            "sha": oid,
            "private": repo.private,
            "siblings": [{"rfilename": p} for p in tree],
            "tags": [],
        }
        return self.send(200, about)

    def content(self, content: bytes, oid: str, etag: str) -> None:
        headers = {"ETag": f'"{etag}"', "X_Repo_Commit": oid, "Accept_Ranges": "bytes"}
        part = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if part is None:
            return self.send(200, content=content, **headers)
        start, end = int(part[1]), min(int(part[2] or len(content)), len(content) - 1)
        told = f"bytes {start}-{end}/{len(content)}"
        return self.send(206, content=content[start : end + 1], **headers, Content_Range=told)

    def batch(self) -> None:
        objects = json.loads(self.body)["objects"]
        for one in objects:
            if one["oid"] not in self.hub.contents:
                one["actions"] = {"upload": {"href": f"{self.hub.url}/lfs/{one['oid']}"}}
        self.send(200, {"transfer": "basic", "objects": objects})

    def commit(self, name: str, repo: Repository, rev: str) -> None:
        lines = [json.loads(line) for line in self.body.splitlines()]
        parent = lines[0]["value"].get("parentCommit")
        proposed = "create_pr" in self.query
        if parent and parent != repo.refs[rev] and not proposed:
            return self.send(412, {"error": "A commit has happened since. Please refresh and try again."})
        tree = dict(repo.commits[parent or repo.refs[rev]])
        for one in lines[1:]:
            told = one["value"]
            if one["key"] == "file":
                tree[told["path"]] = self.hub.keep(base64.b64decode(told["content"]))
            elif one["key"] == "deletedFile":
                del tree[told["path"]]
            elif hashlib.sha256(self.hub.contents.get(told["oid"], b"")).hexdigest() == told["oid"]:
                tree[told["path"]] = told["oid"]
            else:
                return self.send(400, {"error": f"the content of {told['path']} was not uploaded whole"})
        ref = f"refs/pr/{1 + sum('pr' in ref for ref in repo.refs)}" if proposed else rev
        where = f"{self.hub.url}/datasets/{name}"
        made = {"commitUrl": f"{where}/commit/{repo.commit(ref, tree)}", "commitOid": repo.refs[ref]}
        return self.send(200, made | ({"pullRequestUrl": f"{where}/discussions/{ref[8:]}"} if proposed else {}))

    def validate(self) -> None:
        """Hold a card's metadata to the fields that the hub knows."""
        found = yaml.safe_load(json.loads(self.body)["content"].split("---")[1])
        errors = [f"{key} is not known" for key in found if key not in CARD_FIELDS | {"license_name"}]
        if "size_categories" in found and not all(map(SIZE.fullmatch, found["size_categories"])):
            errors.append("size_categories is none of the hub's")
        told = {"errors": [{"message": one} for one in errors], "warnings": []}
        self.send(400 if errors else 200, told)


@contextmanager
def served() -> Iterator[Hub]:
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Answers,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
