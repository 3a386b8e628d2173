#!/usr/bin/env python3
"""Reads a store's log: a second reader, written from the page "The format on disk" alone.

    read_log.py LOG            a JSON line for the file header, for each frame, and for how the log ends
    read_log.py --content LOG  a JSON line for each entry and each record that is there at the end, and one for the rest
    read_log.py --check DIR    reads every log in DIR that has a file LOG.expected beside it, and compares with that

A log that is damaged or has another format ends with a line that says so, and status 1.
Bytes are printed in hexadecimal.
"""
import json
import pathlib
import struct
import sys

SECTOR = 512
END_MARK = bytes([0xE5, 0x5A, 0xA7, 0x3C])
TRAILER = bytes([0x5E, 0xA1, 0xED, 0x77, 0xD6, 0x3B, 0x9C, 0xE7])

TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    TABLE.append(byte)


def crc32c(*parts):
    crc = 0xFFFFFFFF
    for part in parts:
        for byte in part:
            crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283
assert crc32c(bytes(32)) == 0x8A9136AA


class Damaged(Exception):
    """The log is not as it was written; the offset is the argument."""


class UnknownFormat(Exception):
    """The log has the format of the argument."""


class Malformed(Exception):
    """A payload is not a row of mutations."""


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
        return mutations


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
    if header["checksum"] != crc32c(struct.pack("<Qq", salt, offset), data[8:64]) or header["kind"] not in (1, 2):
        return None
    return header


def read(log):
    """Yields the file header, then each frame, then the end, all as dictionaries."""
    size = len(log)
    first = log[:SECTOR]
    if size < SECTOR or first[:8] != b"RELIALOG" or struct.unpack("<I", first[8:12])[0] != crc32c(first[12:]):
        raise Damaged(0)
    version, salt, floor, reserved_end = struct.unpack("<IQqq", first[12:40])
    if version != 1:
        raise UnknownFormat(version)
    if size < floor or size < reserved_end:
        raise Damaged(size)
    yield {"format": version, "salt": salt, "floor": floor, "reserved_end": reserved_end}

    offset, frames, clock, dropped, closed = SECTOR, 0, None, 0, False
    while offset < size:
        sector = log[offset : offset + SECTOR]
        header = frame_header(sector, salt, offset)
        if header is None:
            if offset < floor:
                raise Damaged(offset)
            dropped = dropped_without_header(log, sector, salt, offset)
            break
        if size < header["reserved_end"]:
            raise Damaged(size)
        end = offset + -(-(64 + header["length"] + 8) // SECTOR) * SECTOR
        if header["length"] > 1 << 30 or end > size:
            raise Damaged(offset)
        frame = log[offset:end]
        if header["body"] != crc32c(struct.pack("<Qq", salt, offset), frame[64:]):
            if offset < floor:
                raise Damaged(offset)
            dropped = dropped_without_body(log, frame, header, offset)
            break
        if header["number"] != frames or header["next_version"] >= 1 << 62:
            raise Damaged(offset)
        if clock is not None and header["clock"] < clock:
            raise Damaged(offset)
        try:
            mutations = Fields(frame[64 : 64 + header["length"]]).mutations()
        except Malformed:
            raise Damaged(offset) from None
        clock, frames = header["clock"], frames + 1
        closed = header["kind"] == 2
        yield {
            "frame": header["number"], "offset": offset, "size": len(frame), "kind": "seal" if closed else "mutations",
            "clock": clock, "next_version": header["next_version"], "reserved_end": header["reserved_end"],
            "mutations": mutations,
        }
        offset = end
        if closed:
            if any(log[end:]):
                raise Damaged(len(log.rstrip(b"\0")) - 1)
            break
    yield {"end": offset, "frames": frames, "dropped": dropped, "closed": closed}


def dropped_without_header(log, sector, salt, offset):
    if not any(sector):
        for start in range(offset, len(log), SECTOR):
            if frame_header(log[start : start + SECTOR], salt, start) is not None:
                raise Damaged(offset)
        return max(0, len(log.rstrip(b"\0")) - offset)
    if len(sector) < 64 or not breaks_off(sector[:4], b"RSF1", 0) or not breaks_off(sector[60:64], END_MARK, 1):
        raise Damaged(offset)
    if any(log[offset + 64 :]):
        raise Damaged(offset)
    return 64


def dropped_without_body(log, frame, header, offset):
    is_cut_off = sum(not any(sector) for sector in sectors(frame)) > header["zeros"]
    if not is_cut_off and not breaks_off(frame[-8:], TRAILER, 1):
        raise Damaged(offset)
    if any(log[offset + len(frame) :]):
        raise Damaged(offset)
    return len(frame)


def content(lines):
    """Applies all mutations and yields what is there at the end."""
    entries, records, clock, next_version = {}, {}, None, None
    for line in lines:
        for mutation in line.get("mutations", []):
            if "put" in mutation:
                entries[mutation["put"]] = {"key": mutation["put"], **{k: mutation[k] for k in list(mutation)[1:]}}
            elif "remove" in mutation:
                entries.pop(mutation["remove"], None)
            elif "queue" in mutation:
                records[mutation["queue"].encode(), mutation["id"].encode()] = mutation
            else:
                records.pop((mutation["remove_from"].encode(), mutation["id"].encode()), None)
        clock, next_version = line.get("clock", clock), line.get("next_version", next_version)
        end = line
    yield from (entries[key] for key in sorted(entries, key=bytes.fromhex))
    yield from (records[name] for name in sorted(records))
    yield {"clock": clock, "next_version": next_version, **end}


def lines_of(log, convert):
    try:
        yield from convert(read(log))
    except Damaged as damage:
        yield {"damaged": damage.args[0]}
    except UnknownFormat as format:
        yield {"unknown_format": format.args[0]}


def text(lines):
    return "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)


def main(arguments):
    if arguments[:1] == ["--check"]:
        logs = sorted(pathlib.Path(arguments[1]).rglob("*.expected"))
        wrong = 0
        for expected in logs:
            log = expected.with_suffix("")
            found = text(lines_of(log.read_bytes(), content))
            if found != expected.read_text():
                print(f"{log}: this reader says\n{found}")
                wrong += 1
        print(f"{len(logs)} logs read twice, {wrong} differently")
        return 1 if wrong or not logs else 0
    convert = content if arguments[0] == "--content" else iter
    lines = list(lines_of(pathlib.Path(arguments[-1]).read_bytes(), convert))
    sys.stdout.write(text(lines))
    return 1 if "damaged" in lines[-1] or "unknown_format" in lines[-1] else 0


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] == "--help":
        print(__doc__)
        sys.exit(64)
    sys.exit(main(sys.argv[1:]))
