//! Which control plane a login is for, and where it is authorized.

use super::App;
use crate::error::{Code, Error, Result};
use crate::origin::hosted::{BaseUrl, kept_base};
use crate::sys::env::Var;

impl App {
    /// The control plane that `login URL` kept for later commands, unless another one is named.
    pub fn kept_base(&self) -> Result<Option<BaseUrl>> {
        match self.given_api_base() {
            Some(_) => Ok(None),
            None => kept_base::read(self.paths()?),
        }
    }

    /// The control plane that a login makes a token for. A project's settings can set `RUNCODE_API_BASE`, so one on another
    /// machine is taken from the command line alone.
    pub fn login_base(&self) -> Result<&BaseUrl> {
        let base = self.api_base()?;
        let is_kept = || self.kept_base().is_ok_and(|kept| kept.as_ref() == Some(base));
        if self.globals.api_base.is_some() || base.is_hosted() || base.is_loopback() || is_kept() {
            return Ok(base);
        }
        Err(Error::new(Code::Usage, format!("only RUNCODE_API_BASE names the control plane at {base}"))
            .hint(format!("for the user to decide: to log in there, add --api-base {}", base.word())))
    }

    /// The web host that a login is authorized on: `given`, else `RUNCODE_WEB_BASE`, else the hosted one. One on another
    /// machine is taken from the command line alone. A page and a control plane belong together where they are the hosted ones,
    /// have one origin, or are both named in the same place: else a page could hand out tokens of its own account.
    pub fn web_base(&self, given: Option<&str>) -> Result<BaseUrl> {
        let from_env = self.env.var(Var::RuncodeWebBase).map(|base| base.to_string_lossy().into_owned());
        let web = BaseUrl::parse(given.or(from_env.as_deref()).unwrap_or(BaseUrl::HOSTED_WEB))?;
        let api = self.login_base()?;
        if given.is_none() && !web.is_hosted_web() && !web.is_loopback() {
            return Err(Error::new(
                Code::Usage,
                format!("only RUNCODE_WEB_BASE names the login page at {web}"),
            )
            .hint(format!("for the user to decide: to log in there, add --web-base {}", web.word())));
        }
        if web.is_hosted_web() && !api.is_hosted() {
            return Err(Error::new(
                Code::Usage,
                format!("{web} has no login page for the control plane at {api}"),
            )
            .hint("add --web-base with the address of its own, or use `runcode login --paste`"));
        }
        if api.is_hosted() && !web.is_hosted_web() {
            return Err(Error::new(
                Code::Usage,
                format!("the login page at {web} is not that of the hosted control plane, {api}"),
            )
            .hint(
                "unset RUNCODE_WEB_BASE and leave --web-base out; or name the page's own control plane with --api-base",
            ));
        }
        let is_one_origin = api.is_origin_of(&web.join(""));
        if !is_one_origin && given.is_some() != self.globals.api_base.is_some() {
            let what = format!(
                "nobody says that the login page at {web} and the control plane at {api} belong together"
            );
            return Err(Error::new(Code::Usage, what).hint(format!(
                "for the user to decide: to log in there, add --api-base {} --web-base {}",
                api.word(),
                web.word()
            )));
        }
        Ok(web)
    }
}
