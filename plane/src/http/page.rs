//! Pages for people: text in blanks, and the headers that keep a browser from doing more with them than show them.

use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::state::token;

/// A page to be answered with. It loads nothing, runs nothing and can be framed by nobody.
pub struct Page<'a> {
    /// The document, with blanks as `{{name}}`; `nonce` is filled in by itself.
    pub template: &'a str,
    /// What stands in the blanks; all of it is text.
    pub values: &'a [(&'a str, &'a str)],
    /// Where forms may lead, as `form-action` of a Content Security Policy has it.
    pub forms: &'a str,
}

impl Page<'_> {
    /// The page with `status`, and `more` headers beside those of every page.
    pub fn answer(&self, status: StatusCode, more: &[(HeaderName, &str)]) -> Response {
        let nonce = token::nonce();
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; form-action {}; frame-ancestors 'none'; base-uri 'none'",
            self.forms
        );
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, &policy),
            (header::CACHE_CONTROL, "no-store"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
        ];
        let mut response = (status, headers, self.filled(&nonce)).into_response();
        for (name, value) in more {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }

    fn filled(&self, nonce: &str) -> String {
        let mut page = String::with_capacity(self.template.len() + 512);
        let mut pieces = self.template.split("{{");
        page.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            let (name, rest) = piece.split_once("}}").unwrap_or_default();
            let value = match name {
                "nonce" => nonce,
                _ => self.values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value),
            };
            value.chars().for_each(|c| push_text(&mut page, c));
            page.push_str(rest);
        }
        page
    }
}

/// Adds a character as text, wherever in a document it comes to stand.
fn push_text(page: &mut String, c: char) {
    match c {
        '&' => page.push_str("&amp;"),
        '<' => page.push_str("&lt;"),
        '>' => page.push_str("&gt;"),
        '"' => page.push_str("&quot;"),
        '\'' => page.push_str("&#39;"),
        c if c.is_control() => page.push(char::REPLACEMENT_CHARACTER),
        c => page.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_blank_is_filled_and_every_value_is_text() {
        let page = Page {
            template: "<b title=\"{{a}}\" nonce='{{nonce}}'>{{a}}{{b}}{{none}}</b>",
            values: &[("a", "<b>\"'&\u{1b}"), ("b", "{{a}}")],
            forms: "'none'",
        };
        let text = "&lt;b&gt;&quot;&#39;&amp;\u{fffd}";
        assert_eq!(page.filled("N"), format!("<b title=\"{text}\" nonce='N'>{text}{{{{a}}}}</b>"));
    }
}
