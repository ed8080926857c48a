"""Load recordings and ask them questions: `python load_and_query.py FILE...`."""

import sys

import forebay

hub = forebay.load(*sys.argv[1:])
for db in hub.recordings():
    print(f"{db.store_id}: {db.num_chunks} chunks, {db.num_rows} rows")
    for timeline, kind in db.timelines().items():
        first, last = db.time_range(timeline)
        print(f"  {timeline} ({kind}) from {first} to {last}")
    for entity in db.entity_paths():
        for timeline in db.timelines():
            _, last = db.time_range(timeline)
            cells = db.latest_at(timeline, last, entity)
            for component, cell in cells.items():
                print(f"  {entity} {component}: {len(cell.value)} values, set at {cell.time}")
            break
