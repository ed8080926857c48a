"""Be told of every chunk that arrives, store by store."""

import rerun as rr

import forebay
from forebay.model import ChunkAddition


def on_event(event: forebay.ChunkStoreEvent) -> None:
    """Called in commit order, off the server's threads."""
    if isinstance(event.diff, ChunkAddition):
        chunk = event.diff.chunk
        rows = f"{chunk.num_rows} rows of {chunk.entity_path}"
        print(f"{event.store_id.recording_id} #{event.event_id}: {rows}")


with forebay.serve("127.0.0.1:0") as server:
    server.hub.subscribe(on_event)
    for robot in ("robot-1", "robot-2"):
        with rr.RecordingStream("examples", recording_id=robot) as recording:
            recording.connect_grpc(server.url)
            for step in range(100):
                recording.set_time("step", sequence=step)
                recording.log("position", rr.Points3D([[step, 0, 0]]))

for db in server.hub.recordings():
    stats = db.ingestion_stats()
    print(f"{db.store_id}: {stats.committed} of {stats.accepted} messages committed")
