"""What the model servers of this folder share: a command line with a port, bound to the loopback address only."""

import argparse
import functools

import umbridge
from aiohttp import web


def serve(models):
    """Serve the models until the process is ended; ``--port`` chooses the port."""
    parser = argparse.ArgumentParser(description="Serve models over UM-Bridge on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=4242)
    port = parser.parse_args().port
    # umbridge.serve_models has no argument for the address and would listen on all of them.
    web.run_app = functools.partial(web.run_app, host="127.0.0.1", print=None)
    umbridge.serve_models(models, port)
