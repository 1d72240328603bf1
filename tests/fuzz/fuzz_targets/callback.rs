//! What connects to the login's port: only the right state on the right Host ends the login; nothing is echoed.
#![no_main]
use libfuzzer_sys::fuzz_target;
use runcode::origin::hosted::login::{Callback, judge};

const STATE: &str = "s3cret-state-of-this-login";

fuzz_target!(|head: &[u8]| {
    let (status, title, outcome) = judge(head, STATE, 4000);
    assert!(["200 OK", "400 Bad Request", "404 Not Found"].contains(&status));
    assert_eq!(status == "200 OK", outcome.is_some());
    assert!(!title.contains(['<', '>', '&', '"']));
    if let Some(outcome) = outcome {
        let text = String::from_utf8_lossy(head);
        assert!(text.starts_with("GET /callback?"));
        assert!(text.to_ascii_lowercase().contains("host:") && text.contains("4000"));
        let is_plain = |text: &str, longest: usize| {
            !text.is_empty() && text.len() <= longest && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        match outcome {
            Ok(Callback::Token(token, email)) => {
                assert!(is_plain(token.expose(), 4096));
                assert!(
                    email.is_none_or(|email| email.raw().len() <= 320 && !email.raw().chars().any(char::is_control))
                );
            }
            Ok(Callback::Code(code)) => assert!(is_plain(&code, 512)),
            Err(_) => {}
        }
    }
});
