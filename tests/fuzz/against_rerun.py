"""Generated recordings, read by Rerun and by us, and compared cell by cell.

    python -m tests.fuzz.against_rerun --recordings 5000 --seed 1

Recordings are logged by the real SDK, or written as other programs write them. Each is asked for
on every timeline and none, with and without fill, and at given index values. Where the answers
differ on purpose (docs/differences.md), a rule says so, and what it leaves out is counted.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from rerun.chunk import RrdReader

from forebay.codec import ChunkDecoder, StreamDecoder
from forebay.errors import InvalidChunkError, QueryError
from forebay.model import ArrowMsg
from forebay.store import ChunkStore, StoreSnapshot
from tests.store.dataframe import foreign, recordings
from tests.store.dataframe.foreign import CLEAR, Foreign
from tests.store.dataframe.recordings import Log, Step, integers

BATCH = 500
"""Recordings of one process."""

Asked = tuple[str | None, dict[str, Any]]


@dataclass
class Recording:
    """What is known of a recording beside its file.

    Attributes:
        path: The file.
        kind: Who wrote it.
        times: Times by timeline.
        traits: What it has that a rule may ask for.
        mixed: Entity and component of what was logged with several types.
        statics: Entity and component of what was logged as static data.
        twin: The same rows with one type for each component, if it has several.
    """

    path: Path
    kind: str
    times: dict[str, set[int]]
    traits: set[str]
    mixed: set[tuple[str, str]] = field(default_factory=set)
    statics: set[tuple[str, str]] = field(default_factory=set)
    twin: Path | None = None


@dataclass
class Tally:
    """What a run came to."""

    recordings: Counter[str] = field(default_factory=Counter)
    comparisons: int = 0
    cells: int = 0
    excluded: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def add(self, other: dict[str, Any]) -> None:
        """Add up what another process came to."""
        self.recordings.update(other["recordings"])
        self.comparisons += other["comparisons"]
        self.cells += other["cells"]
        self.excluded.update(other["excluded"])
        self.differences += other["differences"]

    def text(self, seconds: float, show: int) -> str:
        """For a person."""
        lines = [f"{count:>9,}  {kind}" for kind, count in self.recordings.most_common()]
        lines.append(
            f"{sum(self.recordings.values()):,} recordings, {self.comparisons:,} dataframes, "
            f"{self.cells:,} cells in {seconds:.0f} s; left out, each for a reason:"
        )
        lines += [f"{count:>9,}  {reason}" for reason, count in self.excluded.most_common()]
        lines.append(f"{len(self.differences):,} differences")
        lines += [f"  {text[:600]}" for text in self.differences[:show]]
        return "\n".join(lines)

    def differs(self, recording: Recording, asked: Asked, what: str) -> None:
        self.differences.append(f"{recording.path.name} ({recording.kind}) {asked}: {what}")


def compare(recording: Recording, tally: Tally, rng: random.Random) -> None:
    """Ask both all questions about one recording."""
    tally.recordings[recording.kind] += 1
    ours = read(recording.path)
    # Rerun cannot join columns of several types, and ends the process when it tries: it reads the
    # same rows with one type.
    path = recording.twin or recording.path
    try:
        theirs = RrdReader(path).stream().collect()
    except (RuntimeError, ValueError) as error:
        tally.excluded[f"Rerun does not read it: {first_words(error)}"] += 1
        return
    for asked in questions(recording, rng):
        left_out = next((name for name, rule in RULES if rule(recording, asked)), None)
        if left_out is not None:
            tally.excluded[left_out] += 1
            continue
        ask(recording, asked, ours, theirs, tally)


def ask(recording: Recording, asked: Asked, ours: StoreSnapshot, theirs: Any, tally: Tally) -> None:
    index, arguments = asked
    if "nulls in no list" in recording.traits:
        # When Rerun merges chunks, values behind such a null move up by one row.
        tally.excluded["compared as lists: columns with nulls that were no lists"] += 1
    if recording.twin is not None or "not lists" in recording.traits:
        # Rerun takes a column that was no list for data even if all of it is null.
        tally.excluded["whether columns that were no lists are empty"] += 1
        arguments = {**arguments, "include_semantically_empty_columns": True}
    try:
        other = theirs.reader(index, **arguments).to_arrow_table()
    except BaseException as error:  # Rerun panics, which is no `Exception`
        if isinstance(error, KeyboardInterrupt):
            raise
        tally.excluded[f"Rerun refuses: {first_words(error)}"] += 1
        if not recording.mixed:
            ours.dataframe(index, **arguments)  # we do not
        return
    try:
        mine = ours.dataframe(index, **arguments)
    except QueryError as error:
        if recording.mixed:
            tally.excluded["several types of one component that no type holds"] += 1
        else:
            tally.differs(recording, asked, f"we refuse: {error}")
        return
    tally.comparisons += 1
    try:
        mine.validate(full=True)
        difference = first_difference(recording, mine, other, tally)
    except pa.ArrowException as error:
        difference = f"our table is not valid: {error}"
    if difference is None:
        return
    if index is not None and says_otherwise(theirs, recording, index, arguments, mine):
        tally.excluded["Rerun answers otherwise when it is asked for the same rows by value"] += 1
    else:
        tally.differs(recording, asked, difference)


def says_otherwise(
    theirs: Any, recording: Recording, index: str, arguments: dict[str, Any], mine: pa.Table
) -> bool:
    """Whether Rerun gives our answer when it is asked for the same rows in another way.

    Its reader has two ways to the same cells: all rows, or those of given index values. A filled
    row of a value at which there is no data is that of the last time before it. The two ways
    do not always agree.
    """
    values = arguments.get("using_index_values")
    ours = columns_of(mine, mine.column_names)
    wanted = ours.pop(index)
    if values is None:
        asked_for = wanted
    else:
        times = sorted(recording.times[index])
        asked_for = [max((t for t in times if t <= value), default=value) for value in wanted]
        if not arguments.get("fill_latest_at") or asked_for == wanted:
            return False
    arguments = {**arguments, "using_index_values": sorted(set(asked_for))}
    table = theirs.reader(index, **arguments).to_arrow_table()
    found = columns_of(table, [name for name in table.column_names if name in ours])
    rows = {time: row for row, time in enumerate(sorted(set(asked_for)))}
    return all(
        column[rows[time]] == ours[name][row]
        for name, column in found.items()
        for row, time in enumerate(asked_for)
    )


def first_difference(
    recording: Recording, mine: pa.Table, other: pa.Table, tally: Tally
) -> str | None:
    """What differs first: names of columns, number of rows, a cell."""
    replaced = {column_of(*one) for one in recording.statics}
    names = list(other.column_names)
    if "static twice" in recording.traits:
        gone = [name for name in names if name in replaced and name not in mine.column_names]
        if gone:
            tally.excluded["columns of static data that was replaced"] += len(gone)
        names = [name for name in names if name not in gone]
        if gone and not names:
            return None  # its row is there for that column
    if mine.column_names != names:
        return f"columns {mine.column_names}, Rerun's {other.column_names}"
    if mine.num_rows != other.num_rows:
        return f"{mine.num_rows} rows, Rerun's {other.num_rows}"
    ours, theirs = columns_of(mine, names), columns_of(other, names)
    for name in names:
        for row, (one, two) in enumerate(zip(ours[name], theirs[name], strict=True)):
            tally.cells += 1
            if one != two:
                return f"{name} in row {row}: {one!r}, Rerun's {two!r}"
    return None


def columns_of(table: pa.Table, names: Sequence[str]) -> dict[str, list[Any]]:
    """Cells as Python values, times as integers; dates as the instants that they begin with."""
    rows = integers(table.select(names))
    return {name: [instants(row[name]) for row in rows] for name in names}


def instants(value: Any) -> Any:
    """A value in which every date and time is one without a zone."""
    if isinstance(value, list):
        return [instants(one) for one in value]
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    return datetime(value.year, value.month, value.day) if isinstance(value, date) else value


def column_of(entity: str, component: str) -> str:
    return f"{entity}:{component}"


def first_words(error: BaseException) -> str:
    return "".join(char for char in str(error).split("\n")[0] if not char.isdigit())[:160]


def read(path: Path) -> StoreSnapshot:
    """A file as our store holds it."""
    decoder, chunks = StreamDecoder(), ChunkDecoder()
    store: ChunkStore | None = None
    for msg in decoder.feed(path.read_bytes()):
        if isinstance(msg, ArrowMsg) and msg.store_id.is_recording:
            if store is None:
                store = ChunkStore(msg.store_id)
            store.insert(chunks.decode(msg))
    decoder.finish()
    return (store or ChunkStore(foreign.STORE)).snapshot()


def questions(recording: Recording, rng: random.Random) -> Iterable[Asked]:
    """Each timeline and none, with and without fill; and one with given index values."""
    yield None, {}
    for line, times in sorted(recording.times.items()):
        for fill in (False, True):
            yield line, {"fill_latest_at": fill}
        values = sorted({time + step for time in times for step in (0, 1)})
        chosen = sorted(rng.sample(values, min(len(values), rng.randrange(1, 6))))
        if rng.random() < 0.5:
            chosen = sorted({*chosen, *values[:1], *values[-1:]})
        yield line, {"using_index_values": chosen, "fill_latest_at": rng.random() < 0.5}
        if rng.random() < 0.3:
            yield line, {"contents": rng.choice(("/a/**", "/** - /a/b/**", ["/a/b", "/c"], []))}


# Where the answers differ on purpose; see docs/differences.md.


def _clears_and_values(recording: Recording, asked: Asked) -> bool:
    """Recursive clears and given index values, which Rerun takes apart."""
    values = asked[1].get("using_index_values")
    return values is not None and "recursive clear" in recording.traits


def _clear_with_data(recording: Recording, _asked: Asked) -> bool:
    """A clear and data in one row, or in two of one row id and time."""
    return "clear with data" in recording.traits


def _unsorted(recording: Recording, _asked: Asked) -> bool:
    """Rows that are not in the order of their row ids, which Rerun's reader refuses."""
    return "unsorted" in recording.traits


def _equal_rows(recording: Recording, asked: Asked) -> bool:
    """One row id twice at one time of a chunk: Rerun shows the last row, but fills the first."""
    return "equal rows" in recording.traits and bool(asked[1].get("fill_latest_at"))


RULES: tuple[tuple[str, Callable[[Recording, Asked], bool]], ...] = (
    ("recursive clears and given index values", _clears_and_values),
    ("a clear and data in one row", _clear_with_data),
    ("fill of a row id that stands twice at one time of a chunk", _equal_rows),
    ("rows not in the order of their ids", _unsorted),
)


def of_sdk(path: Path, made: Sequence[Step], *, batched: bool) -> Recording:
    """A recording logged by the SDK."""
    recordings.write(path, made, batched=batched)
    times: dict[str, set[int]] = {}
    traits = set()
    for step in made:
        for line, at in step.times.items():
            times.setdefault(line, set()).update([at] if isinstance(step, Log) else at)
        if isinstance(step, Log) and step.kind == "rec":
            traits.add("recursive clear")
    return Recording(path, "sdk, batched" if batched else "sdk", times, traits)


def of_others(path: Path, made: Sequence[Foreign]) -> Recording:  # noqa: PLR0912 - trait by trait
    """A recording written by other programs."""
    path.write_bytes(foreign.file_of(made))
    times: dict[str, set[int]] = {}
    traits = set()
    types: dict[tuple[str, str], set[pa.DataType]] = {}
    statics: Counter[tuple[str, str]] = Counter()
    placed: dict[bool, set[tuple[str, int, int]]] = {False: set(), True: set()}
    for one in made:
        for name in one.batch.schema.names[1:]:
            if name not in one.types:
                values = one.batch.column(name).cast(pa.int64()).to_pylist()
                times.setdefault(name, set()).update(values)
                rows = list(zip(one.row_ids, values, strict=True))
                placed[CLEAR in one.types].update((name, *row) for row in rows)
                if len(set(rows)) < len(rows):
                    traits.add("equal rows")
        for name, kind in one.types.items():
            types.setdefault((one.entity, name), set()).add(kind)
            if one.is_static:
                statics[one.entity, name] += one.batch.num_rows
        for name, kind in one.types.items():
            if not pa.types.is_list(kind):
                traits.add("not lists")
                if one.batch.column(name).null_count:
                    traits.add("nulls in no list")
        if not one.is_sorted:
            traits.add("unsorted")
        if CLEAR in one.types and [True] in one.batch.column(CLEAR).to_pylist():
            traits.add("recursive clear")
    if placed[False] & placed[True]:
        traits.add("clear with data")
    if any(count > 1 for count in statics.values()):
        traits.add("static twice")
    mixed = {key for key, kinds in types.items() if len(kinds) > 1}
    twin = None
    if mixed or "nulls in no list" in traits:
        twin = path.with_name("twin.rrd")
        twin.write_bytes(foreign.file_of([foreign.plain(one) for one in made]))
    kind = "other programs, mixed types" if mixed else "other programs"
    return Recording(path, kind, times, traits, mixed, set(statics), twin)


def run(count: int, number: int, folder: Path, tally: Tally, *, report: Path | None = None) -> None:
    """Compare so many recordings; the same for the same number.

    Args:
        count: How many.
        number: The seed.
        folder: Where recordings are written; those that differ are kept.
        tally: What is counted.
        report: Where the counts are written now and then, for when Rerun ends the process.
    """
    keep = folder / "differing"

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 3), st.data(), st.integers(0, 1 << 30))
    def one(kind: int, data: st.DataObject, choice: int) -> None:
        path = folder / "recording.rrd"
        if kind < 2:
            recording = of_sdk(path, data.draw(recordings.steps()), batched=bool(kind))
        else:
            recording = of_others(path, data.draw(foreign.recordings()))
        if report is not None and sum(tally.recordings.values()) % 10 == 0:
            report.write_text(json.dumps(vars(tally)))
        before = len(tally.differences)
        try:
            compare(recording, tally, random.Random(choice))
        except InvalidChunkError as error:
            tally.differs(recording, (None, {}), f"we refuse the chunk: {error}")
        if len(tally.differences) > before:
            keep.mkdir(exist_ok=True)
            name = f"{number}-{len(list(keep.iterdir()))}.rrd"
            (keep / name).write_bytes(path.read_bytes())
            tally.differences[before:] = [
                text.replace(path.name, name, 1) for text in tally.differences[before:]
            ]

    one()
    if report is not None:
        report.write_text(json.dumps(vars(tally)))


def run_in_processes(count: int, number: int, folder: Path) -> Tally:
    """The same in a process for every few hundred: Rerun's reader may end it with a panic."""
    tally = Tally()
    report = folder / "report.json"
    for attempt in range(number, number + 10 * (2 + count // BATCH)):
        left = count - sum(tally.recordings.values())
        if left <= 0:
            break
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.fuzz.against_rerun", "--folder", str(folder)]
        command += ["--recordings", str(min(left, BATCH)), "--seed", str(attempt), "--child"]
        child = subprocess.run(command, check=False, capture_output=True, text=True)
        if child.returncode > 0:
            raise RuntimeError(child.stderr[-4000:])
        if report.exists():
            tally.add(json.loads(report.read_text()))
        if child.returncode:
            tally.excluded[f"Rerun ended the process: {panic(child.stderr)}"] += 1
    return tally


def panic(text: str) -> str:
    """What Rerun said before it ended the process."""
    found = re.search(r"panicked at (?:.*/)?([\w.]+):\d+:\d+:\n(.*)", text)
    return f"{found[1]}: {found[2][:100]}" if found else text[-100:]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--recordings", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=40, help="differences that are printed")
    parser.add_argument("--folder", type=Path, help="where files that differ are kept")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="forebay-against-rerun-"))
    folder.mkdir(parents=True, exist_ok=True)
    if options.child:
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        run(options.recordings, options.seed, folder, Tally(), report=folder / "report.json")
        return 0
    began = time.monotonic()
    tally = run_in_processes(options.recordings, options.seed, folder)
    print(tally.text(time.monotonic() - began, options.show))
    print(f"files that differ: {folder / 'differing'}")
    return int(bool(tally.differences))


if __name__ == "__main__":
    sys.exit(main())
