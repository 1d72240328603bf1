#![allow(clippy::unwrap_used)] // a test that cannot go on should say where

use runcode_sshcert::Authority;
use ssh_key::{Algorithm, PrivateKey, PublicKey};

use super::access::{self, Level};
use super::audit::Actor;
use super::mint::{Ask, Mint};
use super::people::{self, Role};
use super::tokens::{self, Scopes};
use super::workspaces::New;
use super::{hosts, limits, links, page_sessions, sessions, teams};
use crate::config;
use crate::failure::{Kind, Result};
use crate::random;
use crate::store::{Sqlite, Store, within};
use std::time::Duration;

const HOST_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGb9E1Pmhk3eJEJe4dKKo5mu0hEKY7nrnXlUmQ2cAcP7";
const HOUR: Duration = Duration::from_secs(3600);

struct World {
    store: Sqlite,
    actor: Actor,
    mint: Mint,
}

fn key() -> PublicKey {
    PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap().public_key().clone()
}

impl World {
    /// An administrator, a member, and the enrolled host `web`, which nobody was granted.
    fn new() -> World {
        let numbers =
            config::Limits { mints_per_second: 100, mints_per_minute: 100, wrong_tokens: 5, wrong_codes: 2 };
        let authority = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let mint = Mint {
            authority: Authority::new(authority),
            limits: limits::Limits::new(numbers),
            ttl: 1800,
            max_ttl: 3600,
        };
        let actor = Actor { address: "127.0.0.1".into(), ..Actor::local() };
        let world = World { store: Sqlite::in_memory().unwrap(), actor, mint };
        people::add(&world.store, &world.actor, "root@x", "Root", Role::Admin).unwrap();
        people::add(&world.store, &world.actor, "ann@x", "Ann", Role::Member).unwrap();
        world.host("web");
        world
    }

    fn host(&self, title: &str) -> String {
        let new = New { title: title.into(), account: "dev".into(), ..New::default() };
        let (_, code) = hosts::add(&self.store, &self.actor, &new).unwrap();
        let enrolled = hosts::enrol(&self.store, &self.mint, &self.actor, &report(&code)).unwrap();
        let host = self.of_host(&enrolled.token).unwrap();
        hosts::ready(&self.store, &self.actor, &host).unwrap();
        enrolled.token
    }

    fn of_host(&self, token: &str) -> Result<hosts::Host> {
        within(&self.store, |step| hosts::of_token(step, token))
    }

    fn token(&self, email: &str, scopes: &str) -> String {
        let scopes = Scopes::parse(scopes).unwrap();
        tokens::add(&self.store, &self.actor, email, "t", &scopes, HOUR).unwrap().0
    }

    fn open(&self, token: &str, workspace: i64) -> Result<String, Kind> {
        let ask = Ask { token, workspace, key: &key(), ttl: 600, client: "test" };
        self.mint
            .make(&self.store, &self.actor, &ask)
            .map(|made| made.certificate)
            .map_err(|failure| failure.kind)
    }

    fn rows(&self, act: &str) -> Vec<String> {
        let query = "SELECT result FROM audit WHERE act = $1 ORDER BY at, id";
        let rows = within(&self.store, |step| step.rows(query, crate::values![act])).unwrap();
        rows.iter().map(|row| row.text(0)).collect()
    }
}

fn report(code: &str) -> hosts::Report {
    hosts::Report {
        code: code.into(),
        host_keys: HOST_KEY.into(),
        sshd_version: "OpenSSH_9.6".into(),
        port: 22,
        trial_key: key().to_openssh().unwrap(),
        ..hosts::Report::default()
    }
}

#[test]
fn roles_and_scopes_decide_who_opens_what() {
    let world = World::new();
    let (ann, root) = (world.token("ann@x", "see,power,session"), world.token("root@x", "session"));
    assert_eq!(world.open(&ann, 1), Err(Kind::NotFound), "what one may not see does not exist");
    assert_eq!(world.open(&ann, 99), Err(Kind::NotFound));
    assert_eq!(world.open(&root, 1), Err(Kind::Forbidden), "an administrator has no way in without a grant");
    let grant = |level| access::add(&world.store, &world.actor, "web", "ann@x", level).unwrap();
    grant(Level::See);
    assert_eq!(world.open(&ann, 1), Err(Kind::Forbidden));
    grant(Level::Run);
    assert_eq!(world.open(&ann, 1), Err(Kind::ProfileOnly));
    grant(Level::Use);
    assert!(world.open(&ann, 1).is_ok());
    for (scopes, expected) in
        [("see,power", Some(Kind::Scope)), ("session:2", Some(Kind::Scope)), ("session:1", None)]
    {
        assert_eq!(world.open(&world.token("ann@x", scopes), 1).err(), expected, "{scopes}");
    }
    for wrong in ["", "rc_", &random::token(), &ann[1..], &ann.to_uppercase()] {
        assert_eq!(world.open(wrong, 1), Err(Kind::Unauthorized));
    }
    let rows = world.rows("session.mint");
    assert_eq!(rows.iter().filter(|result| *result == "ok").count(), 2);
    assert_eq!(rows.len(), 14, "refusals have rows too: {rows:?}");
}

#[test]
fn a_grant_by_team_ends_with_membership() {
    let world = World::new();
    let ann = world.token("ann@x", "session");
    teams::add(&world.store, &world.actor, "ops").unwrap();
    teams::change(&world.store, &world.actor, "ops", &["ann@x".into()], &[]).unwrap();
    access::add(&world.store, &world.actor, "web", "team:ops", Level::Owner).unwrap();
    assert!(world.open(&ann, 1).is_ok());
    teams::change(&world.store, &world.actor, "ops", &[], &["ann@x".into()]).unwrap();
    assert_eq!(world.open(&ann, 1), Err(Kind::NotFound));
    let live = within(&world.store, sessions::live).unwrap();
    assert!(live.len() == 1 && live[0].revoked.is_some(), "the open session was revoked with it");
}

#[test]
fn disabling_a_person_takes_everything_back() {
    let world = World::new();
    let host = world.host("db");
    access::add(&world.store, &world.actor, "db", "ann@x", Level::Use).unwrap();
    let ann = world.token("ann@x", "session");
    world.open(&ann, 2).unwrap();
    people::change(&world.store, &world.actor, "ann@x", None, Some(true)).unwrap();
    assert_eq!(world.open(&ann, 2), Err(Kind::Unauthorized));
    let host = world.of_host(&host).unwrap();
    assert_eq!(within(&world.store, |step| hosts::revoked(step, &host)).unwrap().len(), 1);
    let last = people::change(&world.store, &world.actor, "root@x", Some(Role::Member), None);
    assert_eq!(last.unwrap_err().kind, Kind::LastAdmin);
    assert!(within(&world.store, people::has_admin).unwrap());
}

#[test]
fn a_grant_opens_no_other_workspace() {
    let world = World::new();
    world.host("db");
    let ann = world.token("ann@x", "session");
    access::add(&world.store, &world.actor, "db", "ann@x", Level::Owner).unwrap();
    assert_eq!((world.open(&ann, 1), world.open(&ann, 2).is_ok()), (Err(Kind::NotFound), true));
}

#[test]
fn a_host_learns_only_of_its_own_sessions() {
    let world = World::new();
    let (db, mail) = (world.host("db"), world.host("mail"));
    access::add(&world.store, &world.actor, "db", "ann@x", Level::Use).unwrap();
    world.open(&world.token("ann@x", "session"), 2).unwrap();
    let serial = within(&world.store, sessions::live).unwrap()[0].serial;
    assert_eq!(sessions::revoke(&world.store, &world.actor, serial), Ok(true));
    let of = |token: &str| {
        let host = world.of_host(token).unwrap();
        within(&world.store, |step| hosts::revoked(step, &host)).unwrap()
    };
    assert_eq!((of(&db), of(&mail)), (vec![serial.cast_unsigned()], vec![]));
    assert_eq!(sessions::revoke(&world.store, &world.actor, 5).unwrap_err().kind, Kind::NotFound);
}

#[test]
fn an_enrolment_code_works_for_one_host_once() {
    let world = World::new();
    let new = New { title: "box".into(), account: "dev".into(), ..New::default() };
    let (_, code) = hosts::add(&world.store, &world.actor, &new).unwrap();
    let enrol = |report: &hosts::Report| hosts::enrol(&world.store, &world.mint, &world.actor, report);
    let preview = enrol(&hosts::Report { dry_run: true, ..report(&code) }).unwrap();
    assert!(preview.token.is_empty());
    let first = enrol(&report(&code)).unwrap();
    assert!(first.workspace.principal.starts_with("runcode-ws-2."));
    let other = hosts::Report { host_keys: key().to_openssh().unwrap(), ..report(&code) };
    assert_eq!(enrol(&other).err().unwrap().kind, Kind::Spent, "another host");
    let again = enrol(&report(&code)).unwrap();
    assert!(world.of_host(&first.token).is_err(), "the first try's token is over");
    hosts::ready(&world.store, &world.actor, &world.of_host(&again.token).unwrap()).unwrap();
    assert_eq!(enrol(&report(&code)).err().unwrap().kind, Kind::Spent);
    for wrong in ["", "x", &random::link()] {
        assert_eq!(enrol(&report(wrong)).err().unwrap().kind, Kind::NotFound);
    }
    for taken in ["box", "web"] {
        let new = New { title: taken.into(), ..new.clone() };
        assert_eq!(hosts::add(&world.store, &world.actor, &new).unwrap_err().kind, Kind::Taken);
    }
}

#[test]
fn other_host_keys_close_the_workspace() {
    let world = World::new();
    let token = world.host("db");
    access::add(&world.store, &world.actor, "db", "ann@x", Level::Use).unwrap();
    let ann = world.token("ann@x", "session");
    let host = world.of_host(&token).unwrap();
    hosts::synced(&world.store, &world.actor, &host, HOST_KEY).unwrap();
    assert!(world.open(&ann, 2).is_ok());
    hosts::synced(&world.store, &world.actor, &host, &key().to_openssh().unwrap()).unwrap();
    assert_eq!(world.open(&ann, 2), Err(Kind::HostChanged));
    hosts::accept(&world.store, &world.actor, "db").unwrap();
    assert!(world.open(&ann, 2).is_ok());
    assert_eq!(hosts::accept(&world.store, &world.actor, "db").unwrap_err().kind, Kind::BadRequest);
}

#[test]
fn links_and_codes_are_good_once() {
    let world = World::new();
    let setup = links::for_new_admin(&world.store, &world.actor).unwrap();
    let spend =
        |link: &str| links::spend(&world.store, &world.actor, link, "new@x", "New").map(|person| person.role);
    assert!(spend(&random::link()).is_err_and(|failure| failure.kind == Kind::NotFound));
    assert_eq!(spend(&setup), Ok(Role::Admin));
    assert_eq!(spend(&setup).unwrap_err().kind, Kind::Spent);
    let ann = within(&world.store, |step| people::by_email(step, "ann@x")).unwrap();
    let verifier = random::link();
    let code = |challenge: &str| match page_sessions::authorize(
        &world.store,
        &world.actor,
        &ann,
        Some(challenge),
        HOUR,
    )
    .unwrap()
    {
        page_sessions::Login::Code(code) => code,
        page_sessions::Login::Token(_) => panic!("a token in a URL"),
    };
    let redeem =
        |code: &str, verifier: &str| page_sessions::redeem(&world.store, &world.actor, code, verifier, HOUR);
    let good = code(&random::challenge(&verifier));
    let issued = redeem(&good, &verifier).unwrap();
    assert_eq!(issued.email, "ann@x");
    assert_eq!(redeem(&good, &verifier).err().unwrap().kind, Kind::Spent);
    let guessed = code(&random::challenge(&verifier));
    assert!(redeem(&guessed, "wrong").is_err() && redeem(&guessed, &verifier).is_err(), "one try");
}

#[test]
fn the_database_holds_no_secret_that_works() {
    let world = World::new();
    let host = world.host("db");
    let secrets = [
        world.token("ann@x", "session"),
        links::for_new_admin(&world.store, &world.actor).unwrap(),
        host,
        page_sessions::open(
            &world.store,
            &within(&world.store, |step| people::by_email(step, "ann@x")).unwrap(),
        )
        .unwrap(),
    ];
    let mut step = world.store.begin().unwrap();
    let tables = step.rows("SELECT name FROM sqlite_master WHERE type = 'table'", &[]).unwrap();
    assert!(tables.len() > 10);
    for table in tables {
        let rows = step.rows(&format!("SELECT * FROM {}", table.text(0)), &[]).unwrap();
        let text = format!("{rows:?}");
        for secret in &secrets {
            assert!(!text.contains(&secret[3..]), "{} holds a secret", table.text(0));
        }
    }
}
