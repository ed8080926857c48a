"""Generated from log_msg.proto by tools/generate_proto.py: do not edit."""

from forebay.codec.proto import common_pb2 as _common_pb2  # noqa: F401
from forebay.codec.proto.pool import add_file

add_file(
    __name__,
    globals(),
    b'\n!forebay/codec/proto/log_msg.proto\x12\x16rerun.log_msg.v1alpha1\x1a'
    b' forebay/codec/proto/common.proto"\x96\x02\n\x06LogMsg\x12L\n\x0eset_store_in'
    b'fo\x18\x01 \x01(\x0b2$.rerun.log_msg.v1alpha1.SetStoreInfoH\x00R\x0csetStoreIn'
    b'fo\x12?\n\tarrow_msg\x18\x02 \x01(\x0b2 .rerun.log_msg.v1alpha1.ArrowMsgH\x00R\x08a'
    b'rrowMsg\x12v\n\x1cblueprint_activation_command\x18\x03 \x01(\x0b22.rerun.log_ms'
    b'g.v1alpha1.BlueprintActivationCommandH\x00R\x1ablueprintActivation'
    b'CommandB\x05\n\x03msg"y\n\x0cSetStoreInfo\x122\n\x06row_id\x18\x01 \x01(\x0b2\x1b.rerun.commo'
    b'n.v1alpha1.TuidR\x05rowId\x125\n\x04info\x18\x02 \x01(\x0b2!.rerun.log_msg.v1alpha'
    b'1.StoreInfoR\x04info"\xb2\x02\n\tStoreInfo\x12K\n\x0eapplication_id\x18\x01 \x01(\x0b2$.re'
    b'run.common.v1alpha1.ApplicationIdR\rapplicationId\x129\n\x08store_id'
    b'\x18\x02 \x01(\x0b2\x1e.rerun.common.v1alpha1.StoreIdR\x07storeId\x12F\n\x0cstore_sou'
    b'rce\x18\x05 \x01(\x0b2#.rerun.log_msg.v1alpha1.StoreSourceR\x0bstoreSource\x12'
    b'I\n\rstore_version\x18\x06 \x01(\x0b2$.rerun.log_msg.v1alpha1.StoreVersion'
    b'R\x0cstoreVersionJ\x04\x08\x03\x10\x04J\x04\x08\x04\x10\x05"\x8a\x01\n\x0bStoreSource\x12;\n\x04kind\x18\x01 \x01(\x0e2\'.r'
    b'erun.log_msg.v1alpha1.StoreSourceKindR\x04kind\x12>\n\x05extra\x18\x02 \x01(\x0b2('
    b'.rerun.log_msg.v1alpha1.StoreSourceExtraR\x05extra",\n\x10StoreSour'
    b'ceExtra\x12\x18\n\x07payload\x18\x01 \x01(\x0cR\x07payload"<\n\x0cStoreVersion\x12,\n\x12crate_v'
    b'ersion_bits\x18\x01 \x01(\x05R\x10crateVersionBits"\x8a\x03\n\x08ArrowMsg\x129\n\x08store_id'
    b'\x18\x01 \x01(\x0b2\x1e.rerun.common.v1alpha1.StoreIdR\x07storeId\x12D\n\x0bcompressi'
    b'on\x18\x02 \x01(\x0e2".rerun.common.v1alpha1.CompressionR\x0bcompression\x12+\n'
    b'\x11uncompressed_size\x18\x03 \x01(\x04R\x10uncompressedSize\x12<\n\x08encoding\x18\x04 \x01(\x0e'
    b'2 .rerun.log_msg.v1alpha1.EncodingR\x08encoding\x12\x18\n\x07payload\x18\x05 \x01('
    b'\x0cR\x07payload\x12;\n\x08chunk_id\x18\x06 \x01(\x0b2\x1b.rerun.common.v1alpha1.TuidH\x00R'
    b'\x07chunkId\x88\x01\x01\x12 \n\tis_static\x18\x07 \x01(\x08H\x01R\x08isStatic\x88\x01\x01B\x0b\n\t_chunk_idB\x0c'
    b'\n\n_is_static"\xa3\x01\n\x1aBlueprintActivationCommand\x12A\n\x0cblueprint_id\x18'
    b'\x01 \x01(\x0b2\x1e.rerun.common.v1alpha1.StoreIdR\x0bblueprintId\x12\x1f\n\x0bmake_a'
    b'ctive\x18\x02 \x01(\x08R\nmakeActive\x12!\n\x0cmake_default\x18\x03 \x01(\x08R\x0bmakeDefault"N'
    b'\n\tRrdFooter\x12A\n\tmanifests\x18\x01 \x03(\x0b2#.rerun.log_msg.v1alpha1.RrdM'
    b'anifestR\tmanifests"\x96\x02\n\x0bRrdManifest\x129\n\x08store_id\x18\x01 \x01(\x0b2\x1e.rerun'
    b'.common.v1alpha1.StoreIdR\x07storeId\x12B\n\rsorbet_schema\x18\x02 \x01(\x0b2\x1d.r'
    b'erun.common.v1alpha1.SchemaR\x0csorbetSchema\x125\n\x14sorbet_schema_s'
    b'ha256\x18\x03 \x01(\x0cH\x00R\x12sorbetSchemaSha256\x88\x01\x01\x128\n\x04data\x18\x04 \x01(\x0b2$.rerun.c'
    b'ommon.v1alpha1.DataframePartR\x04dataB\x17\n\x15_sorbet_schema_sha256*'
    b'\xea\x01\n\x0fStoreSourceKind\x12!\n\x1dSTORE_SOURCE_KIND_UNSPECIFIED\x10\x00\x12\x1b\n\x17ST'
    b'ORE_SOURCE_KIND_C_SDK\x10\x01\x12 \n\x1cSTORE_SOURCE_KIND_PYTHON_SDK\x10\x02\x12\x1e\n'
    b'\x1aSTORE_SOURCE_KIND_RUST_SDK\x10\x03\x12\x1a\n\x16STORE_SOURCE_KIND_FILE\x10\x04\x12\x1c\n'
    b'\x18STORE_SOURCE_KIND_VIEWER\x10\x05\x12\x1b\n\x17STORE_SOURCE_KIND_OTHER\x10\x06*<\n\x08'
    b'Encoding\x12\x18\n\x14ENCODING_UNSPECIFIED\x10\x00\x12\x16\n\x12ENCODING_ARROW_IPC\x10\x01b\x06'
    b'proto3',
)
