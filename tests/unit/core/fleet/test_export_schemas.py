# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files for monitors and proxies by the formats that these document; in the scenario `swap` HAProxy reads its own.

Sources: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#file_sd_config and #host, #labelname;
https://docs.litellm.ai/docs/proxy/configs and https://docs.litellm.ai/docs/proxy/health (`model_info.mode`).
"""

from __future__ import annotations

import json

import jsonschema
import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.fleet import exports
from fixtures.exported_fleet import rows

TARGETS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["targets"],
        "additionalProperties": False,
        "properties": {
            "targets": {
                "type": "array",
                "items": {"type": "string", "pattern": r"^([A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}$"},
            },
            "labels": {
                "type": "object",
                "propertyNames": {"pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"},
                "additionalProperties": {"type": "string"},
                "properties": {"__scheme__": {"enum": ["http", "https"]}},
            },
        },
    },
}
MODES = ["chat", "completion", "embedding", "rerank"]  # of those that exist, what such a server can be
MODEL_LIST = {
    "type": "object",
    "required": ["model_list"],
    "additionalProperties": False,
    "properties": {
        "model_list": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["model_name", "litellm_params"],
                "additionalProperties": False,
                "properties": {
                    "model_name": {"type": "string", "minLength": 1},
                    "litellm_params": {
                        "type": "object",
                        "required": ["model", "api_base", "api_key"],
                        "additionalProperties": False,
                        "properties": {
                            "model": {"type": "string", "pattern": "^openai/."},
                            "api_base": {"type": "string", "pattern": "^https?://[^/]+/v1$"},
                            "api_key": {"type": "string", "pattern": "^(os\\.environ/[A-Z][A-Z0-9_]*|none)$"},
                        },
                    },
                    "model_info": {
                        "type": "object",
                        "required": ["id", "mode"],
                        "properties": {"id": {"type": "string"}, "mode": {"enum": MODES}},
                    },
                },
            },
        }
    },
}


def test_targets_for_prometheus():
    made = json.loads(json.dumps(exports.prometheus(rows())))
    jsonschema.validate(made, TARGETS)
    assert {item["labels"]["__scheme__"] for item in made} == {"http", "https"}
    assert [target for item in made for target in item["targets"] if target.startswith("[")]


def test_models_for_litellm():
    made = json.loads(json.dumps(exports.litellm(rows())))
    jsonschema.validate(made, MODEL_LIST)
    ids = [item["model_info"]["id"] for item in made["model_list"]]
    assert len(ids) == len(set(ids)) > 3, "an id names one deployment"
    assert {item["model_info"]["mode"] for item in made["model_list"]} == {"chat", "embedding"}


@pytest.mark.parametrize(
    ("schema", "wrong"),
    [
        (TARGETS, [{"targets": ["http://a:1/metrics"]}]),
        (TARGETS, [{"targets": ["a:1"], "labels": {"a-b": "c"}}]),
        (TARGETS, [{"targets": ["a:1"], "labels": {"slots": 4}}]),
        (MODEL_LIST, {"model_list": [{"model_name": "a", "litellm_params": {"model": "a"}}]}),
    ],
)
def test_a_format_refuses_what_its_reader_would(schema, wrong):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)
