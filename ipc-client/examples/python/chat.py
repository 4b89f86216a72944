#!/usr/bin/env python3
"""Talk to a model through the AI Runner daemon, over its published .proto files.

    python chat.py builtin/helper "What can you do?"

The daemon must be running (airunner start). Python code for the .proto files is generated into
a temporary directory at each start, so there is nothing to build and nothing to keep up to date.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_tools import protoc

PROTO = Path(__file__).resolve().parents[3] / "proto" / "proto"
FILES = ["common", "control", "models", "llm"]


def load_stubs():
    """Generates and imports the modules of package airunner.v1."""
    with tempfile.TemporaryDirectory(prefix="airunner-stubs-") as directory:
        arguments = ["protoc", f"-I{PROTO}", f"--python_out={directory}", f"--grpc_python_out={directory}"]
        arguments += [f"airunner/v1/{name}.proto" for name in FILES]
        if protoc.main(arguments) != 0:
            raise SystemExit(f"cannot read the .proto files in {PROTO}")
        sys.path.insert(0, directory)
        from airunner.v1 import control_pb2, control_pb2_grpc, llm_pb2, llm_pb2_grpc

        sys.path.remove(directory)
        return control_pb2, control_pb2_grpc, llm_pb2, llm_pb2_grpc


def socket_path():
    """Asks the command line where the daemon listens."""
    status = subprocess.run(["airunner", "status", "--json"], capture_output=True, text=True, check=False)
    answer = json.loads(status.stdout)
    if not answer.get("running"):
        raise SystemExit("the daemon is not running; start it with: airunner start")
    return answer["socket"]


def explain(error):
    """The stable reason and the sentence of a refused call."""
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    reason = error.code().name.lower()
    if details:
        for detail in status_pb2.Status.FromString(details).details:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info) and info.domain == "airunner":
                reason = info.reason
    return f"{reason}: {error.details()}"


def main():
    parser = argparse.ArgumentParser(description="Ask a model of AI Runner.")
    parser.add_argument("model")
    parser.add_argument("question")
    parser.add_argument("--socket", help="where the daemon listens; asked of `airunner` if left out")
    options = parser.parse_args()

    control_pb2, control_pb2_grpc, llm_pb2, llm_pb2_grpc = load_stubs()
    # The authority is a header that some HTTP/2 servers refuse when it is a file path.
    channel = grpc.insecure_channel(
        f"unix:{options.socket or socket_path()}",
        options=[("grpc.default_authority", "localhost")],
    )
    try:
        hello = control_pb2_grpc.ControlStub(channel).Hello(control_pb2.HelloRequest(client="chat.py 1"))
        print(f"AI Runner {hello.daemon_version}, process {hello.pid}", file=sys.stderr)

        message = llm_pb2.Message(role="user", content=options.question)
        request = llm_pb2.GenerateRequest(
            model=options.model,
            conversation=llm_pb2.Conversation(messages=[message]),
            sampling=llm_pb2.Sampling(temperature=0),
            max_tokens=200,
        )
        # Leaving the loop early and cancelling the call cancels the request in the daemon.
        for response in llm_pb2_grpc.LlmStub(channel).Generate(request):
            event = response.WhichOneof("event")
            if event == "loading":
                progress = response.loading
                print(f"loading: {progress.stage} {progress.fraction:.0%}", file=sys.stderr)
            elif event == "text":
                print(response.text.text, end="", flush=True)
            elif event == "done":
                done = response.done
                print()
                print(
                    f"{done.usage.completion_tokens} tokens,"
                    f" {done.timings.tokens_per_second:.1f} tokens/s, {done.finish_reason}",
                    file=sys.stderr,
                )
    except grpc.RpcError as error:
        raise SystemExit(explain(error)) from None


if __name__ == "__main__":
    main()
