"""Lists the entries of a `get_models_json.py` for mad-harness, as one JSON document.

Started in the catalog's root as `python3 -B -c <this text> scripts/<dir>/get_models_json.py`.
Standard output is for the document alone, and standard input a lifeline: when it closes,
mad-harness is gone, and what it started ends.
"""

import sys

# `-c` would let files of the catalog's root stand in for Python's own modules.
sys.path = [path for path in sys.path if path]

import contextlib
import copy
import dataclasses
import importlib.util
import json
import os
import pathlib
import signal
import threading
import traceback
import types
import typing

PROGRAM = os.path.abspath(sys.argv[1])
DIRECTORY = os.path.basename(os.path.dirname(PROGRAM))
LONGEST = 500
MOST = 100_000
UNWRITABLE = (TypeError, ValueError, RecursionError)

problems = []


@dataclasses.dataclass
class CustomModel:
    """An entry, as madengine's class of this name has it."""

    name: str
    dockerfile: str = ""
    dockercontext: str = ""
    scripts: str = ""
    url: str = ""
    cred: str = ""
    owner: str = ""
    data: str = ""
    n_gpus: str = "-1"
    timeout: int = 7200
    training_precision: str = ""
    tags: typing.List[str] = dataclasses.field(default_factory=list)
    args: str = ""
    multiple_results: str = ""
    skip_gpu_arch: str = ""

    def __new__(cls, *_args, **_kwargs):
        model = super().__new__(cls)
        # Beside the fields, however a subclass guards them: where the entry is made.
        object.__setattr__(model, "_made_at", line_of(sys._getframe(1)))
        return model

    def to_dict(self):
        return dataclasses.asdict(self)

    def update_model(self):
        pass


def line_of(frame):
    """The line of the program that `frame` is called from; 0 is unknown."""
    while frame is not None and frame.f_code.co_filename != PROGRAM:
        frame = frame.f_back
    return frame.f_lineno if frame is not None else 0


def defined_at(function):
    """The line of the program where `function` begins; 0 is elsewhere."""
    code = getattr(function, "__code__", None)
    inside = code is not None and code.co_filename == PROGRAM
    return code.co_firstlineno if inside else 0


def problem(kind, message, line=0, column=0, entry=None, trace=""):
    # The text of an exception may be of any length, on any number of lines.
    message = " ".join(message.split())
    message = message if len(message) <= LONGEST else message[:LONGEST] + "…"
    problems.append(
        {
            "kind": kind,
            "message": whole_characters(message),
            "line": max(line or 0, 0),
            "column": max(column or 0, 0),
            "entry": whole_characters(entry) if isinstance(entry, str) else None,
            "trace": whole_characters(trace),
        }
    )


def whole_characters(text):
    return text.encode("utf-8", "replace").decode()


@contextlib.contextmanager
def guarded(what, entry=None):
    """Turns whatever the program raises, `SystemExit` included, into a problem."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, SyntaxError) and error.filename == PROGRAM:
            message = f"this is not valid Python: {error.msg}"
            problem("syntax", message, error.lineno, error.offset)
            return
        lines = [n for f, n in traceback.walk_tb(error.__traceback__) if is_ours(f)]
        text = "".join(traceback.format_exception_only(type(error), error))
        trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        line = lines[-1] if lines else 0
        problem("exception", f"{what} raised {text}", line, entry=entry, trace=trace)


def is_ours(frame):
    return frame.f_code.co_filename == PROGRAM


def install():
    """Makes `madengine.utils.discover_models` this, whether or not there is a madengine."""
    CustomModel.__module__ = "madengine.utils.discover_models"
    inner = types.ModuleType("madengine.utils.discover_models")
    inner.CustomModel = CustomModel
    for name in ("madengine.utils", "madengine"):
        outer = types.ModuleType(name)
        # What makes a module a package; nothing else is found in this one.
        outer.__path__ = []
        setattr(outer, inner.__name__.rpartition(".")[2], inner)
        sys.modules[inner.__name__] = inner
        inner = outer
    sys.modules[inner.__name__] = inner


def models():
    """What `list_models()` of the program returns."""
    found = []
    with guarded("the program"):
        spec = importlib.util.spec_from_file_location("get_models_json", PROGRAM)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        list_models = getattr(module, "list_models", None)
        if not callable(list_models):
            problem("contract", "the program defines no function `list_models`")
            return []
        with guarded("`list_models()`"):
            returned = list_models()
            if not hasattr(returned, "__iter__"):
                kind = type(returned).__name__
                message = f"`list_models()` returns no list, but something of type `{kind}`"
                problem("contract", message, defined_at(list_models))
                return []
            strange = []
            for index, model in enumerate(returned):
                if index == MOST:
                    message = f"`list_models()` does not end after {MOST} entries"
                    problem("contract", message, defined_at(list_models))
                    return []
                if isinstance(model, CustomModel):
                    found.append(model)
                else:
                    strange.append((index, type(model).__name__))
            if strange:
                index, kind = strange[0]
                more = f" (and {len(strange) - 1} more)" if len(strange) > 1 else ""
                message = f"item {index} of `list_models()` is no CustomModel but a `{kind}`{more}"
                problem("contract", message, defined_at(list_models))
    return found


def listed(model):
    """The entry of a model, its name and paths as the program wrote them."""
    name, tags = model.name, copy.copy(model.tags)
    with guarded("`update_model()`", name):
        # Called when the entry has its full name, as in madengine.
        full = f"{DIRECTORY}/{name}"
        model.name = full
        model.update_model()
        for key, before in (("name", full), ("tags", tags)):
            after = getattr(model, key)
            if after != before:
                message = f"`update_model()` changes `{key}` from {before!r} to {after!r}"
                line = defined_at(type(model).update_model) or model._made_at
                problem("identity", message, line, entry=name)
    fields = None
    with guarded("`to_dict()`", name):
        fields = model.to_dict()
    if not isinstance(fields, dict):
        fields = {f.name: getattr(model, f.name, None) for f in dataclasses.fields(model)}
    # One object may stand in the list twice.
    model.name = name
    fields.update(name=name, tags=tags)
    try:
        return {"line": model._made_at, "entry": as_json(fields)}
    except UNWRITABLE:
        return {"line": model._made_at, "entry": writable(model, name, fields)}


def writable(model, name, fields):
    """The fields that can be written; each other one is a problem."""
    entry = {}
    for key, value in fields.items():
        try:
            entry[str(key)] = as_json(value)
        except UNWRITABLE as error:
            message = f"`{key}` cannot be written as JSON: {error}"
            problem("value", message, model._made_at, entry=name)
    return entry


def as_json(value):
    text = json.dumps(value, default=as_text, allow_nan=False, ensure_ascii=False)
    # Fails for halves of characters, as in names of files that are not UTF-8.
    return json.loads(text.encode("utf-8"))


def as_text(value):
    if isinstance(value, pathlib.PurePath):
        return str(value)
    raise TypeError(f"the type `{type(value).__name__}` has no form there")


def end_with(lifeline):
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)


def main():
    # What the program prints, and what it starts, goes to standard error.
    document, lifeline = os.dup(1), os.dup(0)
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    # As it comes, in order with the rest, and not lost if Python does not end in order.
    sys.stdout.reconfigure(line_buffering=True)
    threading.Thread(target=end_with, args=(lifeline,), daemon=True).start()
    sys.argv = [PROGRAM]
    install()
    entries = [listed(model) for model in models()]
    text = json.dumps({"entries": entries, "problems": problems}, ensure_ascii=False)
    with os.fdopen(document, "wb") as out:
        out.write(text.encode("utf-8"))
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    # Not through what the program registered, nor waiting for threads it left.
    os._exit(0)


main()
