from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pool

from forebay.codec.proto import common_pb2, log_msg_pb2, sdk_comms_pb2

ROOT = Path(__file__).parent.parent.parent


def test_committed_code_is_what_the_command_gives() -> None:
    pytest.importorskip("grpc_tools")  # which has no wheel for interpreters without a GIL
    command = [sys.executable, "tools/generate_proto.py", "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_rerun_s_names_are_not_in_the_process_wide_pool() -> None:
    """Two packages that both bring these messages must be able to live in one process."""
    code = """
from google.protobuf import descriptor_pool
import forebay.codec
for name in ("rerun.log_msg.v1alpha1.LogMsg", "rerun.common.v1alpha1.StoreId"):
    try:
        descriptor_pool.Default().FindMessageTypeByName(name)
    except KeyError:
        continue
    raise SystemExit(f"{name} is in the default pool")
import sys
assert "rerun" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_messages_go_by_rerun_s_names() -> None:
    names = {
        log_msg_pb2.LogMsg: "rerun.log_msg.v1alpha1.LogMsg",
        log_msg_pb2.RrdFooter: "rerun.log_msg.v1alpha1.RrdFooter",
        common_pb2.StoreId: "rerun.common.v1alpha1.StoreId",
        sdk_comms_pb2.WriteTableRequest: "rerun.sdk_comms.v1alpha1.WriteTableRequest",
    }
    for message, name in names.items():
        assert message.DESCRIPTOR.full_name == name
        assert message.__module__.startswith("forebay.codec.proto.")
    service = sdk_comms_pb2.DESCRIPTOR.services_by_name["MessageProxyService"]
    assert service.full_name == "rerun.sdk_comms.v1alpha1.MessageProxyService"
    assert sdk_comms_pb2.DESCRIPTOR.pool is not descriptor_pool.Default()
