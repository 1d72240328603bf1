#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
use super::*;
use crate::{Argument, Call, Profile, Rules, Words};

const ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

fn call(unit: &str, key: &str) -> Call {
    let secret = Argument { secret: true, ..Argument::default() };
    let rules = Rules { arguments: [("key".to_owned(), secret)].into(), ..Rules::default() };
    let profile = Profile::new(Words::argv(["p", "{{unit}}", "{{key}}"]).unwrap(), rules).unwrap();
    profile.call([("unit".to_owned(), unit.to_owned()), ("key".to_owned(), key.to_owned())]).unwrap()
}

fn now() -> Timestamp {
    "2026-01-31T10:00:00Z".parse().unwrap()
}

fn wanted(call: &Call) -> Wanted<'_> {
    named("logs", call, Stdin::None)
}

fn named<'a>(name: &'a str, call: &'a Call, stdin: Stdin) -> Wanted<'a> {
    let what = What::Profile { name, call, stdin };
    Wanted { server: "prod", target: "deploy@10.0.0.1:22", what, ttl: 120 }
}

#[test]
fn the_text_is_exact() {
    let call = call("ä\"\\🦀", "hunter2");
    let text = Request::new(&wanted(&call), ID, "claude-code (me)", now()).text();
    let (args, command) = (hex(format!("{ID}hunter2").as_bytes()), hex(call.rendered().as_bytes()));
    let expected = format!(
        "runcode-approval-v1\nid: {ID}\nserver: prod\ntarget: deploy@10.0.0.1:22\nmode: profile\nprofile: logs\n\
         args: {{\"key\":{{\"sha256\":\"{args}\"}},\"unit\":\"\\u00e4\\\"\\\\\\ud83e\\udd80\"}}\n\
         command: \"p '\\u00e4\\\"\\\\\\ud83e\\udd80' '[redacted]'\"\n\
         command-sha256: {command}\nstdin: none\nttl: 120\nuses: 1\nrequested-by: claude-code (me)\n\
         requested-at: 2026-01-31T10:00:00Z\nexpires-at: 2026-02-01T10:00:00Z\n"
    );
    assert_eq!(text, expected);
    assert_eq!(Request::parse(&text).unwrap().text(), text);
    assert!(!text.contains("hunter2"));
}

#[test]
fn it_fits_one_thing_alone() {
    let (one, other, secret) = (call("a", "k"), call("b", "k"), call("a", "l"));
    let request = Request::new(&wanted(&one), ID, "me", now());
    let later = |hours: i64| now().checked_add(SignedDuration::from_hours(hours)).unwrap();
    assert_eq!(request.fits(&wanted(&one), now()), Ok(()));
    for (why, wanted) in [
        ("args", wanted(&other)),
        ("secret", wanted(&secret)),
        ("server", Wanted { server: "prod2", ..wanted(&one) }),
        ("target", Wanted { target: "deploy@10.0.0.2:22", ..wanted(&one) }),
        ("profile", named("disk", &one, Stdin::None)),
        ("session", Wanted { what: What::Session, ..wanted(&one) }),
        ("ttl", Wanted { ttl: 121, ..wanted(&one) }),
        ("stdin", named("logs", &one, Stdin::of(b"x"))),
        ("any stdin", named("logs", &one, Stdin::Any)),
    ] {
        assert_eq!(request.fits(&wanted, now()), Err(Why::OtherRequest), "{why}");
    }
    assert_eq!(request.fits(&wanted(&one), later(24)), Err(Why::Expired));
    assert_eq!(request.fits(&wanted(&one), later(-1)), Err(Why::NotYetValid));
}

#[test]
fn an_approval_names_what_is_fed() {
    let call = call("a", "k");
    let reading = |stdin: &Stdin| named("logs", &call, stdin.clone());
    let (x, y) = (&Stdin::of(b"x"), &Stdin::of(b"y"));
    for (approved, fed, fits) in [
        (x, x, true),
        (x, y, false),
        (x, &Stdin::None, false),
        (x, &Stdin::Any, false),
        (&Stdin::Any, x, true),
        (&Stdin::Any, &Stdin::None, true),
    ] {
        let request = Request::parse(&Request::new(&reading(approved), ID, "me", now()).text()).unwrap();
        assert_eq!(request.stdin(), approved);
        assert_eq!(request.fits(&reading(fed), now()).is_ok(), fits, "{approved} {fed}");
    }
    assert_eq!(Stdin::of(b""), Stdin::None);
}

#[test]
fn a_session_is_named_by_its_time() {
    let call = call("a", "k");
    let session = |ttl| Wanted { what: What::Session, ttl, ..wanted(&call) };
    let request = Request::new(&session(300), ID, "me", now());
    let lines = "mode: session\nprofile: -\nargs: {}\ncommand: -\ncommand-sha256: -\nstdin: any\nttl: 300\n";
    assert!(request.text().contains(lines), "{}", request.text());
    let request = Request::parse(&request.text()).unwrap();
    assert!(request.is_for_session());
    assert_eq!(request.fits(&session(300), now()), Ok(()));
    for other in
        [session(301), Wanted { ttl: 300, ..wanted(&call) }, Wanted { server: "two", ..session(300) }]
    {
        assert_eq!(request.fits(&other, now()), Err(Why::OtherRequest));
    }
}

#[test]
fn anything_else_is_no_request() {
    let text = Request::new(&wanted(&call("a", "k")), ID, "me", now()).text();
    let mut wrong =
        vec![String::new(), text.replace('\n', "\r\n"), format!("{text}\n"), text.trim_end().to_owned()];
    for (from, to) in [
        ("-v1", "-v2"),
        ("uses: 1", "uses: 2"),
        ("uses: 1", "uses: 1 "),
        ("mode: profile", "mode: profile\nmode: session"),
        ("mode: profile\n", ""),
        ("requested-by: me", "requested-by: me\u{202e}"),
        ("requested-by: me", "requested-by: "),
        ("requested-by: me", "requested-by: me\nx: y"),
        ("2026-02-01T10:00:00Z", "2026-02-01T10:00:01Z"),
        ("2026-02-01T10:00:00Z", "2026-01-30T10:00:00Z"),
        ("2026-02-01T10:00:00Z", "soon"),
        ("stdin: none", "stdin: some"),
        ("stdin: none", "stdin: sha256:00"),
        ("stdin: none\n", ""),
        (ID, "../../../../etc/passwd"),
        (ID, "A"),
    ] {
        assert!(text.contains(from));
        wrong.push(text.replacen(from, to, 1));
    }
    for text in wrong {
        assert_eq!(Request::parse(&text), None, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(runcode-approval-v1|id|server|: |\n|[a-zA-Z0-9]{1,3}){0,40}") {
        if let Some(request) = Request::parse(&text) {
            assert_eq!(request.text(), text);
        }
    }
}

#[test]
fn what_differs_is_named_once() {
    let words = crate::Words::argv(["echo", "{{word}}"]).unwrap();
    let profile = crate::Profile::new(words, crate::Rules::default()).unwrap();
    let call = |word: &str| profile.call([("word".to_owned(), word.to_owned())]).unwrap();
    let (yes, no) = (call("yes"), call("no"));
    let wanted = |server, name, call, ttl| Wanted {
        server,
        target: "me@h:22",
        what: What::Profile { name, call, stdin: Stdin::None },
        ttl,
    };
    let request = Request::new(&wanted("a", "say", &yes, 120), "x", "me", Timestamp::UNIX_EPOCH);
    let differs = |wanted: &Wanted<'_>| {
        request.differences(wanted).into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(differs(&wanted("a", "say", &yes, 120)), "");
    assert_eq!(differs(&wanted("a", "say", &no, 120)), "args");
    assert_eq!(differs(&wanted("a", "other", &no, 7)), "profile ttl");
    assert_eq!(differs(&wanted("b", "say", &yes, 120)), "server");
    let session = Wanted { what: What::Session, ..wanted("a", "say", &yes, 120) };
    assert_eq!(differs(&session), "mode");
}
