//! A workspace's own page, where a bundle's `web_url` leads: what it is, how it is, and how to get into it.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::answer::refusal;
use super::page::Page;
use super::{Link, Site, login_page};

const PAGE: &str = include_str!("workspace.html");

/// Shows the page. It asks for no token and holds nothing that only a token may see: whoever may look is the user whose
/// folder it is.
pub(super) async fn show(
    State(site): State<Arc<Site>>,
    ConnectInfo(link): ConnectInfo<Link>,
    title: Result<Path<String>, PathRejection>,
) -> Response {
    if let Some(refusal) = login_page::refuse_others(&link) {
        return refusal;
    }
    let found = match title {
        Ok(Path(title)) => site.state.titled(&title).await,
        Err(_) => Ok(None),
    };
    let workspace = match found {
        Ok(workspace) => workspace,
        Err(error) => return refusal(error.into()),
    };
    let Some(workspace) = workspace else {
        let values = [
            ("name", "There is no such workspace"),
            ("status", "unknown"),
            ("how", "See which there are:"),
            ("command", "runcode list"),
        ];
        let page = Page { template: PAGE, values: &values, forms: "'none'" };
        return page.answer(StatusCode::NOT_FOUND, &[]);
    };
    let wire = workspace.wire();
    let status = wire.interim_state.unwrap_or(wire.current_state);
    let (how, command) = match status.as_str() {
        _ if !workspace.has_ssh() => ("It has no SSH. Those that have one:", "runcode list".to_owned()),
        "running" => ("Connect to it:", format!("runcode connect {}", workspace.title)),
        _ => ("Start it and connect to it:", format!("runcode connect {} --start", workspace.title)),
    };
    let name = workspace.custom_title.as_deref().unwrap_or(&workspace.title);
    let values = [
        ("name", name),
        ("title", &workspace.title),
        ("status", &status),
        ("how", how),
        ("command", &command),
    ];
    Page { template: PAGE, values: &values, forms: "'none'" }.answer(StatusCode::OK, &[])
}
