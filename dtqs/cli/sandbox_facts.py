"""Shared by `up` and `down`: the option --var, and where a sandbox is and how to use it, as text and as JSON."""

import json
import os
import sys
from pathlib import Path

import click

from dtqs.client_env import read_client_env
from dtqs.sandbox.places import SandboxPaths
from dtqs.sandbox.processes import running

var_option = click.option(
    "--var",
    default="var",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the sandbox, with all its data.",
)


def facts_json(places: SandboxPaths) -> str:
    """Write URL, key, configuration and process id of a sandbox as JSON."""
    client = read_client_env(places.client_env)
    return json.dumps(
        {
            "url": client["DTQS_URL"],
            "key": client["DTQS_API_KEY"],
            "config": str(places.ini),
            "pid": running(places.pid_file("sandbox")),
        }
    )


def facts_text(places: SandboxPaths, how_to_stop: str) -> str:
    """Write URL and key of a sandbox, and the commands to type next."""
    client, command = read_client_env(places.client_env), dtqs_command(places)
    var = os.path.relpath(places.var)
    lines = [
        "",
        f"API      {client['DTQS_URL']}",
        f"Key      {client['DTQS_API_KEY']}   (also in {var}/client.env)",
        f"Browse   open {client['DTQS_URL']}/ in a browser, and log in with the key",
        f"Submit   {command} submit image source=@PHOTO --wait",
        f'         . {var}/client.env; curl -H "Authorization: Bearer $DTQS_API_KEY" '
        "-H 'Content-Type: application/json' \\",
        """             -d '{"task_type": "echo", "payload": {}}' $DTQS_URL/submit""",
        f"Look     {command} console    {command} tasks    {command} doctor    tail {var}/log/*.log",
        f"Mails    {command} mails   (the sandbox keeps all e-mails and sends none)",
        f"{how_to_stop}   {command} down" + ("" if var == "var" else f" --var {var}"),
    ]
    return "\n".join(lines)


def dtqs_command(places: SandboxPaths) -> str:
    """Return the command that runs dtqs from here, with this sandbox."""
    installed = Path(sys.prefix, "bin", "dtqs")
    name = os.path.relpath(installed) if installed.exists() else "dtqs"
    return name if os.path.relpath(places.var) == "var" else f"DTQS_CONFIG={os.path.relpath(places.ini)} {name}"
