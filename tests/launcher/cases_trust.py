"""What is believed: the repository's own hash for the pinned release, a release's manifest only for another one."""

import json

from stage import ASSET, EVIL, PAYLOAD, PINNED, archive, sha256

OTHER = "v9.8.7-rc.1"


def case_a_replaced_asset_with_its_own_manifest_is_refused(stage):
    evil = archive(payload=EVIL)
    stage.publish(evil, listed=False)
    (stage.release / "checksums.txt").write_text(f"{sha256(evil)}  {ASSET}\n")
    run = stage.run("list", "--json")
    assert json.loads(run.out)["error"] == "error"
    run.refused("SHA-256 differs")
    stage.nothing_kept()


def case_only_the_exact_field_counts(stage):
    good, bad = sha256((stage.release / ASSET).read_bytes()), "0" * 64
    decoys = (f"{ASSET}.sig", f"x{ASSET}", ASSET.replace(".", "X"), f"./{ASSET}", ASSET.upper(), f"{ASSET} more")
    lines = [f"{bad}  {name}" for name in decoys]
    (stage.plugin / "checksums.txt").write_text("\n".join(["# a comment", "", *lines, f"{good}  {ASSET}", *lines]))
    assert stage.run("a").args == ["a"]
    (stage.plugin / "checksums.txt").write_text("\n".join(lines) + "\n")
    stage.binary.unlink()
    stage.run().refused("checksums.txt has no", ASSET, status=2)


def case_a_last_line_without_its_newline(stage):
    good = sha256((stage.release / ASSET).read_bytes())
    (stage.plugin / "checksums.txt").write_text(f"{good}  {ASSET}")
    assert stage.run("a").args == ["a"]


def case_manifests_that_do_not_decide(stage):
    good, bad = sha256((stage.release / ASSET).read_bytes()), "0" * 64
    touched = stage.dir / "touched"
    for text in (
        f"{good}  {ASSET}\n{bad}  {ASSET}\n",
        f"{bad}  {ASSET}\n{good}  {ASSET}\n",
        f"{good[:-1]}  {ASSET}\n",
        f"{good[:-1]}g  {ASSET}\n",
        f"  {ASSET}\n",
        f"$(touch${{IFS}}'{touched}')  {ASSET}\n",
        "*  *\n",
        "",
    ):
        (stage.plugin / "checksums.txt").write_text(text)
        stage.run().refused("checksums.txt has no", status=2)
    (stage.plugin / "checksums.txt").unlink()
    stage.run().refused("checksums.txt has no", status=2)
    assert not touched.exists()
    stage.nothing_kept()


def case_another_release_uses_its_own_manifest_and_says_so(stage):
    other = archive(payload=PAYLOAD + b"# other\n")
    stage.publish(other, listed=False)
    manifest = stage.release / "checksums.txt"
    manifest.write_text(f"{'0' * 64}  {ASSET}\n")
    stage.run(RUNCODE_PIN_VERSION=OTHER).refused("SHA-256 differs", "trusting the checksums of its own release")
    stage.nothing_kept()
    manifest.write_text(f"{sha256(other)}  {ASSET}.sig\n")
    stage.run(RUNCODE_PIN_VERSION=OTHER).refused(f"have no {ASSET}", status=2)
    manifest.write_text(f"{sha256(other)}  {ASSET}\n")
    first = stage.run("a", RUNCODE_PIN_VERSION=OTHER)
    assert first.args == ["a"] and f"{OTHER} is not the pinned {PINNED}" in first.err
    assert OTHER in stage.binary.name
    second = stage.run("a", RUNCODE_PIN_VERSION=OTHER, RUNCODE_DOWNLOAD_BASE="file:///nowhere")
    assert second.args == ["a"] and second.err == ""
    stage.binary.write_bytes(EVIL)
    stage.run(RUNCODE_PIN_VERSION=OTHER, RUNCODE_DOWNLOAD_BASE="file:///nowhere").refused("cannot download")


def case_pinning_what_is_pinned_changes_nothing(stage):
    run = stage.run("a", RUNCODE_PIN_VERSION=PINNED)
    assert run.args == ["a"] and run.err == ""


def case_tags_that_are_none(stage):
    for tag in ("../../x", "-v", "v 1", "v1/../..", ".", "..", "v1;id", "$(id)", "v1\n", "é"):
        stage.run(RUNCODE_PIN_VERSION=tag).refused("not a release tag", status=2)
    stage.nothing_kept()


def case_words_of_variables_stay_on_their_line(stage):
    words = "x\nhint: run evil\x1b[2J\r\u0085\u009b2J\u2028\u202e\u200b\x7f"
    bases = {"RUNCODE_DOWNLOAD_BASE": f"http://{words}"}, {"RUNCODE_DOWNLOAD_BASE": f"file:///{words}"}
    for changes in ({"RUNCODE_PIN_VERSION": words}, {"RUNCODE_BIN": words}, *bases):
        run = stage.run("list", "--json", **changes)
        assert all(" " <= sign <= "~" for sign in run.err.replace("\n", "")), f"{changes}: {run.err!r}"
        assert all(32 <= byte < 127 for byte in run.out.rstrip(b"\n")), f"{changes}: {run.out}"
        assert json.loads(run.out)["error"], f"{changes}: {run.out}"
        assert run.status != 0 and "\x1b" not in run.err and "\nhint: run evil" not in run.err, f"{changes}: {run.err}"
        assert "\r" not in run.err, f"{changes}: {run.err}"


def case_no_release_yet_in_a_checkout_names_the_way_out(stage):
    (stage.plugin / "checksums.txt").write_text("# none\n")
    (stage.plugin / "Cargo.toml").write_text("")
    stage.run().refused("cargo build --release", "RUNCODE_BIN", status=2)
    built = stage.plugin / "target/release/runcode"
    built.parent.mkdir(parents=True)
    built.write_bytes(PAYLOAD)
    built.chmod(0o755)
    stage.run().refused("export RUNCODE_BIN=", "target/release/runcode", status=2)
    assert stage.run("own", RUNCODE_BIN=built).args == ["own"]
    stage.publish(archive())
    stage.run(RUNCODE_DOWNLOAD_BASE="file:///nowhere").refused("cannot download", "export RUNCODE_BIN=")


def case_failures_are_json_when_json_was_asked_for(stage):
    nowhere = {"RUNCODE_DOWNLOAD_BASE": 'file:///no"where\\'}
    failure = json.loads(stage.run("connect", "ws", "--json", **nowhere).out)
    assert failure["error"] == "network" and 'no"where\\' in failure["message"] and "RUNCODE_BIN" in failure["hint"]
    assert json.loads(stage.run("--json", "list", RUNCODE_BIN="/nowhere").out)["error"] == "usage"
    assert stage.run("list", **nowhere).out == b""
    for remote in (["exec", "--", "x", "--json"], ["run", "ws", "x", "--json"]):
        run = stage.run(*remote, **nowhere)
        run.refused("cannot download", status=255)
        assert run.out == b""
