"""Commands that need no running node: init, invite, join; and up, which runs one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mreza.cli.options import Json, State, local_node, state_directory, teach

Name = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="NAME",
        help="The node's name. Default: the host's, then -2, -3.",
        show_default=False,
    ),
]


def add_to(app: typer.Typer) -> None:
    """Put these commands under `mreza`."""
    app.command(
        help=teach(
            "Make a mesh: its root, its first authority, this node's identity.",
            "mreza init --mesh greenhouse",
            "mreza init --mesh greenhouse --name pump-1 --state ./state",
            more="`mreza up` does it by itself in an empty state directory; init lets you choose.",
        )
    )(init)
    app.command(
        help=teach(
            "Print a token that lets another machine join.",
            "mreza invite",
            "mreza invite --uses 10 --ttl 7d",
            more="Whoever has it can join until it is used or expires: send it over a channel you "
            "trust. Needs the authority's key, which is in the state directory where the mesh was "
            "made.",
        )
    )(invite)
    app.command(
        help=teach(
            "Join a mesh with a token: prove it, get a certificate, store it.",
            "mreza join mreza-…",
            "mreza join - < token.txt     keeps it out of the shell's history",
        )
    )(join)
    app.command(
        help=teach(
            "Run a node in the foreground until Ctrl-C.",
            "mreza up",
            "mreza up --app workers:register",
            "mreza up --listen 0.0.0.0:7467 --peer 192.0.2.7",
            more="When it listens, one line is printed: ready node=ID listen=ADDRESS. Logs go to "
            "standard error. With --app, register(mesh) in workers.py adds what the node offers.",
        )
    )(up)


def init(
    context: typer.Context,
    mesh: Annotated[
        str, typer.Option("--mesh", metavar="NAME", help="The mesh's name, a label.")
    ] = "mesh",
    name: Name = None,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Make a mesh."""
    from mreza.cli.admission import make_mesh
    from mreza.cli.output import say, show_json

    made = make_mesh(state_directory(context, state), mesh=mesh, name=name)
    if as_json:
        show_json(made)
    else:
        say(f"mesh {made['mesh_name']} ({made['mesh']}) made in {made['state']}")
        say(f"this node: {made['name']} ({made['node']})")
        say(f"next: {_up(name)}; then mreza invite, to let another machine in")


def _up(name: str | None) -> str:
    """The command that starts the node just made; a name that was chosen must be said again."""
    return "mreza up" if name is None else f"mreza up --name {name}"


def invite(
    context: typer.Context,
    uses: Annotated[
        int, typer.Option("--uses", min=1, max=1_000_000, help="How many nodes may join with it.")
    ] = 1,
    ttl: Annotated[
        str,
        typer.Option("--ttl", metavar="TIME", help="How long it is good for: 90s, 30m, 1h, 7d."),
    ] = "1h",
    role: Annotated[
        str, typer.Option("--role", help="Role written into the certificate.")
    ] = "member",
    address: Annotated[
        list[str] | None,
        typer.Option(
            "--address",
            metavar="HOST:PORT",
            help="Where to join. Default: where the nodes of this state directory listen.",
        ),
    ] = None,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Print a join token."""
    from mreza.cli.admission import make_token, seconds
    from mreza.cli.output import say, show_json

    made = make_token(
        state_directory(context, state),
        uses=uses,
        ttl_s=seconds(ttl),
        role=role,
        addresses=tuple(address or ()),
    )
    if as_json:
        show_json(made)
    else:
        say(made["token"])
    if not made["running"]:
        typer.echo("mreza: nobody answers the token until a node runs here: mreza up", err=True)


def join(
    context: typer.Context,
    token: Annotated[
        str, typer.Argument(metavar="TOKEN", help="The token, or - to read it from standard input.")
    ],
    name: Name = None,
    address: Annotated[
        list[str] | None,
        typer.Option(
            "--address", metavar="HOST:PORT", help="Try this first. Default: what the token says."
        ),
    ] = None,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Join a mesh."""
    import asyncio

    from mreza.cli.admission import join_mesh, read_token
    from mreza.cli.output import say, show_json

    joined = asyncio.run(
        join_mesh(
            state_directory(context, state),
            read_token(token),
            name=name,
            addresses=tuple(address or ()),
        )
    )
    if as_json:
        show_json(joined)
    else:
        say(f"joined mesh {joined['mesh_name']} as {joined['name']} ({joined['node']})")
        say(f"next: {_up(name)}")


def up(
    context: typer.Context,
    name: Name = None,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="HOST:PORT",
            help="Where to listen; port 0: any. Default: all interfaces, 7467 or the next free.",
            show_default=False,
        ),
    ] = None,
    advertise: Annotated[
        str | None,
        typer.Option(
            "--advertise",
            metavar="HOST:PORT",
            help="Where others can dial this node, if that is not where it listens.",
            show_default=False,
        ),
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option("--peer", metavar="HOST:PORT", help="Dial this; may be given several times."),
    ] = None,
    only_peers: Annotated[
        bool | None,
        typer.Option(
            "--only-peers", help="Dial the given peers and nobody else.", show_default=False
        ),
    ] = None,
    dns: Annotated[
        list[str] | None,
        typer.Option(
            "--dns", metavar="NAME[:PORT]", help="Look this up in DNS; may be given several times."
        ),
    ] = None,
    no_lan: Annotated[
        bool,
        typer.Option("--no-lan", help="Neither send nor hear beacons on the local network."),
    ] = False,
    no_mdns: Annotated[
        bool,
        typer.Option("--no-mdns", help="Neither announce nor look for nodes by multicast DNS."),
    ] = False,
    app: Annotated[
        str | None,
        typer.Option(
            "--app",
            metavar="MODULE:OBJECT",
            help="A function that gets the MeshNetwork before it starts, to register handlers.",
            show_default=False,
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile", metavar="NAME", help="Preset: lan, fast or wan.", show_default=False
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="Settings in TOML; options win.", show_default=False
        ),
    ] = None,
    log_format: Annotated[
        str | None,
        typer.Option(
            "--log-format",
            metavar="human|json",
            help="Default: human on a terminal, else json.",
            show_default=False,
        ),
    ] = None,
    log_level: Annotated[
        str, typer.Option("--log-level", metavar="LEVEL", help="debug, info, warning or error.")
    ] = "info",
    state: State = None,
) -> None:
    """Run a node."""
    from mreza.cli.up import UpOptions, run_up

    options = UpOptions(
        state=state_directory(context, state),
        name=local_node(context, name),
        listen=listen,
        advertise=advertise,
        peers=tuple(peer or ()),
        only_peers=only_peers,
        dns=tuple(dns or ()),
        no_lan=no_lan,
        no_mdns=no_mdns,
        app=app,
        profile=profile,
        config=config,
        log_format=log_format,
        log_level=log_level,
    )
    raise typer.Exit(run_up(options))
