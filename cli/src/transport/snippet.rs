//! Looks at a user's piece of shell code, as far as it matters for the code around it.

/// Whether a snippet would swallow the line after it: it ends in a backslash or an operator, or a here-document in it
/// is never closed. Such a snippet goes to `eval` as a separate word.
pub(super) fn runs_on(snippet: &[u8]) -> bool {
    let end = snippet.trim_ascii_end().last();
    matches!(end, Some(b'\\' | b'&' | b'|')) || has_open_heredoc(snippet)
}

/// Whether a snippet may replace its shell by another program (`cd a && exec make`). It must then not run in the outermost shell, whose
/// arguments carry the token.
pub(super) fn replaces_its_shell(snippet: &[u8]) -> bool {
    let passed = |word: &&[u8]| matches!(*word, b"then" | b"do" | b"else" | b"!") || word.contains(&b'=');
    snippet.split(|byte| b";&|(){}\n".contains(byte)).any(|command| {
        let mut words = command.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        words.find(|word| !passed(word)) == Some(b"exec")
    })
}

fn has_open_heredoc(snippet: &[u8]) -> bool {
    let lines: Vec<&[u8]> = snippet.split(|&byte| byte == b'\n').collect();
    lines.iter().enumerate().any(|(number, line)| {
        let starts = line.windows(2).enumerate().filter(|(_, two)| two == b"<<");
        starts.map(|(at, _)| &line[at + 2..]).any(|rest| {
            let (tabs, rest) = rest.strip_prefix(b"-").map_or((false, rest), |rest| (true, rest));
            let quotes = |byte: &u8| !matches!(byte, b'\'' | b'"' | b'\\');
            let ends = |byte: &u8| byte.is_ascii_whitespace() || b";|&<>()".contains(byte);
            let word = rest.trim_ascii_start().split(ends).next().unwrap_or_default();
            let word: Vec<u8> = word.iter().copied().filter(quotes).collect();
            let closes = |line: &&[u8]| {
                let start = if tabs { line.iter().take_while(|&&byte| byte == b'\t').count() } else { 0 };
                line[start..] == word
            };
            !lines[number + 1..].iter().any(closes)
        })
    })
}
