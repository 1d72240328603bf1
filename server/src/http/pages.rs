//! The pages: no script, nothing loaded, every text escaped. GET shows, POST acts.

use std::sync::Arc;

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use runcode_plane::Page;
use serde::Deserialize;

use super::guard::Sender;
use super::{answer, off};
use crate::clock;
use crate::core::links::{self, Purpose};
use crate::core::page_sessions::{self, SignedIn};
use crate::core::people::Role;
use crate::core::tokens::{self, Scopes};
use crate::core::{access, workspaces};
use crate::failure::{Failure, Kind, Result};
use crate::site::Site;
use crate::store::within;

pub(super) const CONSENT: &str = concat!(include_str!("pages/head.html"), include_str!("pages/consent.html"));
const SETUP: &str = concat!(include_str!("pages/head.html"), include_str!("pages/setup.html"));
const LINK: &str = concat!(include_str!("pages/head.html"), include_str!("pages/link.html"));
const HOME: &str = concat!(include_str!("pages/head.html"), include_str!("pages/home.html"));
const TOKENS: &str = concat!(include_str!("pages/head.html"), include_str!("pages/tokens.html"));
const TOKEN: &str = concat!(include_str!("pages/head.html"), include_str!("pages/token.html"));
const MESSAGE: &str = concat!(include_str!("pages/head.html"), include_str!("pages/message.html"));

/// A page with values in its blanks, and perhaps a cookie.
pub(super) fn page(
    template: &str,
    values: &[(&str, String)],
    forms: &str,
    status: StatusCode,
    cookie: Option<&str>,
) -> Response {
    let values = values.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>();
    let more = cookie.map(|cookie| (header::SET_COOKIE, cookie));
    Page { template, values: &values, forms }.answer(status, more.as_slice())
}

fn message(status: StatusCode, title: &str, text: &str) -> Response {
    page(MESSAGE, &[("title", title.to_owned()), ("text", text.to_owned())], "'none'", status, None)
}

/// A failure as a page.
pub(super) fn failure(why: &Failure) -> Response {
    let status = StatusCode::from_u16(why.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut page = message(status, "That did not work", &why.message);
    if let Some(seconds) = answer::retry_after(why.kind) {
        page.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
    }
    page
}

/// For somebody whom this browser does not know.
pub(super) fn sign_in_first() -> Response {
    let text = "Open your one-time link in this browser, then reload this page. An administrator gets one for you: \
                `runcode-server person change EMAIL --link`.";
    message(StatusCode::UNAUTHORIZED, "You are not signed in", text)
}

/// The cookie's name. Without TLS the prefix would be refused; other servers on this machine share cookies, so the port is in it.
fn cookie_name(site: &Site) -> String {
    match site.base.starts_with("https://") {
        true => "__Host-runcode".to_owned(),
        false => format!("runcode-{}", site.base.rsplit(':').next().unwrap_or_default()),
    }
}

fn cookie_of(site: &Site, headers: &HeaderMap) -> String {
    let name = cookie_name(site);
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(own, _)| *own == name).map(|(_, value)| value.to_owned()).unwrap_or_default()
}

/// Who is signed in in this browser.
pub(super) async fn signed_in(site: &Arc<Site>, headers: &HeaderMap) -> Result<Option<SignedIn>> {
    let cookie = cookie_of(site, headers);
    off(site, move |site| page_sessions::find(&*site.store, &cookie)).await
}

/// Whether a form was sent by a page of ours: other sites can send forms here too.
fn is_own_form(headers: &HeaderMap) -> bool {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let (origin, host) = (text(header::ORIGIN), text(header::HOST).unwrap_or_default());
    let is_same_site =
        headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin" || site == "none");
    is_same_site && origin.is_none_or(|origin| origin.split_once("://").is_some_and(|(_, own)| own == host))
}

/// Who sent a form, if it is one that was shown to them.
pub(super) async fn form_sender(site: &Arc<Site>, headers: &HeaderMap, form: &str) -> Result<SignedIn> {
    let wrong =
        || Failure::new(Kind::Form, "This page is no longer valid. Go back, reload it, and try again.");
    let who = signed_in(site, headers).await?.ok_or_else(wrong)?;
    // By hash: how long it takes says nothing of the text.
    let is_equal = crate::random::hash(form) == crate::random::hash(&who.form);
    if is_equal && is_own_form(headers) { Ok(who) } else { Err(wrong()) }
}

pub(super) async fn home(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    match signed_in(&site, &headers).await {
        Ok(Some(who)) => {
            let values = [
                ("email", who.person.email),
                ("name", who.person.name),
                ("role", who.person.role.as_str().to_owned()),
                ("base", site.base.clone()),
                ("form", who.form),
            ];
            page(HOME, &values, "'self'", StatusCode::OK, None)
        }
        Ok(None) => sign_in_first(),
        Err(why) => failure(&why),
    }
}

/// Shows what a one-time link is for; it is not used up by that.
pub(super) async fn show_link(
    State(site): State<Arc<Site>>,
    Extension(sender): Extension<Sender>,
    Path(link): Path<String>,
) -> Response {
    let looked = off(&site, move |site| {
        let looked = within(&*site.store, |step| links::look(step, &link));
        site.mint.limits.guessed(&*site.store, &sender.acts("-", "page"), "link.look", looked)
    });
    match looked.await {
        Ok(Purpose::NewAdmin) => page(SETUP, &[], "'self'", StatusCode::OK, None),
        Ok(Purpose::Person(person)) => {
            let values = [("email", person.email), ("name", person.name)];
            page(LINK, &values, "'self'", StatusCode::OK, None)
        }
        Err(why) => failure(&why),
    }
}

#[derive(Deserialize, Default)]
pub(super) struct Newcomer {
    #[serde(default)]
    email: String,
    #[serde(default)]
    name: String,
}

/// Uses a one-time link up, and signs in.
pub(super) async fn spend_link(
    State(site): State<Arc<Site>>,
    Extension(sender): Extension<Sender>,
    Path(link): Path<String>,
    headers: HeaderMap,
    form: Result<Form<Newcomer>, FormRejection>,
) -> Response {
    if !is_own_form(&headers) {
        return failure(&Failure::new(Kind::Form, "Open the link itself, and use the button there."));
    }
    let form = form.map(|Form(form)| form).unwrap_or_default();
    let spent = off(&site, move |site| {
        let actor = sender.acts("-", "page");
        let spent = links::spend(&*site.store, &actor, &link, &form.email, &form.name);
        let person = site.mint.limits.guessed(&*site.store, &actor, "link.spend", spent)?;
        page_sessions::open(&*site.store, &person)
    });
    match spent.await {
        Ok(cookie) => {
            let secure = if site.base.starts_with("https://") { "; Secure" } else { "" };
            let cookie = format!(
                "{}={cookie}; Path=/; HttpOnly; SameSite=Lax; Max-Age=604800{secure}",
                cookie_name(&site)
            );
            let headers =
                [(header::LOCATION, "/"), (header::CACHE_CONTROL, "no-store"), (header::SET_COOKIE, &cookie)];
            (StatusCode::SEE_OTHER, headers).into_response()
        }
        Err(why) => failure(&why),
    }
}

#[derive(Deserialize)]
pub(super) struct Plain {
    form: String,
}

pub(super) async fn sign_out(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    form: Result<Form<Plain>, FormRejection>,
) -> Response {
    let done = async {
        let Form(form) = form.map_err(|_| Failure::bad("The form is not complete."))?;
        form_sender(&site, &headers, &form.form).await?;
        let cookie = cookie_of(&site, &headers);
        off(&site, move |site| page_sessions::close(&*site.store, &cookie)).await
    };
    match done.await {
        Ok(()) => message(StatusCode::OK, "You are signed out", "You can close this page."),
        Err(why) => failure(&why),
    }
}

pub(super) async fn tokens(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    match signed_in(&site, &headers).await {
        Ok(Some(who)) => {
            let values = [
                ("email", who.person.email),
                ("lifetime", clock::shown_duration(site.config.token_max_age)),
                ("form", who.form),
            ];
            page(TOKENS, &values, "'self'", StatusCode::OK, None)
        }
        Ok(None) => sign_in_first(),
        Err(why) => failure(&why),
    }
}

#[derive(Deserialize)]
pub(super) struct NewToken {
    form: String,
    name: String,
}

/// Makes a token and shows it, once.
pub(super) async fn new_token(
    State(site): State<Arc<Site>>,
    Extension(sender): Extension<Sender>,
    headers: HeaderMap,
    form: Result<Form<NewToken>, FormRejection>,
) -> Response {
    let made = async {
        let Form(form) = form.map_err(|_| Failure::bad("The form is not complete."))?;
        let who = form_sender(&site, &headers, &form.form).await?;
        let actor = sender.acts(who.person.email.clone(), "page");
        off(&site, move |site| {
            let scopes = Scopes::parse(tokens::LOGIN_SCOPES)?;
            tokens::add(
                &*site.store,
                &actor,
                &who.person.email,
                &form.name,
                &scopes,
                site.config.token_max_age,
            )
        })
        .await
    };
    match made.await {
        Ok((token, _, expires)) => {
            let values = [("token", token), ("until", clock::shown(expires)), ("base", site.base.clone())];
            page(TOKEN, &values, "'none'", StatusCode::OK, None)
        }
        Err(why) => failure(&why),
    }
}

/// What a bundle's `web_url` leads to.
pub(super) async fn workspace(
    State(site): State<Arc<Site>>,
    Path(title): Path<String>,
    headers: HeaderMap,
) -> Response {
    let found = async {
        let Some(who) = signed_in(&site, &headers).await? else { return Ok(None) };
        let found = off(&site, move |site| {
            within(&*site.store, |step| {
                let missing = || Failure::new(Kind::NotFound, "There is no such workspace.");
                let workspace = workspaces::by_title(step, &title).map_err(|_| missing())?;
                let level = access::level(step, who.person.id, workspace.id)?;
                match level.is_some() || who.person.role != Role::Member {
                    true => Ok(workspace),
                    false => Err(missing()),
                }
            })
        });
        found.await.map(Some)
    };
    match found.await {
        Ok(Some(found)) => {
            let text =
                format!("It is {}. To open a session: `runcode connect {}`.", found.state(), found.title);
            message(StatusCode::OK, &found.title, &text)
        }
        Ok(None) => sign_in_first(),
        Err(why) => failure(&why),
    }
}
