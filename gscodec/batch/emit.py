"""Job files for render farms with their own queue: each part of the batch is one call of `gscodec batch --shard`."""

import json
import shlex
from collections.abc import Sequence
from typing import Any

from gscodec.errors import InvalidArgument


def slurm_script(arguments: Sequence[str], shards: int, threads: int | None) -> str:
    """A Slurm array job: `sbatch FILE`.

    Args:
        arguments: command line arguments of `gscodec`, without --shard.
    """
    command = shlex.join(["gscodec", *arguments])
    cores = f"#SBATCH --cpus-per-task={threads}\n" if threads else ""
    return (
        "#!/bin/bash\n"
        "#SBATCH --job-name=gscodec-batch\n"
        f"#SBATCH --array=1-{shards}\n"
        "#SBATCH --output=gscodec-batch-%A_%a.log\n"
        f"{cores}"
        "set -euo pipefail\n"
        f'exec {command} --shard "${{SLURM_ARRAY_TASK_ID}}/{shards}"\n'
    )


def openjd_template(arguments: Sequence[str], shards: int, threads: int | None) -> str:
    """An Open Job Description template (specification 2023-09), in JSON: `openjd run FILE`.

    Raises:
        InvalidArgument: an argument contains `{{`, which a template cannot escape.
    """
    odd = next((text for text in arguments if "{{" in text), None)
    if odd is not None:
        raise InvalidArgument(f"{odd}: a job template reads {{{{ as the start of an expression; rename it")
    requirements = {"amounts": [{"name": "amount.worker.vcpu", "min": threads}]} if threads else None
    step: dict[str, Any] = {
        "name": "encode",
        "parameterSpace": {"taskParameterDefinitions": [{"name": "Shard", "type": "INT", "range": f"1-{shards}"}]},
        "script": {
            "actions": {
                "onRun": {
                    "command": "gscodec",
                    "args": [
                        *arguments,
                        "--shard",
                        f"{{{{Task.Param.Shard}}}}/{shards}",
                    ],
                }
            }
        },
    }
    if requirements:
        step["hostRequirements"] = requirements
    template = {"specificationVersion": "jobtemplate-2023-09", "name": "gscodec batch", "steps": [step]}
    return json.dumps(template, indent=2) + "\n"
