#!/usr/bin/env python3
"""Reads a store: a second reader, written from the page "The format on disk" alone.

    read_store.py DIRECTORY            a JSON line for each file header, for each frame, and for the end of each file
    read_store.py --content DIRECTORY  a JSON line for each entry and each record at the end, and one for the rest
    read_store.py --check DIRECTORY    reads each store NAME in DIRECTORY with a file NAME.expected, and compares;
                                       a file NAME.stores has damaged stores, which `StoreCheck format` writes

A store that is damaged or has another format ends with a line that says so, and status 1.
Bytes are printed in hexadecimal.
"""
import base64
import functools
import json
import pathlib
import re
import struct
import sys

SECTOR = 512
END_MARK = bytes([0xE5, 0x5A, 0xA7, 0x3C])
TRAILER = bytes([0x5E, 0xA1, 0xED, 0x77, 0xD6, 0x3B, 0x9C, 0xE7])

MAX_NUMBER = 1 << 62

TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    TABLE.append(byte)


@functools.lru_cache(maxsize=10_000)
def crc32c(*parts):
    crc = 0xFFFFFFFF
    for part in parts:
        for byte in part:
            crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283
assert crc32c(bytes(32)) == 0x8A9136AA


class Damaged(Exception):
    """A file is not as it was written; the name and the offset are the arguments."""


class UnknownFormat(Exception):
    """A file has the format of the argument."""


class Malformed(Exception):
    """A payload is not valid for the kind of its frame."""


class Fields:
    """Reads fields from a payload, one behind the other."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if count > len(self.data) - self.at:
            raise Malformed
        self.at += count
        return self.data[self.at - count : self.at]

    def u64(self):
        return struct.unpack("<Q", self.take(8))[0]

    def i64(self):
        return struct.unpack("<q", self.take(8))[0]

    def counted(self):
        count = 0
        for index in range(10):
            if index == 9:
                raise Malformed
            byte = self.take(1)[0]
            count |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                break
        return self.take(count)

    def text(self):
        try:
            return self.counted().decode("utf-8")
        except UnicodeDecodeError:
            raise Malformed from None

    def version(self):
        version = self.u64()
        if version >= 1 << 62:
            raise Malformed
        return version

    def mutation(self):
        tag = self.take(1)[0]
        if tag in (1, 2):
            key, version = self.counted().hex(), self.version()
            expires_at = self.i64() if tag == 2 else None
            value = self.counted().hex()
            return {"put": key, "value": value, "version": version, "expires_at": expires_at}
        if tag == 3:
            return {"remove": self.counted().hex()}
        if tag in (4, 5, 6):
            queue, record, version, attempts, due_at = self.text(), self.text(), self.version(), self.i64(), self.i64()
            if attempts < 0:
                raise Malformed
            reason = self.text() if tag == 6 else None
            payload = self.counted().hex()
            return {
                "queue": queue, "id": record, "payload": payload, "version": version, "attempts": attempts,
                "due_at": due_at, "leased": tag == 5, "dead_reason": reason,
            }
        if tag == 7:
            return {"remove_from": self.text(), "id": self.text()}
        raise Malformed

    def mutations(self):
        mutations = []
        while self.at < len(self.data):
            mutations.append(self.mutation())
        return {"mutations": mutations}

    def range(self):
        number, salt, size, first = self.u64(), self.u64(), self.i64(), self.u64()
        if size < 0 or (number == 0 and size) or max(number, first) > MAX_NUMBER:
            raise Malformed
        return {"start": self.counted(), "number": number, "salt": salt, "size": size, "first_segment": first}

    def manifest(self):
        ranges = []
        for _ in range(self.u64()):
            ranges.append(self.range())
        starts = [found["start"] for found in ranges]
        if not ranges or starts[0] or any(a >= b for a, b in zip(starts, starts[1:])):
            raise Malformed
        return {"manifest": ranges}

    def checkpoint(self):
        found, end = self.range(), self.counted()
        if end and found["start"] >= end:
            raise Malformed
        return {"checkpoint": found, "to": end or None}

    def payload(self, kind):
        found = {
            "mutations": self.mutations,
            "seal": dict,
            "roll": lambda: {"next": {"number": self.u64(), "salt": self.u64()}},
            "manifest": self.manifest,
            "checkpoint": self.checkpoint,
        }[kind]()
        if self.at < len(self.data):
            raise Malformed
        return found


KINDS = {1: "mutations", 2: "seal", 3: "roll", 4: "manifest", 5: "checkpoint"}


def breaks_off(data, mark, fewest_missing):
    """Whether the bytes are the beginning of a mark, and zeros from there on."""
    return any(data == mark[:count] + bytes(len(mark) - count) for count in range(len(mark) + 1 - fewest_missing))


def sectors(data):
    return [data[start : start + SECTOR] for start in range(0, len(data), SECTOR)]


def frame_header(data, salt, offset):
    """The fields of a frame's header; None where there is none."""
    if len(data) < 64 or data[:4] != b"RSF1" or data[60:64] != END_MARK:
        return None
    names = ("checksum", "length", "body", "zeros", "number", "clock", "next_version", "reserved_end", "kind")
    header = dict(zip(names, struct.unpack("<IQIIQqQqI", data[4:60])))
    if header["checksum"] != crc32c(struct.pack("<Qq", salt, offset), data[8:64]) or header["kind"] not in KINDS:
        return None
    return header


def last_non_zero(data):
    return len(data.rstrip(b"\0")) - 1


class File:
    """A file of a store: its header, and then its frames."""

    def __init__(self, name, data, known_format=2):
        self.name, self.data = name, data
        first, size = data[:SECTOR], len(data)
        if size < SECTOR or first[:8] != b"RELIALOG" or struct.unpack("<I", first[8:12])[0] != crc32c(first[12:]):
            self.damaged(0)
        version, self.salt, self.floor, self.reserved_end = struct.unpack("<IQqq", first[12:40])
        if version != known_format:
            raise UnknownFormat(version)
        self.line = {
            "file": name, "format": version, "salt": self.salt, "floor": self.floor, "reserved_end": self.reserved_end,
        }
        if version > 1:
            names = ("store", "number", "previous", "previous_salt", "previous_end", "kind")
            self.line |= zip(names, struct.unpack("<QQQQqI", first[40:84]))
            if self.line["kind"] not in (1, 2) or self.line["previous_end"] < 0:
                self.damaged(0)

    def check(self, is_expected=True):
        """Compares the size last, because the header of another file has another size."""
        if not is_expected:
            self.damaged(0)
        if len(self.data) < max(self.floor, self.reserved_end):
            self.damaged(len(self.data))

    def damaged(self, offset):
        raise Damaged(self.name, offset)

    def frames(self, extent="open", limit=None):
        """Yields a line for each frame, then for the end. The limit is an offset or the next segment."""
        log, size, salt = self.data, len(self.data), self.salt
        end, floor = size, self.floor
        if extent == "up to":
            end = floor = limit
        elif extent != "open":
            floor = float("inf")
        if end > size:
            self.damaged(size)
        offset, count, clock, next_version, dropped, last, last_frame = SECTOR, 0, None, None, 0, {}, 0
        while offset < end:
            sector = log[offset : offset + SECTOR]
            header = frame_header(sector, salt, offset)
            if header is None:
                if offset < floor:
                    self.damaged(offset)
                dropped = self.dropped_without_header(sector, offset)
                break
            if size < header["reserved_end"]:
                self.damaged(size)
            frame_end = offset + -(-(64 + header["length"] + 8) // SECTOR) * SECTOR
            if header["length"] > 1 << 30 or frame_end > size:
                self.damaged(offset)
            frame = log[offset:frame_end]
            if header["body"] != crc32c(struct.pack("<Qq", salt, offset), frame[64:]):
                if offset < floor:
                    self.damaged(offset)
                dropped = self.dropped_without_body(frame, header, offset)
                break
            if header["number"] != count or header["next_version"] >= 1 << 62:
                self.damaged(offset)
            if clock is not None and header["clock"] < clock:
                self.damaged(offset)
            kind = KINDS[header["kind"]]
            try:
                last = Fields(frame[64 : 64 + header["length"]]).payload(kind)
            except Malformed:
                self.damaged(offset)
            clock, next_version, last_frame = header["clock"], header["next_version"], offset
            last |= {"kind": kind}
            yield {
                "file": self.name, "frame": count, "offset": offset, "size": len(frame), "clock": clock,
                "next_version": next_version, "reserved_end": header["reserved_end"], **last,
            }
            count, offset = count + 1, frame_end
            if kind in ("seal", "roll"):
                if end == size and any(log[offset:]):
                    self.damaged(last_non_zero(log))
                break
        is_complete = {
            "open": True,
            "up to": offset == limit,
            "rolled": last.get("next") == limit,
            "sealed": last.get("kind") == "seal" and offset == self.floor == size,
        }[extent]
        if not is_complete:
            self.damaged(offset)
        yield {
            "file": self.name, "end": offset, "frames": count, "dropped": dropped,
            "closed": last.get("kind") == "seal", "last_frame": last_frame, "next": last.get("next"),
            "clock": clock, "next_version": next_version,
        }

    def dropped_without_header(self, sector, offset):
        log = self.data
        if not any(sector):
            for start in range(offset, len(log), SECTOR):
                if frame_header(log[start : start + SECTOR], self.salt, start) is not None:
                    self.damaged(offset)
            return max(0, last_non_zero(log) + 1 - offset)
        is_beginning = (
            len(sector) >= 64
            and breaks_off(sector[:4], b"RSF1", 0)
            and breaks_off(sector[60:64], END_MARK, 1)
            and not any(log[offset + 64 :])
        )
        if not is_beginning:
            self.damaged(offset)
        return 64

    def dropped_without_body(self, frame, header, offset):
        is_cut_off = sum(not any(sector) for sector in sectors(frame)) > header["zeros"]
        if not is_cut_off and not breaks_off(frame[-8:], TRAILER, 1):
            self.damaged(offset)
        if any(self.data[offset + len(frame) :]):
            self.damaged(offset)
        return len(frame)


def number_in(kind, name):
    """The number in the name of a file, or None for another name."""
    match = re.fullmatch(kind + "-([0-9a-f]{16})", name)
    number = int(match[1], 16) if match else None
    return number if match and number <= MAX_NUMBER else None


def mark(lock):
    """The number of a segment in use, "new", "first format" or None."""
    line = lock[26:60]
    if re.fullmatch(rb"segment [0-9a-f]{16} [0-9a-f]{8}\n", line):
        number = int(line[8:24], 16)
        if int(line[25:33], 16) == crc32c(line[:24]) and number <= MAX_NUMBER:
            return number
    return {b"is new   \n": "new", b"has a log\n": "first format"}.get(lock[16:26])


class Store:
    """The files of a directory, by name."""

    def __init__(self, files):
        self.files, self.store = files, None
        self.mutations, self.end, self.new = [], {}, False

    def lines(self):
        """Yields a line for each header and frame, and collects the content."""
        found = mark(self.files.get("LOCK", b""))
        if isinstance(found, int):
            yield from self.segments(found)
        elif found == "new":
            self.new = True
        elif "log" in self.files:
            yield from self.first_format()
        elif (number := self.segment_without_mark()) is not None:
            yield from self.segments(number)
        elif found == "first format":
            raise Damaged("log", 0)
        else:
            self.new = True

    def first_format(self):
        log = File("log", self.files["log"], 1)
        log.check()
        yield log.line
        for line in log.frames():
            yield line
            self.mutations += line.get("mutations", [])
            self.end = line

    def file(self, name):
        if name not in self.files:
            raise Damaged(name, 0)
        return File(name, self.files[name])

    def segment(self, number, salt=None):
        file = self.file(f"log-{number:016x}")
        file.check(
            (file.line["kind"], file.line["number"]) == (1, number) and self.store in (None, file.line["store"])
        )
        if salt is not None and file.salt != salt:
            file.damaged(0)
        return file

    def segment_without_mark(self):
        numbers = {number_in("log", name) for name in self.files} - {None}
        for number in sorted(numbers, reverse=True):
            try:
                line = self.segment(number).line
            except Damaged as damage:
                if damage.args[1] == 0 and not any(self.files[damage.args[0]][:SECTOR]):
                    continue
                raise
            if line["previous"] and line["previous_end"] <= 0 and line["previous"] in numbers:
                continue
            return number
        return None

    def segments(self, number):
        segment = self.segment(number)
        self.store = segment.line["store"]
        while True:
            yield segment.line
            frames = []
            for line in segment.frames():
                yield line
                frames.append(line)
            self.end = frames.pop()
            if not frames or frames[0]["kind"] != "manifest":
                segment.damaged(SECTOR)
            following = self.end["next"]
            if following is None:
                self.check_end(segment)
                break
            if following["number"] <= segment.line["number"]:
                segment.damaged(self.end["last_frame"])
            segment = self.segment(following["number"], following["salt"])
        ranges = frames[0]["manifest"]
        for line in frames:
            if line["kind"] == "checkpoint":
                ranges = install(ranges, line["checkpoint"], line["to"])

        earlier = self.earlier(segment, min(found["first_segment"] for found in ranges))
        for index, found in enumerate(ranges):
            if found["number"]:
                to = ranges[index + 1]["start"] if index + 1 < len(ranges) else None
                yield from self.checkpoint(found, to)
        for file, extent, limit in earlier:
            yield file.line
            for line in file.frames(extent, limit):
                yield line
                self.mutations += line.get("mutations", [])
        for line in frames:
            self.mutations += line.get("mutations", [])

    def check_end(self, segment):
        if self.end["closed"]:
            return
        for name in self.files:
            number = number_in("log", name)
            if number is None or number <= segment.line["number"]:
                continue
            try:
                other = self.segment(number)
                line = other.line
                if (line["previous"], line["previous_salt"], line["previous_end"]) != (
                    segment.line["number"], segment.salt, 0,
                ):
                    continue
                first = next(other.frames())
            except (Damaged, UnknownFormat):
                continue
            if "frame" in first and any(other.data[first["offset"] + first["size"] :]):
                segment.damaged(self.end["end"])

    def earlier(self, segment, first):
        found = []
        while segment.line["number"] > first:
            line = segment.line
            if not line["previous"] or not first <= line["previous"] < line["number"]:
                break
            previous = self.segment(line["previous"], line["previous_salt"])
            if line["previous_end"] > 0:
                found.insert(0, (previous, "up to", line["previous_end"]))
            else:
                found.insert(0, (previous, "rolled", {"number": line["number"], "salt": segment.salt}))
            segment = previous
        if segment.line["number"] != first:
            raise Damaged(f"log-{first:016x}", 0)
        return found

    def checkpoint(self, found, to):
        file = self.file(f"checkpoint-{found['number']:016x}")
        line = file.line
        file.check(
            (line["kind"], line["number"], file.salt, file.floor)
            == (2, found["number"], found["salt"], found["size"])
        )
        yield line
        for line in file.frames("sealed"):
            yield line
            for mutation in line.get("mutations", []):
                key = place(mutation)
                if found["start"] <= key and (to is None or key < to):
                    self.mutations.append(mutation)

    def content(self):
        """Yields a line for each entry and record at the end, and one for the rest."""
        if self.new:
            yield {"new": True}
            return
        entries, records, clock = {}, {}, self.end["clock"]
        for mutation in self.mutations:
            if "put" in mutation:
                entries[mutation["put"]] = {"key": mutation["put"], **{k: mutation[k] for k in list(mutation)[1:]}}
            elif "remove" in mutation:
                entries.pop(mutation["remove"], None)
            elif "queue" in mutation:
                records[mutation["queue"].encode(), mutation["id"].encode()] = mutation
            else:
                records.pop((mutation["remove_from"].encode(), mutation["id"].encode()), None)
        for key in sorted(entries, key=bytes.fromhex):
            end = entries[key]["expires_at"]
            if end is None or end * 1_000_000 > clock:
                yield entries[key]
        yield from (records[name] for name in sorted(records))
        end = self.end
        yield {
            "clock": clock, "next_version": end["next_version"], "file": end["file"], "end": end["end"],
            "frames": end["frames"], "dropped": end["dropped"], "closed": end["closed"],
        }


def install(ranges, new, to):
    """The ranges after a checkpoint."""
    result = [found for found in ranges if found["start"] < new["start"]] + [new]
    if to is not None:
        rest = [found for found in ranges if found["start"] <= to][-1:]
        result += [{**found, "start": to} for found in rest]
        result += [found for found in ranges if found["start"] > to]
    return result


def place(mutation):
    """The place of an entry or record in the order of the content."""
    if "put" in mutation or "remove" in mutation:
        return b"\0" + bytes.fromhex(mutation.get("put", mutation.get("remove")))
    queue = mutation.get("queue", mutation.get("remove_from")).encode()
    return b"\1" + bytes([len(queue) & 0xFF]) + queue + mutation["id"].encode()


def read(directory):
    files = {path.name: path.read_bytes() for path in pathlib.Path(directory).iterdir() if path.is_file()}
    return Store(files)


def lines_of(store, of_content):
    try:
        for line in store.lines():
            if not of_content:
                yield line
        if of_content or store.new:
            yield from store.content()
    except Damaged as damage:
        yield {"file": damage.args[0], "damaged": damage.args[1]}
    except UnknownFormat as format:
        yield {"unknown_format": format.args[0]}


def text(lines):
    return "".join(
        json.dumps(line, ensure_ascii=False, separators=(",", ":"), default=bytes.hex) + "\n" for line in lines
    )


def stores(folder):
    """Yields a name, a store and the expected text for each store in a folder."""
    for expected in sorted(folder.rglob("*.expected")):
        yield expected.stem, read(expected.with_suffix("")), expected.read_text()
    for path in sorted(folder.rglob("*.stores")):
        original = {}
        for number, line in enumerate(path.open()):
            line = json.loads(line)
            files = {name: base64.b64decode(data) if data is not None else None for name, data in line["files"].items()}
            original = original or files
            files = {name: data for name, data in {**original, **files}.items() if data is not None}
            yield f"{path.name}:{number + 1}", Store(files), line["expected"]


def main(arguments):
    if arguments[:1] == ["--check"]:
        count = wrong = 0
        for name, store, expected in stores(pathlib.Path(arguments[1])):
            found = text(lines_of(store, True))
            count += 1
            if found != expected:
                print(f"{name}: this reader says\n{found}instead of\n{expected}")
                wrong += 1
        print(f"{count} stores read twice, {wrong} differently")
        return 1 if wrong or not count else 0
    lines = list(lines_of(read(arguments[-1]), arguments[0] == "--content"))
    sys.stdout.write(text(lines))
    return 1 if "damaged" in lines[-1] or "unknown_format" in lines[-1] else 0


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] == "--help":
        print(__doc__)
        sys.exit(64)
    sys.exit(main(sys.argv[1:]))
