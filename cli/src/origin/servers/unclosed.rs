//! What is not closed in a file that is no TOML. The parser blames what comes after it, line by line.

/// Where it opens, and what is wrong there.
pub(super) struct Unclosed {
    pub(super) offset: usize,
    pub(super) message: &'static str,
}

/// The first list or section header that is not closed. Only of a text that the parser has refused.
pub(super) fn find(text: &str) -> Option<Unclosed> {
    let mut lists = Vec::<usize>::new();
    let mut string = None::<&str>; // the quotes that end a text of several lines
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        if string.is_none() {
            if let Some(&offset) = lists.last()
                && begins_anew(line.trim())
            {
                return Some(list(offset));
            }
            if lists.is_empty() && line.trim_start().starts_with('[') {
                if !line.split('#').next().unwrap_or_default().contains(']') {
                    let message = "is the header of a section whose `]` is missing";
                    return Some(Unclosed { offset: start + indent, message });
                }
                start += line.len();
                continue;
            }
        }
        scan(line, start, &mut lists, &mut string);
        start += line.len();
    }
    lists.last().filter(|_| string.is_none()).map(|&offset| list(offset))
}

fn list(offset: usize) -> Unclosed {
    Unclosed { offset, message: "is a list that is not closed: its `]` is missing" }
}

/// Whether a line can only stand outside of a list: `key = …`, or the header of a section.
fn begins_anew(line: &str) -> bool {
    let is_key = |text: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-. ".contains(&byte);
        text.starts_with(|letter: char| letter.is_ascii_alphabetic()) && text.bytes().all(allowed)
    };
    match line.strip_prefix('[') {
        Some(header) => header.trim_start_matches('[').split(']').next().is_some_and(is_key),
        None => line.split_once('=').is_some_and(|(key, _)| is_key(key.trim_end())),
    }
}

/// Notes the lists that open and close in a line, texts in quotes and comments aside.
fn scan<'a>(line: &'a str, start: usize, lists: &mut Vec<usize>, string: &mut Option<&'a str>) {
    let mut at = 0;
    while let Some(rest) = line.get(at..)
        && let Some(first) = rest.chars().next()
    {
        at += first.len_utf8();
        if let Some(end) = *string {
            if first == '\\' && end.starts_with('"') {
                at += rest.chars().nth(1).map_or(0, char::len_utf8);
            } else if rest.starts_with(end) {
                at += end.len() - 1;
                *string = None;
            }
            continue;
        }
        match first {
            '"' | '\'' => {
                let is_long = rest.starts_with("\"\"\"") || rest.starts_with("'''");
                let quotes = rest.get(..if is_long { 3 } else { 1 });
                at += quotes.map_or(0, |quotes| quotes.len() - 1);
                *string = quotes;
            }
            '#' => break,
            '[' => lists.push(start + at - 1),
            ']' => drop(lists.pop()),
            _ => {}
        }
    }
    *string = string.filter(|end| end.len() == 3); // others end with their line, closed or not
}

#[cfg(test)]
mod tests {
    use super::find;

    fn line_of(text: &str) -> Option<usize> {
        find(text).map(|found| 1 + text[..found.offset].matches('\n').count())
    }

    #[test]
    fn what_opens_and_never_closes_is_found() {
        for (text, line) in [
            ("[a]\nkeys = [\n  \"x\",\n[b]\nc = 1\n", 2),
            ("[a]\nkeys = [\nnext = [\"x\"]\n", 2),
            ("[a]\nkeys = [ \"]\", # ]\n", 2),
            ("[a]\nkeys = [\"\"\"\n]\n\"\"\",\nb = 2\n", 2),
            ("[a]\nb = 1\n[servers.gpu\nhost = \"x\"\n", 3),
        ] {
            assert_eq!(line_of(text), Some(line), "{text}");
        }
        for text in [
            "",
            "[a]\nkeys = [[1],\n[2]]\n",
            "[a] # [\nkeys = [\n  { b = 1 },\n]\nc = \"[\"\n",
            "a = '['\nb = \"\\\"[\"\n[[c]]\n",
            "a = \"\"\"\n[b\n\"\"\"\n",
        ] {
            assert_eq!(line_of(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "([\\[\\]={}\",'#\n .a-c0-9\\\\éx]|true|\"\"\"|''')*") {
            find(&text);
        }
    }
}
