# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API against its own description: what that allows, and what it does not, sent to a panel that runs.

A few examples of each route; `LLAMAOPS_API_EXAMPLES=200` makes it thorough.
"""

from __future__ import annotations

import os

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks

EXAMPLES = int(os.environ.get("LLAMAOPS_API_EXAMPLES", "2"))
STREAMS = "/events"  # never end by themselves; test_panel_access follows them
# an entry may have the right form and yet be wrong: what an option may be, only a host knows
load_all_checks()
# whether credentials are needed is the question of test_panel_access
LEFT_OUT = [schemathesis.checks.CHECKS.get_one(name) for name in ("positive_data_acceptance", "ignored_auth")]
# an object in a query is none any more when it is sent, so what is wrong must show in bodies
REJECTED = schemathesis.checks.CHECKS.get_one("negative_data_rejection")


def test_the_api_is_as_it_is_described(served):
    with served.program("ann") as program:
        described = program.get("/openapi.json").json()
        token = dict(program.headers)["authorization"]
    schema = schemathesis.openapi.from_dict(described)
    schema.config.update(base_url=served.url)
    tried, wrong = 0, []

    def try_it(operation: schemathesis.APIOperation, mode: GenerationMode) -> None:
        left_out = LEFT_OUT if operation.body else [*LEFT_OUT, REJECTED]

        @seed(8)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def one(case: schemathesis.Case) -> None:
            nonlocal tried
            tried += 1
            case.call_and_validate(headers={"authorization": token}, excluded_checks=left_out, timeout=60)

        try:
            one()
        except schemathesis.core.failures.FailureGroup as found:
            wrong.append(f"{operation.label}: {found}")

    for result in schema.get_all_operations():
        operation = result.ok()
        if not operation.path.endswith(STREAMS):
            try_it(operation, GenerationMode.POSITIVE)
            if operation.body or operation.query or operation.path_parameters:
                try_it(operation, GenerationMode.NEGATIVE)
    assert not wrong, "\n".join(wrong)
    assert tried > 60
    with served.anybody() as nobody:
        assert nobody.get("/api/health").json()["ok"]
