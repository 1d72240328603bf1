"""How a release is fetched: which tools and options, which servers and redirects, and what is capped."""

import shutil
import time

from stage import ASSET, PINNED


def case_loopback_http_ignores_proxies(stage):
    server = stage.serve()
    dead = {name: "http://127.0.0.1:9" for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")}
    assert stage.run("a", RUNCODE_DOWNLOAD_BASE=server.base, **dead).args == ["a"]
    assert server.seen == [f"/{ASSET}"]
    stage.left_clean()


def case_a_mirror_with_a_folder_per_tag(stage):
    (stage.release / PINNED).mkdir()
    (stage.release / ASSET).rename(stage.release / PINNED / ASSET)
    assert stage.run("a", RUNCODE_DOWNLOAD_BASE=stage.serve().base + "/").args == ["a"]
    stage.binary.unlink()
    assert stage.run("a").args == ["a"]


def case_a_file_base_with_escapes(stage):
    assert stage.run("a", RUNCODE_DOWNLOAD_BASE=stage.release.as_uri()).args == ["a"]


def case_wget_when_there_is_no_curl(stage):
    server, tools = stage.serve(), stage.tools("curl")
    assert stage.run("a", RUNCODE_DOWNLOAD_BASE=server.base, PATH=tools, http_proxy="http://127.0.0.1:9").args == ["a"]
    assert server.seen == [f"/{ASSET}"]
    stage.binary.unlink()
    assert stage.run("a", PATH=tools).args == ["a"]
    stage.left_clean()


def case_a_small_wget_may_only_carry_what_is_pinned(stage):
    # Stands for busybox's, which knows no long options; Debian's static one crashes in every name lookup.
    wget = f'[ "$1" = -q ] || exit 1; shift $(($# - 2)); exec {shutil.which("curl")} -qs -o "$1" "$2"'
    small = stage.tools("curl", wget=wget)
    assert stage.run("a", RUNCODE_DOWNLOAD_BASE=stage.serve().base, PATH=small).args == ["a"]
    stage.run(RUNCODE_DOWNLOAD_BASE=stage.serve().base, PATH=small, RUNCODE_PIN_VERSION="v9").refused("does not check", status=2)


def case_neither_curl_nor_wget(stage):
    tools = stage.tools("curl", "wget")
    stage.run(PATH=tools, RUNCODE_DOWNLOAD_BASE=None).refused("neither curl nor wget")
    assert stage.run("a", PATH=tools).args == ["a"]


def case_what_curl_is_told(stage):
    shown = stage.dir / "shown"
    tools = stage.tools(curl=f"printf '%s\\n' \"$@\" >'{shown}'; exit 22")
    stage.run(PATH=tools, RUNCODE_DOWNLOAD_BASE=None).refused("cannot download")
    told = shown.read_text().splitlines()
    assert told[0] == "-q"
    pairs = dict(zip(told, told[1:]))
    assert pairs["--proto"] == pairs["--proto-redir"] == "=https"
    assert {"--max-time", "--max-filesize", "--speed-time", "--connect-timeout", "--max-redirs", "--tlsv1.2"} <= set(told)
    where = "https://github.com/runcode-io/runcode-cli/releases/download"
    assert told[-2:] == ["--", f"{where}/{PINNED}/{ASSET}"]
    assert not {"-k", "--insecure", "--netrc"} & set(told)


def case_what_wget_is_told(stage):
    shown = stage.dir / "shown"
    wget = f"[ \"$1\" != --version ] || {{ echo GNU Wget 1.21; exit; }}; printf '%s\\n' \"$@\" >'{shown}'; exit 8"
    stage.run(PATH=stage.tools("curl", wget=wget), RUNCODE_DOWNLOAD_BASE=None).refused("cannot download")
    told = shown.read_text().splitlines()
    assert {"--no-config", "--no-hsts", "--max-redirect=0", "--tries=1", "--timeout=15"} <= set(told)
    assert told[-1].startswith("https://github.com/runcode-io/runcode-cli/releases/download/")


def case_the_users_curlrc_and_wgetrc_are_not_read(stage):
    for name, text in ((".curlrc", "proxy = http://127.0.0.1:9\n"), (".wgetrc", "http_proxy = http://127.0.0.1:9\n")):
        (stage.home / name).write_text(text + ("insecure\n" if name == ".curlrc" else "use_proxy = on\n"))
    for tools in (stage.tools(), stage.tools("curl")):
        base = stage.serve().base
        changes = {"CURL_HOME": stage.home, "WGETRC": stage.home / ".wgetrc", "PATH": tools}
        assert stage.run("a", RUNCODE_DOWNLOAD_BASE=base, **changes).args == ["a"]
        stage.binary.unlink()


def case_bases_that_are_refused(stage):
    server = stage.serve()
    port = server.server_port
    for base in (
        "http://example.com",
        "http://127.evil.com",
        f"http://127.0.0.1@localhost:{port}",
        f"http://evil.com#localhost:{port}",
        "http://localhost.evil.com",
        f"http://localhost:{port}@evil.com",
        "http://localhost:80x",
        "http://localhost:",
        f"HTTP://localhost:{port}",
        "ftp://localhost/",
        "file://host/path",
        str(stage.release),
        "-oProxyCommand=x",
        "https://",
        "javascript:1",
    ):
        for tools in (stage.tools(), stage.tools("curl")):
            stage.run(RUNCODE_DOWNLOAD_BASE=base, PATH=tools).refused("refusing to download from", base.rstrip("/"))
    assert server.seen == []
    stage.nothing_kept()


def case_a_redirect_to_http_is_not_followed(stage):
    target = stage.serve()

    def redirect(handler):
        handler.send_response(302)
        handler.send_header("Location", f"{target.base}/{ASSET}")
        handler.end_headers()

    for tools in (stage.tools(), stage.tools("curl")):
        base = stage.serve(redirect).base
        stage.run(RUNCODE_DOWNLOAD_BASE=base, PATH=tools).refused("cannot download")
    secure = stage.serve(redirect, tls=True)
    stage.run(RUNCODE_DOWNLOAD_BASE=secure.base, CURL_CA_BUNDLE=secure.ca).refused("cannot download")
    assert secure.seen and not target.seen
    stage.nothing_kept()


def case_https_from_a_server_that_is_trusted(stage):
    server = stage.serve(tls=True)
    stage.run(RUNCODE_DOWNLOAD_BASE=server.base).refused("cannot download", "certificate")
    stage.run(RUNCODE_DOWNLOAD_BASE=server.base, PATH=stage.tools("curl")).refused("cannot download")
    assert server.seen == []
    assert stage.run("a", RUNCODE_DOWNLOAD_BASE=server.base, CURL_CA_BUNDLE=server.ca).args == ["a"]
    stage.left_clean()


def case_a_download_without_end_is_cut(stage):
    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(b"x" * 1_000_000)

    for tools in (stage.tools(), stage.tools("curl")):
        stage.run(RUNCODE_DOWNLOAD_BASE=stage.serve(endless).base, PATH=tools).refused("cannot download")
    stage.nothing_kept()


def case_an_announced_size_over_the_cap_is_refused_at_once(stage):
    def huge(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(1 << 40))
        handler.end_headers()

    began = time.monotonic()
    stage.run(RUNCODE_DOWNLOAD_BASE=stage.serve(huge).base, PATH=stage.tools("wget")).refused("cannot download")
    assert time.monotonic() - began < 10


def case_a_dripping_server_is_cut(stage):
    def drip(handler):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(600):
            handler.wfile.write(b"x")
            time.sleep(0.1)

    began = time.monotonic()
    stage.run(RUNCODE_DOWNLOAD_BASE=stage.serve(drip).base).refused("cannot download")
    assert time.monotonic() - began < 45


case_a_dripping_server_is_cut.once = True  # it is curl's clock that is seen, and it takes its time


def case_a_cut_connection_is_an_error(stage):
    def cut(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"x" * 10)

    for tools in (stage.tools(), stage.tools("curl")):
        stage.run(RUNCODE_DOWNLOAD_BASE=stage.serve(cut).base, PATH=tools).refused("cannot download")
    stage.nothing_kept()


def case_control_characters_of_a_server_do_not_reach_the_terminal(stage):
    def hostile(handler):
        handler.wfile.write(b"HTTP/1.1 404 \x1b]0;owned\x07\r\nServer: \x1b[31m\r\n\r\n")

    for tools in (stage.tools(), stage.tools("curl")):
        run = stage.run(RUNCODE_DOWNLOAD_BASE=stage.serve(hostile).base, PATH=tools)
        run.refused("cannot download")
        assert "\x1b" not in run.err and "\x07" not in run.err


def case_no_hashing_tool_runs_nothing(stage):
    stage.run(PATH=stage.tools("sha256sum")).refused("SHA-256")
    stage.nothing_kept()


def case_shasum_or_openssl_will_do(stage):
    for name in ("shasum", "openssl"):
        tools = stage.tools("sha256sum", **{name: "exec /usr/bin/sha256sum"})
        assert stage.run("a", PATH=tools).args == ["a"], name
        stage.binary.unlink()
