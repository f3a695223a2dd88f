"""The public face: every name that users may rely on, what it is, and that it says so itself."""

from __future__ import annotations

import ast
import inspect
import pickle
import pkgutil
import sys
import typing
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest
from support import processes
from typing_extensions import is_typeddict

import phonic_fsm

PUBLIC = {
    "phonic_fsm": {
        "AudioFormat": "values",
        "CallTakenOver": "error",
        "ConfigurationEndpoint": "dictionary",
        "ConfigurationRefused": "error",
        "ConnectionFailed": "error",
        "ConnectionLost": "error",
        "ConversationEnded": "error",
        "ConversationKnown": "class",
        "DataRetentionPolicy": "dictionary",
        "Dtmf": "class",
        "IntelligenceLevel": "values",
        "ObservabilityIntegration": "values",
        "Outage": "class",
        "OutboundNumberPool": "dictionary",
        "Past": "class",
        "PhonicError": "error",
        "PhonicMetrics": "class",
        "PhonicModel": "values",
        "PhonicOptions": "dictionary",
        "PhonicToolConfig": "dictionary",
        "PhonicTranscript": "class",
        "PronunciationEntry": "dictionary",
        "RealtimeModel": "class",
        "RealtimeSession": "class",
        "ReplyFailed": "error",
        "ReplyTimedOut": "error",
        "RetentionPeriod": "dictionary",
        "SessionBroke": "error",
        "State": "class",
        "StateChanged": "class",
        "SpokenLine": "class",
        "Task": "dictionary",
        "ToolCallSettled": "class",
        "TraceLimits": "class",
        "__version__": "text",
        "observe": "function",
        "to_phonic_tool_definitions": "function",
    },
    "phonic_fsm.durable": {
        "Ended": "error",
        "Holder": "class",
        "Journal": "class",
        "JournalError": "error",
        "Journals": "class",
        "LinesLost": "error",
        "NoJournal": "error",
        "OwnershipLost": "error",
        "Status": "class",
        "StoreFailed": "error",
        "Taken": "error",
        "guard": "function",
        "journals": "function",
    },
    "phonic_fsm.simulator": {
        "ASSISTANT_PITCH_HZ": "number",
        "AgentConfig": "class",
        "CALLER_PITCH_HZ": "number",
        "Call": "class",
        "ConversationRecord": "class",
        "DOUBTS": "table",
        "Doubt": "class",
        "DoubtError": "error",
        "Doubts": "class",
        "PhonicSimulator": "class",
        "Scenario": "class",
        "ScenarioError": "error",
        "Speech": "class",
        "SpeechDetector": "class",
        "SpeechEdge": "class",
        "Turn": "class",
        "Word": "class",
        "load_scenario": "function",
        "scenario_names": "function",
        "scenario_of": "function",
        "speak": "function",
    },
    "phonic_fsm.prometheus": {
        "PrometheusMeters": "class",
    },
    "phonic_fsm.testing": {
        "AgentWorker": "class",
        "Call": "class",
        "Caller": "class",
        "LiveKitMissing": "error",
        "LiveKitServer": "class",
        "PhoneCall": "class",
        "PhonicSimulator": "class",
        "Playback": "class",
        "RoomCall": "class",
        "Scenario": "class",
        "Sound": "class",
        "TraceError": "error",
        "Transcript": "class",
        "Turn": "class",
        "assert_replays": "function",
        "replay": "function",
    },
    "phonic_fsm.trace": {
        "ComparedStep": "class",
        "Difference": "class",
        "End": "class",
        "Figures": "class",
        "Header": "class",
        "Line": "class",
        "ReplayedStep": "class",
        "TimeDifference": "class",
        "TraceCutOff": "error",
        "TraceError": "error",
        "TraceReader": "class",
        "diff_traces": "function",
        "diff_with_machine": "function",
        "measure": "function",
        "replay": "function",
        "schema": "function",
    },
}

NAMES = [(package, name) for package, names in PUBLIC.items() for name in names]

CLASSES = [(p, n) for p, n in NAMES if PUBLIC[p][n] in ("class", "error")]


def kind(value: object) -> str:
    if is_typeddict(value):
        return "dictionary"
    if inspect.isclass(value):
        return "error" if issubclass(value, Exception) else "class"
    if inspect.isfunction(value):
        return "function"
    if typing.get_origin(value) is typing.Literal:
        return "values"
    return {str: "text", int: "number", float: "number", tuple: "table"}[type(value)]


def imported_for_type_checkers(package: str) -> dict[str, str]:
    """The names that a package's source imports from its own modules, with these modules."""
    module = import_module(package)
    assert module.__file__ is not None
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    return {
        alias.name: "." * node.level + (node.module or "")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
        if alias.name != "lazy"
    }


def text_behind(package: str, name: str) -> str | None:
    """The string that follows a name's assignment in the source, which is its documentation."""
    home = import_module(imported_for_type_checkers(package)[name], package)
    assert home.__file__ is not None
    body = ast.parse(Path(home.__file__).read_text(encoding="utf-8")).body
    for statement, following in pairwise(body):
        match statement, following:
            case (
                ast.Assign(targets=[ast.Name(id=found)]) | ast.AnnAssign(target=ast.Name(id=found)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ) if found == name:
                return text
    return None


def test_every_other_module_is_private():
    found = {
        module.name
        for module in pkgutil.walk_packages(phonic_fsm.__path__, "phonic_fsm.")
        if not any(part.startswith("_") for part in module.name.split("."))
    }
    assert {"phonic_fsm", *found} == set(PUBLIC)


@pytest.mark.parametrize("package", PUBLIC)
def test_the_list_is_what_the_package_has(package):
    module = import_module(package)
    assert {name: kind(getattr(module, name)) for name in module.__all__} == PUBLIC[package]
    assert set(imported_for_type_checkers(package)) == set(module.__all__)
    assert set(module.__all__) <= {*dir(module), "__version__"}


def test_a_name_that_is_not_there_is_an_attribute_error_that_says_so():
    with pytest.raises(AttributeError, match=r"module 'phonic_fsm' has no attribute 'Dmtf'"):
        _ = phonic_fsm.Dmtf


@pytest.mark.parametrize(("package", "name"), NAMES)
def test_every_public_name_says_what_it_is(package, name):
    value = getattr(import_module(package), name)
    if PUBLIC[package][name] in ("class", "error", "function", "dictionary"):
        # A dataclass without a docstring gets its signature for one.
        assert value.__doc__
        assert not value.__doc__.startswith((f"{name}(", "An enumeration"))
    elif name != "__version__":
        assert text_behind(package, name)


@pytest.mark.parametrize(("package", "name"), CLASSES)
def test_so_does_each_of_its_methods_and_properties(package, name):
    kind = getattr(import_module(package), name)
    silent = [
        attribute
        for attribute, value in vars(kind).items()
        if not attribute.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, property))
        and not inspect.getdoc(value)
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("package", "name"),
    [(p, n) for p, n in CLASSES if p == "phonic_fsm" or PUBLIC[p][n] == "error"],
)
def test_what_a_user_meets_in_tracebacks_and_labels_says_its_public_path(package, name):
    value = getattr(import_module(package), name)
    defined = "phonic_fsm.trace" if name == "TraceError" else package
    assert value.__module__ == defined
    assert pickle.loads(pickle.dumps(value)) is value
    typing.get_type_hints(value)


def test_livekit_labels_errors_and_metrics_with_the_public_path():
    assert phonic_fsm.RealtimeModel(api_key="any").label == "phonic_fsm.RealtimeModel"


def test_the_packages_without_a_session_load_neither_livekit_nor_a_websocket():
    program = (
        "import sys, phonic_fsm, phonic_fsm.testing, phonic_fsm.trace; "
        "dir(phonic_fsm), phonic_fsm.State; "
        "print(*sorted({'livekit', 'numpy', 'websockets'} & set(sys.modules)))"
    )
    run = processes.run(sys.executable, "-c", program)
    assert (run.returncode, run.stdout.split()) == (0, [])
