"""Croissant: a dataset's description for machines, JSON-LD as MLCommons' format 1.0 (mlcommons.org/croissant/1.0)."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

NAMES = {  # how the format's own words are meant
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
}
WORDS = (
    "citeAs column equivalentProperty extract field fileObject fileProperty fileSet format includes isLiveDataset "
    "jsonPath key md5 parentField path recordSet references regex repeated replace samplingRate separator source "
    "subField transform"
)
PARQUET = "application/x-parquet"
LICENCES = {"apache-2.0": "Apache-2.0", "mit": "MIT", "isc": "ISC", "odbl": "ODbL-1.0", "pddl": "PDDL-1.0"}
Node = dict[str, Any]


def croissant(
    *,
    name: str,
    version: str,
    url: str,
    told: str,
    licences: Sequence[str],
    files: Mapping[str, Path],
    hashes: Mapping[str, str],
) -> Node:
    """Describe the data `files`, by path in the dataset, each with its SHA-256: a record set a split of a config.

    The files are named relative to the description, so that a copy of the whole describes itself.
    """
    splits: dict[tuple[str, str], Path] = {}
    for path, file in files.items():
        config, split = Path(path).parts[-3:-1]
        splits.setdefault((config, split), file)
    return {
        "@context": {**NAMES, **{word: f"cr:{word}" for word in WORDS.split()}},
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": re.sub(r"[^A-Za-z0-9_-]", "-", name),
        "description": told,
        "url": url,
        "version": f"{version.removeprefix('v')}.0",
        "license": [LICENCES.get(one, one.upper()) for one in licences],
        "distribution": [*(_file(path, hashes[path]) for path in files), *(_set(*key) for key in splits)],
        "recordSet": [_records(*key, pl.read_parquet_schema(file)) for key, file in splits.items()],
    }


def _file(path: str, sha256: str) -> Node:
    told = {"contentUrl": path, "encodingFormat": PARQUET, "sha256": sha256}
    return {"@type": "cr:FileObject", "@id": path, "name": path, **told}


def _set(config: str, split: str) -> Node:
    includes = f"data/{config}/{split}/*.parquet"
    return {"@type": "cr:FileSet", "@id": f"{config}-{split}-files", "includes": includes, "encodingFormat": PARQUET}


def _records(config: str, split: str, schema: Mapping[str, Any]) -> Node:
    own = f"{config}-{split}"
    fields = [_field(f"{own}/{column}", own, column, kind) for column, kind in schema.items()]
    return {"@type": "cr:RecordSet", "@id": own, "name": own, "key": {"@id": f"{own}/id"}, "field": fields}


def _field(named: str, own: str, column: str, kind: Any, *inside: str) -> Node:
    """Give a column as a field, or as sub-fields what is in its structs, in lists too."""
    node: Node = {"@type": "cr:Field", "@id": named, "name": named}
    inner = kind.inner if isinstance(kind, pl.List) else kind
    if isinstance(kind, pl.List):
        node["repeated"] = True
    if isinstance(inner, pl.Struct):
        under = [_field(f"{named}/{one.name}", own, column, one.dtype, one.name) for one in inner.fields]
        return node | {"subField": under}
    source: Node = {"fileSet": {"@id": f"{own}-files"}, "extract": {"column": column}}
    if inside:
        source["transform"] = {"jsonPath": inside[0]}
    return node | {"dataType": _type(inner), "source": source}


def _type(kind: Any) -> str:
    if kind == pl.Boolean:
        return "sc:Boolean"
    return "sc:Integer" if kind.is_integer() else "sc:Float" if kind.is_float() else "sc:Text"
