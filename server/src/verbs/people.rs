//! `person`, `team`, `token`

use serde_json::json;

use super::{Here, Report, table};
use crate::args::{Person, Team, Token};
use crate::clock;
use crate::core::people::{self, Role};
use crate::core::tokens::{self, Scopes};
use crate::core::{links, teams};
use crate::failure::{Failure, Result};
use crate::store::within;

pub(super) fn person(here: &Here, verb: Person) -> Result<Report> {
    let store = &*here.site.store;
    match verb {
        Person::Add { email, name, role } => {
            let person = people::add(store, &here.actor, &email, &name, Role::parse(&role)?)?;
            invite(here, &person.email)
        }
        Person::List => {
            let all = within(store, people::all)?;
            let state = |disabled| if disabled { "disabled" } else { "" };
            let rows = all.iter().map(|person| {
                vec![
                    person.email.clone(),
                    person.name.clone(),
                    person.role.as_str().to_owned(),
                    state(person.disabled).to_owned(),
                ]
            });
            let json = all.iter().map(|person| {
                json!({ "email": person.email, "name": person.name, "role": person.role.as_str(), "disabled": person.disabled })
            });
            let text = table(&["EMAIL", "NAME", "ROLE", ""], &rows.collect::<Vec<_>>());
            Ok(Report::new(text, json!({ "people": json.collect::<Vec<_>>() })))
        }
        Person::Change { email, link, disable, enable, role } => {
            let role = role.as_deref().map(Role::parse).transpose()?;
            let disabled = if disable { Some(true) } else { enable.then_some(false) };
            if role.is_none() && disabled.is_none() && !link {
                return Err(Failure::bad("Say what to change: --link, --disable, --enable or --role."));
            }
            if role.is_some() || disabled.is_some() {
                people::change(store, &here.actor, &email, role, disabled)?;
            }
            if link {
                return invite(here, &email);
            }
            Ok(Report::new(format!("{email} was changed."), json!({ "email": email })))
        }
    }
}

fn invite(here: &Here, email: &str) -> Result<Report> {
    let url =
        format!("{}/link/{}", here.site.base, links::for_person(&*here.site.store, &here.actor, email)?);
    Ok(Report::new(url.clone(), json!({ "email": email, "url": url })))
}

pub(super) fn team(here: &Here, verb: Team) -> Result<Report> {
    let store = &*here.site.store;
    match verb {
        Team::Add { team } => {
            teams::add(store, &here.actor, &team)?;
            Ok(Report::new(format!("The team {team} was added."), json!({ "team": team })))
        }
        Team::List => {
            let all = within(store, teams::all)?;
            let rows = all.iter().map(|team| vec![team.title.clone(), team.members.join(" ")]);
            let json = all.iter().map(|team| json!({ "team": team.title, "members": team.members }));
            let text = table(&["TEAM", "PEOPLE"], &rows.collect::<Vec<_>>());
            Ok(Report::new(text, json!({ "teams": json.collect::<Vec<_>>() })))
        }
        Team::Change { team, add, remove } => {
            if add.is_empty() && remove.is_empty() {
                return Err(Failure::bad("Say what to change: --add EMAIL or --remove EMAIL."));
            }
            teams::change(store, &here.actor, &team, &add, &remove)?;
            Ok(Report::new(format!("The team {team} was changed."), json!({ "team": team })))
        }
        Team::Remove { team } => {
            teams::remove(store, &here.actor, &team)?;
            Ok(Report::new(format!("The team {team} was removed."), json!({ "team": team })))
        }
    }
}

pub(super) fn token(here: &Here, verb: Token) -> Result<Report> {
    let store = &*here.site.store;
    match verb {
        Token::Add { email, name, scopes, expires } => {
            let longest = here.site.config.token_max_age;
            let lifetime = match expires {
                Some(text) => clock::duration(&text)
                    .ok_or_else(|| Failure::bad("--expires is a duration such as 30d."))?,
                None => longest,
            };
            if lifetime > longest {
                return Err(Failure::bad(format!(
                    "A token is good for {} at most.",
                    clock::shown_duration(longest)
                )));
            }
            let scopes = Scopes::parse(&scopes)?;
            let (token, id, expires) = tokens::add(store, &here.actor, &email, &name, &scopes, lifetime)?;
            Ok(Report::new(
                token.clone(),
                json!({ "token": token, "id": id, "expires_at": clock::shown(expires) }),
            ))
        }
        Token::List { email } => {
            let all = within(store, |step| {
                let person = people::by_email(step, &email)?;
                tokens::of_person(step, person.id)
            })?;
            let used = |token: &tokens::Listed| {
                token.used.as_ref().map(|(hour, from)| (clock::shown(*hour), from.clone()))
            };
            let rows = all.iter().map(|token| {
                let used = used(token).map_or_else(String::new, |(hour, from)| format!("{hour} from {from}"));
                vec![
                    token.id.clone(),
                    token.name.clone(),
                    token.scopes.clone(),
                    clock::shown(token.expires),
                    used,
                ]
            });
            let json = all.iter().map(|token| {
                json!({ "id": token.id, "name": token.name, "scopes": token.scopes, "expires_at": clock::shown(token.expires),
                    "used": used(token).map(|(hour, from)| json!({ "hour": hour, "from": from })) })
            });
            let text = table(&["ID", "NAME", "SCOPES", "EXPIRES", "LAST USED"], &rows.collect::<Vec<_>>());
            Ok(Report::new(text, json!({ "tokens": json.collect::<Vec<_>>() })))
        }
        Token::Remove { id } => {
            tokens::remove(store, &here.actor, &id, None)?;
            Ok(Report::new("The token was removed.", json!({ "id": id })))
        }
    }
}
