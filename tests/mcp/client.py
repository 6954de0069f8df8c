"""What an agent's program does, with the official client of the protocol.

python client.py SCENARIO MAD ARGS...: starts the server MAD with ARGS, and fails where an answer
is not what it should be. The catalog is MAD_ROOT.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

SERVER = sys.argv[2:]
ROOT = Path(os.environ["MAD_ROOT"])
BESIDE = Path(os.environ["DIR"])


@asynccontextmanager
async def connected():
    server = StdioServerParameters(command=SERVER[0], args=SERVER[1:], env=dict(os.environ))
    async with stdio_client(server) as (read, write):
        async with ClientSession(read, write) as session:
            await session.initialize()
            yield session


def plain(result):
    """An answer as the protocol has it."""
    return result.model_dump(by_alias=True, exclude_none=True, mode="json")


async def call(session, tool, error=False, progress=None, **arguments):
    """The structured content of an answer, its text and its exit status; `error` is whether it is
    one, if that is known."""
    answer = plain(await session.call_tool(tool, arguments, progress_callback=progress))
    text = "\n".join(block["text"] for block in answer["content"])
    assert error is None or answer.get("isError", False) == error, (tool, arguments, text)
    status = answer.get("_meta", {}).get("exitStatus")
    return answer.get("structuredContent"), text, status


async def until(what, condition):
    """Waits; who waits for ever is ended by the test that started this."""
    while not condition():
        await asyncio.sleep(0.01)
    print(what)


def processes(*words):
    """Ids of the processes of this server with these words in their command lines."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_bytes().split(b"\0")
        except OSError:
            continue
        if all(word.encode() in line for word in words):
            found.append(int(process.parent.name))
    return found


def script():
    return processes(f"{BESIDE}/marker")


def commands():
    """Those that the server runs for its calls."""
    return [p for p in processes("__with-parent") if Path(f"/proc/{p}/cwd").resolve() == ROOT.resolve()]


async def tools():
    async with connected() as session:
        listed = plain(await session.list_tools())["tools"]
        document = [
            {key: tool[key] for key in ("name", "description", "annotations", "inputSchema")}
            for tool in listed
        ]
        print(json.dumps(document, indent=2))


async def every_tool():
    async with connected() as session:
        found, text, status = await call(session, "discover", tags=["m"])
        assert [e["name"] for e in found["entries"]] == ["m"], found
        assert status == 0 and text.startswith("exit status 0: ok\n"), text
        assert json.loads(text.partition("\n")[2]) == found["entries"], text

        found, _, status = await call(session, "validate")
        assert status == 0, found

        found, _, _ = await call(session, "benchmark", tags=["m"])
        assert found["schema"] == "mad-plan/1", found
        assert not (BESIDE / "was-run").exists(), "to plan is not to run"

        heard = []

        async def progress(step, total, message):
            heard.append((step, message))

        found, text, status = await call(
            session, "benchmark", progress=progress, tags=["m"], run=True, samples=2,
            additional_context={"env_vars": {"FACTOR": "3"}},
        )
        assert found["schema"] == "mad-benchmark/1" and found["exit"] == 0, found
        assert (BESIDE / "was-run").read_text() == "3\n3\n", "both executions, with the variable"
        await until("progress arrives", lambda: any("m" in (message or "") for _, message in heard))
        steps = [step for step, _ in heard]
        assert steps == sorted(set(steps)), steps
        run = found["run"]

        for results in ("latest", run, str(Path(os.environ["MAD_RUN_DIR"]) / "runs" / run)):
            found, _, _ = await call(session, "report", results=results)
            assert "mad-report" in json.dumps(found), found
        found, _, _ = await call(session, "report", results="perf.csv", compare_to=run)

        found, _, _ = await call(session, "history", model="m", last=3)
        assert "m" in json.dumps(found), found

        # Whether a short run is long enough for the profiler is not known.
        found, _, _ = await call(session, "profile", error=None, model="m", tools=["builtin"])
        assert found["schema"] == "mad-profile/1", found

        found, _, _ = await call(session, "diagnose", error=None, path=found["traces"], model="m")
        assert found["schema"] == "mad-diagnosis/1", found

        found, _, status = await call(
            session, "compare", tags=["m"], base_context={"env_vars": {"FACTOR": "3"}},
            additional_context={"env_vars": {"FACTOR": "3"}}, max_samples=2, error=True,
        )
        assert status == 1 and found["schema"].startswith("mad-compar"), (status, found)

        runs = len((BESIDE / "was-run").read_text().splitlines())
        found, _, status = await call(session, "tune-search", model="m")
        assert status == 0 and found["schema"] == "mad-tune-plan/1", (status, found)
        assert len((BESIDE / "was-run").read_text().splitlines()) == runs, "to plan is not to run"

        before = (ROOT / "models.json").read_bytes()
        found, _, _ = await call(session, "add-model", name="pyt_new", **{"from": "m"})
        assert found["schema"] == "mad-add-model/1", found
        assert (ROOT / "models.json").read_bytes() == before, "shown, not written"
        await call(session, "add-model", name="pyt_new", write=True, **{"from": "m"})
        assert b"pyt_new" in (ROOT / "models.json").read_bytes()

        # Failures are told, with the exit status and the message.
        _, text, status = await call(session, "discover", tags=["nothing-like-it"], error=True)
        assert status == 2 and "nothing-like-it" in text, text
        _, text, status = await call(session, "benchmark", tags=["fails"], run=True, error=True)
        assert status == 3 and "exit status 3: a run failed" in text, text


async def regression():
    async with connected() as session:
        found, text, status = await call(session, "benchmark", tags=["m"], run=True)
        assert status == 5 and found["exit"] == 5, found
        assert "performance regression" in text, text


async def start(session):
    going = asyncio.create_task(session.call_tool("benchmark", {"tags": ["m"], "run": True}))
    await until("the script runs", script)
    return going


async def cancel():
    async with connected() as session:
        going = await start(session)
        going.cancel()
        await until("the script is gone", lambda: not script())
        await until("so is the command", lambda: not commands())
        found, _, _ = await call(session, "discover", tags=["m"])
        assert found["entries"], "the server goes on"


async def disconnect():
    async with connected() as session:
        going = await start(session)
        server = server_of(commands()[0])
    going.cancel()
    await until("the script is gone", lambda: not script())
    await until("so is the command", lambda: not commands())
    await until("so is the server", lambda: not Path(f"/proc/{server}").exists())


def server_of(command):
    return int(Path(f"/proc/{command}/stat").read_text().rpartition(")")[2].split()[1])


async def kill():
    """The server dies; the client does not know at once."""
    async with connected() as session:
        going = await start(session)
        os.kill(server_of(commands()[0]), signal.SIGKILL)
        await until("the script is gone", lambda: not script())
        await until("so is the command", lambda: not commands())
        going.cancel()


async def die():
    """The client waits for an answer, until it is killed."""
    async with connected() as session:
        await (await start(session))


BAD = [
    # Types and names of arguments.
    ("discover", {"tags": "m"}, "tags: invalid type: string"),
    ("benchmark", {"tags": ["m"], "samples": "many"}, "samples: invalid type"),
    ("benchmark", {"tags": ["m"], "samples": -1}, "samples: invalid value"),
    ("benchmark", {"tags": ["m"], "run": "yes"}, "run: invalid type"),
    ("benchmark", {"tags": ["m"], "use_image": "evil"}, "unknown field `use_image`"),
    ("benchmark", {"tags": ["m"], "additional_context": "{}"}, "additional_context: invalid type"),
    ("profile", {}, "missing field `model`"),
    ("compare", {"tags": []}, "say what to compare"),
    ("benchmark", {"run": True}, "say what to run"),
    ("tune-search", {}, "missing field `model`"),
    ("tune-search", {"model": "m", "resume": "../x"}, "the id of a search"),
    ("tune-search", {"model": "m", "trace": "/etc/passwd"}, "is not below the catalog"),
    ("diagnose", {"path": "a\0b"}, "NUL"),
    ("discover", {"tags": ["a\0b"]}, "special characters"),
    # Paths.
    ("diagnose", {"path": "/etc/passwd"}, "is not below the catalog"),
    ("diagnose", {"path": "/etc/nothing-there"}, "is not below the catalog"),
    ("diagnose", {"path": "../outside"}, "`..` is not allowed"),
    ("diagnose", {"path": "scripts/../../outside"}, "`..` is not allowed"),
    ("diagnose", {"path": "link"}, "a symbolic link leads out"),
    ("diagnose", {"path": "missing"}, "cannot be read"),
    ("report", {"results": "/etc/passwd"}, "is not below the catalog"),
    ("report", {"results": "latest", "compare_to": ".."}, "`..` is not allowed"),
    ("benchmark", {"tags": ["m"], "machine": "link"}, "a symbolic link leads out"),
    # What could run something else.
    ("benchmark", {"tags": ["m:x=$(touch pwned)"], "run": True}, "special characters"),
    ("benchmark", {"tags": ["m:x=/bin/sh"], "run": True}, "outside the catalog"),
    ("benchmark", {"tags": ["m:x=../../x"], "run": True}, "outside the catalog"),
    ("add-model", {"name": "n", "url": "ext::sh -c x"}, "must begin with https://"),
    *[
        ("benchmark", {"tags": ["m"], "run": True, "additional_context": context}, said)
        for context, said in [
            ({"tools": [{"name": "x", "cmd": "sh"}]}, '"tools" of a context is not allowed'),
            ({"pre_scripts": ["/bin/sh"]}, "not allowed here"),
            ({"post_scripts": ["/bin/sh"]}, "not allowed here"),
            ({"docker_mounts": {"/x": "/"}}, "not allowed here"),
            ({"MAD_CONTAINER_IMAGE": "evil"}, "not allowed here"),
            ({"slurm": {}}, "not allowed here"),
            ({"unheard_of": 1}, "not allowed here"),
            ({"env_vars": {"LD_PRELOAD": "x.so"}}, "can make other programs run"),
            ({"env_vars": {"BASH_ENV": "x"}}, "can make other programs run"),
            ({"env_vars": {"BASH_FUNC_ls%%": "x"}}, "no name of a variable"),
            ({"env_vars": {"PATH": "x"}}, "can make other programs run"),
            ({"env_vars": {"A": "/bin/sh"}}, "outside the catalog"),
            ({"env_vars": {"A": "file:///x"}}, "outside the catalog"),
            ({"env_vars": {"A": "`x`"}}, "special characters"),
            ({"env_vars": ["A=1"]}, "must be an object"),
            ({"model_args": "--run /bin/sh"}, "outside the catalog"),
            ({"model_args": {"a": 1}}, "must be a string"),
        ]
    ],
    ("compare", {"tags": ["m"], "base_context": {"tools": []}}, "not allowed here"),
]

# Words that look like options stay words.
DASHES = [
    ("discover", {"tags": ["--help"]}, 2),
    ("benchmark", {"tags": ["--root=x"], "run": True}, 2),
    ("benchmark", {"tags": ["-h"], "run": True}, 2),
    ("profile", {"model": "--list"}, 2),
    ("compare", {"tags": ["m"], "base": "--help"}, 4),
    ("tune-search", {"model": "m", "target": "--help"}, 4),
    ("add-model", {"name": "--help"}, 4),
]


async def bad():
    async with connected() as session:
        for tool, arguments, said in BAD:
            _, text, _ = await call(session, tool, error=True, **arguments)
            assert said in text, (tool, arguments, text)
        for tool, arguments, expected in DASHES:
            _, text, status = await call(session, tool, error=True, **arguments)
            assert status == expected, (tool, arguments, text)
        for tool in ("tune", "../mad", ""):
            try:
                answer = await session.call_tool(tool, {})
            except Exception as error:
                assert "there is no tool" in str(error), error
            else:
                raise AssertionError(answer)
        found, _, _ = await call(session, "discover", tags=["m"])
        assert found["entries"], "the server goes on"
    assert not (BESIDE / "was-run").exists(), "nothing was run"


async def raw():
    """Standard output has nothing but the protocol, whatever comes in."""
    first = {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"},
    }
    lines = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": first},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "validate"}},
        {"jsonrpc": "2.0", "id": 3, "method": "no/such/method"},
        {"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": {"name": "discover", "arguments": [1]}},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 99}},
        {"jsonrpc": "2.0", "id": 5, "method": "ping"},
    ]
    text = "\n".join([*map(json.dumps, lines[:4]), "{ no JSON", "[]", "", *map(json.dumps, lines[4:])])
    server = subprocess.Popen(SERVER, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    server.stdin.write(text.encode() + b"\n")
    server.stdin.flush()
    answered = set()
    while not {1, 2, 3, 5} <= answered:
        line = json.loads(server.stdout.readline())
        assert line["jsonrpc"] == "2.0", line
        answered.add(line.get("id"))
    server.stdin.close()
    rest = server.stdout.read()
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in rest.splitlines()), rest
    assert server.wait() == 0


SCENARIOS = (tools, every_tool, regression, cancel, disconnect, kill, die, bad, raw)
asyncio.run({f.__name__: f for f in SCENARIOS}[sys.argv[1]]())
