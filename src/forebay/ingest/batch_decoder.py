"""`BatchDecoder`: decodes the messages of a batch into outcomes. It takes no lock."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import chain, repeat
from typing import TYPE_CHECKING, NamedTuple

from forebay.chunk import Chunk, ConvertedChunk
from forebay.errors import cut
from forebay.ingest.counts import Stamps
from forebay.ingest.decoder_pool import Decode, DecoderPool
from forebay.ingest.outcomes import Outcome, ProcessedChunk, converted_msg, rejection
from forebay.limits import ALIKE_MSGS_MIN, ERROR_TEXT_CHARS_MAX, STORE_LIMITS, TURN_BYTES_MAX
from forebay.model import ArrowMsg
from forebay.runtime import fresh_memory

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forebay.codec import DecodedChunk
    from forebay.ingest.core import Batch
    from forebay.ingest.expansions import Expansions
    from forebay.ingest.outcomes import ConvertedMsg
    from forebay.limits import StoreLimits

logger = logging.getLogger(__name__)


def chunk_decoder(
    limits: StoreLimits = STORE_LIMITS, expansions: Expansions | None = None
) -> Decode:
    """Make a decoder, for one turn at a time; it learns the schemas that it meets."""
    from forebay.codec import ChunkDecoder  # noqa: PLC0415 - not needed before the first message

    return ChunkDecoder(fresh_memory(), limits, expansions).decode


class Decoder(NamedTuple):
    """The ways in which one decoder decodes.

    Attributes:
        decode: One message.
        decode_timed: One message, and when it passed the stages of its sender; `None` if the
            decoder cannot tell.
        decode_alike: Several messages at once, `None` for each that it leaves; `None` if the
            decoder decodes one at a time only.
    """

    decode: Decode
    decode_timed: Callable[[ArrowMsg], DecodedChunk] | None
    decode_alike: Callable[[list[ArrowMsg]], list[Chunk | None]] | None


class DecodedBatch(NamedTuple):
    """What became of the first messages of a batch; the rest is to be decoded in another turn.

    Attributes:
        outcomes: One for each message that was decoded or rejected, in order.
        converted: Those that take more bytes than was known before, or lack columns.
        stamps: When one of them passed the stages of its sender, if its decoder tells.
        interrupt: What broke decoding off: Ctrl-C, or another exception that is not a message's.
    """

    outcomes: list[Outcome]
    converted: list[ConvertedMsg]
    stamps: Stamps | None
    interrupt: BaseException | None


class BatchDecoder:
    """Decodes batches for one worker. Several turns may call `decode` at the same time.

    The caller holds the worker's lock for `borrow`, `give_back` and `release_free`, and does not
    for `make` and `decode`.
    """

    __slots__ = {
        "_clock": "Seconds of the runtime's clock.",
        "_factory": "Makes a decoder, or takes one from the pool.",
        "_free": "Decoders that no turn of this worker uses at the moment.",
        "_pool": "Where other workers take decoders from; `None` if this worker shares none.",
        "_wall_clock": "Nanoseconds since the Unix epoch.",
        "interrupted_seq": "The last message whose decoding was interrupted; -1 before the first.",
    }

    def __init__(
        self,
        factory: Callable[[], Decode],
        clock: Callable[[], float],
        wall_clock: Callable[[], int],
    ) -> None:
        self._factory = factory
        self._pool = factory if isinstance(factory, DecoderPool) else None
        self._free: list[Decoder] = []
        self._clock = clock
        self._wall_clock = wall_clock
        self.interrupted_seq = -1

    @property
    def num_free(self) -> int:
        """How many decoders the worker keeps while no turn uses them."""
        return len(self._free)

    def borrow(self) -> Decoder | None:
        """Return a decoder that this worker used before; `None` if each is in use."""
        return self._free.pop() if self._free else None

    def make(self) -> Decoder:
        """Return a decoder that is new to this worker.

        If making one fails, the decoder returned raises that exception for each message.
        """
        try:
            decode = self._factory()
        except Exception as error:  # noqa: BLE001, RUF100 - without a decoder each message is rejected
            cause = error

            def refuse(_msg: ArrowMsg) -> Chunk:
                raise cause

            self._pool = None  # other workers have no use for this one
            return Decoder(refuse, None, None)
        owner = getattr(decode, "__self__", None)
        timed, alike = getattr(owner, "decode_timed", None), getattr(owner, "decode_alike", None)
        return Decoder(decode, timed, alike)

    def give_back(self, decoder: Decoder) -> None:
        """Keep a decoder for the next turn of this worker."""
        self._free.append(decoder)

    def release_free(self) -> None:
        """Let other workers have the decoders that are free; without a pool, keep them."""
        if self._pool is not None:
            while self._free:
                self._pool.give_back(self._free.pop().decode)

    def decode(self, batch: Batch, decoder: Decoder, until_s: float) -> DecodedBatch:
        """Decode messages of a batch, at least one, until the time slice is over.

        What is decoded must not wait long for the rest, so a turn is short. It also ends when its
        chunks became more than `limits.TURN_BYTES_MAX` larger than their messages.

        Args:
            batch: The messages.
            decoder: From `borrow` or `make`.
            until_s: When the slice ends, in seconds of the runtime's clock.

        Returns:
            The outcomes of the first messages; with an interrupt, those before it.
        """
        clock = self._clock
        outcomes: list[Outcome] = []
        converted: list[ConvertedMsg] = []
        stamps: Stamps | None = None
        interrupt: BaseException | None = None
        decode, timed, together = decoder
        is_over = False
        try:
            alike: Iterable[Chunk | None] = repeat(None)
            if together is not None and len(batch.entries) > ALIKE_MSGS_MIN:
                alike = _decoded_alike(batch, together)
            for entry, known in zip(batch.entries, alike, strict=False):
                msg, source, cost, _, seq, _ = entry
                if known is not None:
                    outcomes.append(ProcessedChunk(seq, known, source, cost))
                    continue
                if is_over:
                    break
                try:
                    if timed is not None:
                        # One message of each turn tells how long its stages took.
                        decoded, timed = timed(msg), None
                        chunk = decoded.chunk
                        stamps = self._stamps(decoded)
                    else:
                        chunk = decode(msg)
                    if type(chunk) is ConvertedChunk:
                        noted = converted_msg(seq, msg, source, cost, chunk)
                        converted.append(noted)
                        cost += noted.extra_bytes
                        if sum(one.extra_bytes for one in converted) > TURN_BYTES_MAX:
                            until_s = 0.0
                    outcomes.append(ProcessedChunk(seq, chunk, source, cost))
                except (KeyboardInterrupt, SystemExit) as error:
                    # The message is tried once more. If the message itself causes the interrupt,
                    # that would never end: the second time it is rejected.
                    if seq == self.interrupted_seq:
                        outcomes.append(rejection(seq, msg, source, cost, error))
                    self.interrupted_seq = seq
                    raise
                except BaseException as error:  # noqa: BLE001, RUF100 - the next message is decoded, whatever a decoder raises
                    outcomes.append(rejection(seq, msg, source, cost, error))
                is_over = clock() >= until_s
        except BaseException as error:  # noqa: BLE001, RUF100 - Ctrl-C must not lose messages
            interrupt = error
        return DecodedBatch(outcomes, converted, stamps, interrupt)

    def _stamps(self, decoded: DecodedChunk) -> Stamps:
        chunk = decoded.chunk
        logged_ns = chunk.row_id_at(0).time_ns if chunk.num_rows else 0
        return Stamps(
            logged_ns,
            chunk.id.time_ns,
            decoded.sdk_ipc_encoded_ns or 0,
            decoded.sdk_grpc_sink_ns or 0,
            self._wall_clock(),
        )


def _decoded_alike(
    batch: Batch, together: Callable[[list[ArrowMsg]], list[Chunk | None]]
) -> Iterable[Chunk | None]:
    """Decode all messages but the first together; `None` for each to be decoded alone.

    The first message is decoded alone, to be timed.
    """
    try:
        chunks = together([entry.msg for entry in batch.entries[1:]])
    except Exception as error:  # noqa: BLE001, RUF100 - a bounded text: it may quote the messages
        text = cut(repr(error), ERROR_TEXT_CHARS_MAX)
        logger.error("decoding messages together failed; they are decoded one by one: %s", text)
        return repeat(None)
    return chain((None,), chunks)
