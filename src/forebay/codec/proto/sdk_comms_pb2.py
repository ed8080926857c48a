"""Generated from sdk_comms.proto by tools/generate_proto.py: do not edit."""

from forebay.codec.proto import common_pb2 as _common_pb2  # noqa: F401
from forebay.codec.proto import log_msg_pb2 as _log_msg_pb2  # noqa: F401
from forebay.codec.proto.pool import add_file

add_file(
    __name__,
    globals(),
    b'\n#forebay/codec/proto/sdk_comms.proto\x12\x18rerun.sdk_comms.v1alp'
    b'ha1\x1a forebay/codec/proto/common.proto\x1a!forebay/codec/proto/l'
    b'og_msg.proto"O\n\x14WriteMessagesRequest\x127\n\x07log_msg\x18\x01 \x01(\x0b2\x1e.reru'
    b'n.log_msg.v1alpha1.LogMsgR\x06logMsg"\x17\n\x15WriteMessagesResponse"\x15'
    b'\n\x13ReadMessagesRequest"O\n\x14ReadMessagesResponse\x127\n\x07log_msg\x18\x01 \x01'
    b'(\x0b2\x1e.rerun.log_msg.v1alpha1.LogMsgR\x06logMsg"}\n\x11WriteTableRequ'
    b'est\x12.\n\x02id\x18\x01 \x01(\x0b2\x1e.rerun.common.v1alpha1.TableIdR\x02id\x128\n\x04data\x18'
    b'\x02 \x01(\x0b2$.rerun.common.v1alpha1.DataframePartR\x04data"\x14\n\x12WriteTa'
    b'bleResponse"\x13\n\x11ReadTablesRequest"~\n\x12ReadTablesResponse\x12.\n\x02id'
    b'\x18\x01 \x01(\x0b2\x1e.rerun.common.v1alpha1.TableIdR\x02id\x128\n\x04data\x18\x02 \x01(\x0b2$.r'
    b'erun.common.v1alpha1.DataframePartR\x04data2\xce\x03\n\x13MessageProxySer'
    b'vice\x12r\n\rWriteMessages\x12..rerun.sdk_comms.v1alpha1.WriteMessag'
    b'esRequest\x1a/.rerun.sdk_comms.v1alpha1.WriteMessagesResponse(\x01'
    b'\x12o\n\x0cReadMessages\x12-.rerun.sdk_comms.v1alpha1.ReadMessagesRequ'
    b'est\x1a..rerun.sdk_comms.v1alpha1.ReadMessagesResponse0\x01\x12g\n\nWri'
    b'teTable\x12+.rerun.sdk_comms.v1alpha1.WriteTableRequest\x1a,.rerun'
    b'.sdk_comms.v1alpha1.WriteTableResponse\x12i\n\nReadTables\x12+.rerun'
    b'.sdk_comms.v1alpha1.ReadTablesRequest\x1a,.rerun.sdk_comms.v1al'
    b'pha1.ReadTablesResponse0\x01b\x06proto3',
)
