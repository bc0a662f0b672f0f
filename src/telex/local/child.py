"""The embedded model's own process: llama.cpp's HTTP server on an ephemeral port of the loopback interface.

Run by LocalModel as ``python -P -m telex.local.child``, and told what to do by one line of JSON on standard input, which then
stays open: its end means that the parent has gone, however it went. It answers on standard output with lines of JSON, one key
each: ``{"progress": [done, total]}`` in bytes while weights come, then ``{"ready": port}``, or ``{"failed": sentence}`` if
another try would end the same way.
"""

import ctypes
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn
from urllib.parse import urlsplit

from telex.local.errors import LocalModelError
from telex.local.weights import fetch_weights

__all__ = ["main"]

MODEL_NAME = "smollm2-135m-instruct"
PR_SET_PDEATHSIG = 1

# A prompt is read in steps of so many tokens, and between two steps the server looks whether its client is still there.
BATCH = 64

# ChatML, as the model was trained on, but for the system message that stands in where a client gave none: the one in the model's
# own template makes it repeat itself.
TEMPLATE = """\
{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}\
{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""
TEMPERATURE, TOP_P = 0.2, 0.9  # unless the client says otherwise: so small a model wanders at more

Answer = Callable[[str, object], None]


def main() -> None:
    """Serves until the parent goes. Never returns."""
    answer = _take_stdout()
    wish = json.loads(_read_line(0))
    # Two nets, since each has a hole: loading the model holds the interpreter's lock, so that no Python thread could see the end
    # of the pipe for a second, and the signal exists only on Linux and would leave pip running while it fetches for us.
    watcher = threading.Thread(target=_outlive_nobody, name="parent-watcher", daemon=True)
    watcher.start()
    try:
        xllamacpp = _import_engine()
        path = fetch_weights(progress=lambda done, total: answer("progress", [done, total]))
        _die_with_parent(wish["parent"])
        server = xllamacpp.Server(_choose_settings(xllamacpp, str(path), wish))
    except LocalModelError as error:
        answer("failed", str(error))
        _vanish()
    answer("ready", urlsplit(server.listening_address).port)
    watcher.join()


def _import_engine() -> Any:
    # OpenMP reads this once, when it is loaded: threads that spin while they wait take the processor from the gateway.
    os.environ["OMP_WAIT_POLICY"] = "passive"
    try:
        import xllamacpp
    except ModuleNotFoundError as error:
        raise LocalModelError("The local model needs the package xllamacpp: run `pip install 'telex[local]'`.") from error
    except ImportError as error:
        raise LocalModelError(f"The local model's engine, xllamacpp, cannot be loaded on this machine: {error}.") from error
    return xllamacpp


def _choose_settings(xllamacpp: Any, path: str, wish: dict[str, Any]) -> Any:
    settings = xllamacpp.CommonParams()
    settings.model.path = path
    settings.model_alias = {MODEL_NAME}  # else replies carry the path
    settings.hostnames = ["127.0.0.1"]
    settings.port = 0
    settings.api_keys = [wish["api_key"]]
    settings.chat_template = TEMPLATE
    settings.sampling.temp, settings.sampling.top_p = TEMPERATURE, TOP_P
    settings.n_parallel = wish["slots"]
    settings.n_ctx = wish["slots"] * wish["context"]  # split over the slots
    settings.n_batch = settings.n_ubatch = BATCH
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = wish["threads"]
    settings.cache_ram_mib = 0  # prompts of the past, up to 8 GB of them by default
    settings.cache_idle_slots = False
    settings.ui = settings.endpoint_slots = settings.endpoint_props = settings.endpoint_metrics = False
    settings.cors_origins = ""
    settings.offline = True
    settings.verbosity = 1  # errors
    return settings


def _take_stdout() -> Answer:
    """Keeps standard output for the answers: what native code prints there goes to standard error from now on."""
    channel = os.dup(1)
    os.dup2(2, 1)

    def answer(key: str, value: object) -> None:
        try:
            os.write(channel, json.dumps({key: value}).encode() + b"\n")
        except OSError:
            _vanish()

    return answer


def _read_line(descriptor: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            sys.exit("This is a part of Telex that Telex starts itself.")
        line += byte
    return line


def _outlive_nobody() -> None:
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    _vanish()


def _die_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        # The signal comes when the parent's thread ends that started this process, which is the one its event loop runs in.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it went before it could be watched
        _vanish()


def _vanish() -> NoReturn:
    """Ends at once, with everything that was started here. An orderly stop would wait for open streams, for ever."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main()
