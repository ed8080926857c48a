"""Query a recording while the Rerun SDK is still logging it."""

import math

import rerun as rr

import forebay

with forebay.serve("127.0.0.1:0") as server:
    recording = rr.RecordingStream("examples", recording_id="live")
    recording.connect_grpc(server.url)

    for frame in range(1000):
        recording.set_time("frame", sequence=frame)
        recording.log("plot/sine", rr.Scalars(math.sin(frame / 100)))
        if frame % 250 == 249:
            recording.flush()
            if server.hub.recordings():
                db = server.hub.recording("live")
                print(f"logged {frame + 1} rows, can query {db.num_rows}")
    recording.disconnect()

# Leaving the block let the stream finish and committed all of it.
db = server.hub.recording("live")
latest = db.latest_at("frame", 500, "/plot/sine")["Scalars:scalars"]
print(f"at frame {latest.time}: {latest.value[0].as_py():.3f}")
print(db.range("frame", 997, 999, "/plot/sine").select(["frame", "Scalars:scalars"]).to_pydict())
