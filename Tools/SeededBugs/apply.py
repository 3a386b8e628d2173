#!/usr/bin/env python3
"""Copies the package with the mistakes of all catalogues in it, or lists the names of one catalogue.

usage: apply.py list CATALOGUE
       apply.py copy DIRECTORY
"""
import os
import re
import shutil
import sys

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.dirname(os.path.dirname(here))


CATALOGUES = ["store", "calls"]


def catalogue(kind):
    names, edits = [], []
    path, old, new, target = None, None, None, None
    for number, line in enumerate(open(os.path.join(here, f"{kind}.txt"), encoding="utf-8"), 1):
        place = f"{kind}.txt:{number}"
        if line == "<<<\n":
            old, new, target = [], [], "old"
        elif line == "===\n":
            target = "new"
        elif line == ">>>\n":
            edits.append((place, path, "".join(old), "".join(new)))
            target = None
        elif target == "old":
            old.append(line)
        elif target == "new":
            new.append(line)
        elif line.startswith("## "):
            name, what = line[3:].rstrip("\n").split(": ", 1)
            names.append((name, what))
        elif line.startswith("@ "):
            path = line[2:].strip()
        elif line.strip() and not line.startswith("#"):
            sys.exit(f"{place}: not understood: {line}")
    return names, edits


def apply(target):
    names, edits = [], []
    for kind in CATALOGUES:
        more_names, more_edits = catalogue(kind)
        names += more_names
        edits += more_edits
    index = {name: number for number, (name, _) in enumerate(names, 1)}
    files, used = {}, set()

    def chosen(match):
        used.add(match.group(1))
        if match.group(1) not in index:
            sys.exit(f"no mistake is called {match.group(1)}")
        return f"(seededBug == {index[match.group(1)]})"

    for place, path, old, new in edits:
        if path not in files:
            files[path] = open(os.path.join(root, path), encoding="utf-8").read()
        if files[path].count(old) != 1:
            sys.exit(f"{place}: the text occurs {files[path].count(old)} times in {path}")
        files[path] = files[path].replace(old, new)
    for path, text in files.items():
        text = re.sub(r'seeded\("([^"]+)"\)', chosen, text)
        is_core = path.startswith("Sources/ReliabilityCore/")
        if not is_core and not re.search(r"^\w+ import ReliabilityCore$", text, re.M):
            text = "internal import ReliabilityCore\n" + text
        files[path] = text
    for name in index.keys() - used:
        sys.exit(f"nothing is done for {name}")
    cases = "".join(f'    "{name}": {number},\n' for name, number in index.items())
    files["Sources/ReliabilityCore/Support/SeededBug.swift"] = f"""\
#if canImport(Darwin)
internal import Darwin
#elseif canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// The mistake that RELIABILITY_SEEDED_BUG names; 0 for none.
package let seededBug: Int = {{
    guard let name = unsafe getenv("RELIABILITY_SEEDED_BUG") else {{ return 0 }}
    guard let number = unsafe numbers[String(cString: name)] else {{ preconditionFailure("no such mistake") }}
    return number
}}()

private let numbers = [
{cases}]
"""
    for path in ["Package.swift", "Sources", "Tests", "Tools", "Examples"]:
        source, copy = os.path.join(root, path), os.path.join(target, path)
        for folder, _, names_here in os.walk(source) if os.path.isdir(source) else [(root, [], [path])]:
            for name in names_here:
                original = os.path.join(folder, name)
                relative = os.path.relpath(original, root)
                text = files.get(relative)
                data = text.encode() if text else open(original, "rb").read()
                write(os.path.join(target, relative), data)
        for folder, _, names_here in os.walk(copy) if os.path.isdir(copy) else []:
            for name in names_here:
                relative = os.path.relpath(os.path.join(folder, name), target)
                if relative not in files and not os.path.exists(os.path.join(root, relative)):
                    os.remove(os.path.join(folder, name))
    for path, text in files.items():
        write(os.path.join(target, path), text.encode())


def write(path, data):
    """Leaves a file that is right already alone, so that it is not compiled again."""
    if os.path.exists(path) and open(path, "rb").read() == data:
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, "wb").write(data)


match sys.argv[1:]:
    case ["list", kind] if kind in CATALOGUES:
        for name, what in catalogue(kind)[0]:
            print(f"{name}\t{what}")
    case ["copy", directory]:
        apply(os.path.abspath(directory))
    case _:
        sys.exit(__doc__)
