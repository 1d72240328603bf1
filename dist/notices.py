"""Prints the licenses of everything that is linked into the binary, each text once, with the packages it covers."""

import collections
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
TARGETS = [f"{arch}-{system}" for arch in ("x86_64", "aarch64") for system in
           ("unknown-linux-musl", "apple-darwin", "pc-windows-msvc")]
# What the compiler links beside the packages.
ALSO = ["the Rust standard library (MIT OR Apache-2.0), by the Rust project's contributors",
        "LLVM's libunwind (Apache-2.0 WITH LLVM-exception), by the LLVM project's contributors"]
MUSL = """musl, in the Linux binaries (MIT)
{line}
Copyright © 2005-2020 Rich Felker, et al.

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""
NAMES = ("license", "licence", "copying", "notice", "copyright", "unlicense")


def linked(metadata):
    """Packages that normal dependencies lead to, on any system of a release; not what only builds or tests."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    found, open_ends = set(), [metadata["resolve"]["root"]]
    while open_ends:
        package = open_ends.pop()
        if package in found:
            continue
        found.add(package)
        for dependency in nodes[package]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                open_ends.append(dependency["pkg"])
    return [package for package in metadata["packages"] if package["id"] in found and package["source"]]


def texts(package):
    folder = pathlib.Path(package["manifest_path"]).parent
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name.lower().startswith(NAMES) and path.suffix not in (".rs", ".html"):
            yield "\n".join(line.rstrip() for line in path.read_text(errors="replace").splitlines()).strip()


def main():
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    for target in TARGETS:
        command += ["--filter-platform", target]
    metadata = json.loads(subprocess.check_output(command, cwd=ROOT))
    packages = sorted(linked(metadata), key=lambda package: (package["name"], package["version"]))
    covered, shown, bare = collections.defaultdict(list), {}, []
    for package in packages:
        name = f"{package['name']} {package['version']} ({package['license']})"
        found = list(texts(package))
        for text in found:  # the same words in another layout are the same license
            covered[shown.setdefault(" ".join(text.split()), text)].append(name)
        if not found:
            authors = ", ".join(package["authors"]) or package["repository"] or "its authors"
            bare.append(f"{name}, by {authors}")
    print("runcode is built with the packages below; each license text stands after the packages it covers.")
    for text, names in sorted(covered.items(), key=lambda item: item[1]):
        print("\n" + "=" * 100 + "\n" + "\n".join(names) + "\n" + "-" * 100 + "\n" + text)
    print("\n" + "=" * 100 + "\n" + MUSL.format(line="-" * 100))
    print("\n" + "=" * 100 + "\nUnder the license named, whose text these do not carry:\n" + "\n".join(bare + ALSO))
    print(f"dist: notices of {len(packages)} packages", file=sys.stderr)


main()
