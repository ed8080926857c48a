"""Generated from common.proto by tools/generate_proto.py: do not edit."""

from forebay.codec.proto.pool import add_file

add_file(
    __name__,
    globals(),
    b'\n forebay/codec/proto/common.proto\x12\x15rerun.common.v1alpha1"O\n'
    b'\x04Tuid\x12\x1c\n\x07time_ns\x18\x01 \x01(\x06H\x00R\x06timeNs\x88\x01\x01\x12\x15\n\x03inc\x18\x02 \x01(\x06H\x01R\x03inc\x88\x01\x01B\n'
    b'\n\x08_time_nsB\x06\n\x04_inc"\x1f\n\rApplicationId\x12\x0e\n\x02id\x18\x01 \x01(\tR\x02id"\xaf\x01\n\x07Stor'
    b'eId\x124\n\x04kind\x18\x01 \x01(\x0e2 .rerun.common.v1alpha1.StoreKindR\x04kind\x12!\n'
    b'\x0crecording_id\x18\x02 \x01(\tR\x0brecordingId\x12K\n\x0eapplication_id\x18\x03 \x01(\x0b2$.r'
    b'erun.common.v1alpha1.ApplicationIdR\rapplicationId"\x19\n\x07TableId'
    b'\x12\x0e\n\x02id\x18\x01 \x01(\tR\x02id"A\n\x06Schema\x12&\n\x0carrow_schema\x18\x01 \x01(\x0cH\x00R\x0barrowSch'
    b'ema\x88\x01\x01B\x0f\n\r_arrow_schema"\xfd\x01\n\rDataframePart\x12N\n\x0fencoder_version'
    b'\x18\x01 \x01(\x0e2%.rerun.common.v1alpha1.EncoderVersionR\x0eencoderVersio'
    b'n\x12\x1d\n\x07payload\x18\x02 \x01(\x0cH\x00R\x07payload\x88\x01\x01\x12D\n\x0bcompression\x18\x03 \x01(\x0e2".reru'
    b'n.common.v1alpha1.CompressionR\x0bcompression\x12+\n\x11uncompressed_s'
    b'ize\x18\x04 \x01(\x04R\x10uncompressedSizeB\n\n\x08_payload*[\n\tStoreKind\x12\x1a\n\x16STOR'
    b'E_KIND_UNSPECIFIED\x10\x00\x12\x18\n\x14STORE_KIND_RECORDING\x10\x01\x12\x18\n\x14STORE_KIND'
    b'_BLUEPRINT\x10\x02*U\n\x0bCompression\x12\x1b\n\x17COMPRESSION_UNSPECIFIED\x10\x00\x12\x14\n\x10'
    b'COMPRESSION_NONE\x10\x01\x12\x13\n\x0fCOMPRESSION_LZ4\x10\x02*I\n\x0eEncoderVersion\x12\x1f\n'
    b'\x1bENCODER_VERSION_UNSPECIFIED\x10\x00\x12\x16\n\x12ENCODER_VERSION_V0\x10\x01b\x06prot'
    b'o3',
)
