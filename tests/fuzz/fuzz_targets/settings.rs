//! Claude Code's settings: what is valid JSON stays so, other members keep their bytes, the rest is refused.
#![no_main]
use libfuzzer_sys::fuzz_target;
use runcode::integrations::claude_settings::{Foreign, Undone, install, installed, undo};
use runcode::integrations::shell_word;

fuzz_target!(|content: &[u8]| {
    let _ = installed(content);
    if let Ok(text) = std::str::from_utf8(content)
        && let Some(words) = shell_word::split(text)
        && let Ok(line) = words.iter().map(|word| shell_word::quote(word)).collect::<Result<Vec<_>, _>>()
    {
        assert_eq!(shell_word::split(&line.join(" ")), Some(words));
    }
    let was_ours = installed(content).is_some();
    for foreign in [Foreign::Refuse, Foreign::Replace, Foreign::Wrap] {
        let Ok(new) = install(Some(content), "\"/h/.local/bin/runcode\" statusline", foreign) else {
            continue;
        };
        // A lone surrogate is JSON to JavaScript, and not to this oracle.
        let Ok(old) = serde_json::from_slice::<serde_json::Value>(content) else {
            continue;
        };
        let value: serde_json::Value = serde_json::from_slice(&new).unwrap();
        assert!(
            value["statusLine"]["command"]
                .as_str()
                .unwrap()
                .starts_with("\"/h/.local/bin/runcode\" statusline")
        );
        assert!(installed(&new).is_some());
        for (name, member) in old.as_object().into_iter().flatten().filter(|(name, _)| *name != "statusLine")
        {
            assert_eq!(&value[name], member, "{name}");
        }
        let undone = undo(&new, Some(content)).unwrap();
        if !was_ours && let Undone::File(bytes) = undone {
            assert!(bytes == content, "{}", String::from_utf8_lossy(&bytes));
        }
    }
});
