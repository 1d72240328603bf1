#![allow(clippy::unwrap_used)] // a test that cannot go on should say where

use super::*;
use crate::spec::{UserSpec, WorkspaceSpec};

const HOUR: Duration = Duration::from_secs(3600);

fn rules() -> Rules {
    Rules { credential: CredentialMode::Key, max_ttl: HOUR, ssh_enabled: true, sessions_per_minute: 2 }
}

fn key() -> KeyData {
    PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap().public_key().key_data().clone()
}

/// A state with the running workspace `ws`, its store, and a token.
async fn served() -> (State, Arc<Sqlite>, String) {
    let store = Arc::new(Sqlite::in_memory().unwrap());
    let specs = [WorkspaceSpec { running: true, ..WorkspaceSpec::new("ws", std::env::temp_dir()) }];
    let (state, token) = State::open(store.clone(), &[], &specs, rules()).await.unwrap();
    (state, store, token)
}

#[tokio::test]
async fn a_grant_admits_its_key_until_revoked() {
    let (state, _, token) = served().await;
    let key = key();
    let (_, grant) = state.grant(&token, 1, key.clone(), 2 * HOUR, "me").await.unwrap();
    assert!(grant.expires <= SystemTime::now() + HOUR);
    let (workspace, admitted) = state.admit("ws", &key).await.unwrap();
    assert_eq!((workspace.title.as_str(), admitted.serial), ("ws", grant.serial));
    assert!(state.admit("ws", &self::key()).await.is_none());
    assert!(state.admit("other", &key).await.is_none());
    assert!(state.admit_certified("ws", &key, grant.serial).await.is_none());
    state.revoke_grants().await;
    assert!(state.admit("ws", &key).await.is_none());
    assert!(!state.holds(grant.serial).await);
}

#[tokio::test]
async fn a_user_has_so_many_sessions_a_minute() {
    let (state, _, token) = served().await;
    for _ in 0..2 {
        state.grant(&token, 1, key(), HOUR, "me").await.unwrap();
    }
    assert_eq!(state.grant(&token, 1, key(), HOUR, "me").await.unwrap_err(), Refusal::TooMany);
}

#[tokio::test]
async fn a_stop_takes_grants_back() {
    let (state, _, token) = served().await;
    let (user, key) = (state.first_user().await.unwrap(), key());
    state.grant(&token, 1, key.clone(), HOUR, "me").await.unwrap();
    state.stop(&user, 1, Duration::ZERO).await.unwrap();
    assert_eq!(state.grant(&token, 1, key.clone(), HOUR, "me").await.unwrap_err(), Refusal::NotRunning);
    state.start(&user, 1, Duration::ZERO).await.unwrap();
    assert!(state.admit("ws", &key).await.is_none());
    assert_eq!(state.stop("someone@else", 1, Duration::ZERO).await, Err(Refusal::NotFound));
}

#[tokio::test]
async fn revocation_survives_a_failing_store() {
    let (state, store, token) = served().await;
    let (user, key) = (state.first_user().await.unwrap(), key());
    let (_, grant) = state.grant(&token, 1, key.clone(), HOUR, "me").await.unwrap();
    store.refuse_writes().await;
    assert!(matches!(state.grant(&token, 1, key.clone(), HOUR, "me").await, Err(Refusal::Store(_))));
    assert!(matches!(state.stop(&user, 1, Duration::ZERO).await, Err(Refusal::Store(_))));
    assert!(state.issue_token(&user).await.is_err());
    assert!(state.admit("ws", &key).await.is_some(), "what failed has not happened");
    state.revoke_token(&token).await;
    assert_eq!(state.user_of(&token).await, Ok(None));
    state.revoke_grants().await;
    assert!(state.admit("ws", &key).await.is_none());
    assert!(!state.holds(grant.serial).await);
}

#[tokio::test]
async fn keys_and_the_order_of_users_are_kept() {
    let (state, store, _) = served().await;
    let host = state.key("host").await.unwrap();
    let again = [UserSpec { email: "z@example.com".into(), token: None }];
    let (state, _) = State::open(store.clone(), &again, &[], rules()).await.unwrap();
    assert_eq!(state.first_user().await.unwrap(), "z@example.com");
    assert_eq!(state.key("host").await.unwrap().public_key(), host.public_key());
    let (state, token) = State::open(store, &[], &[], rules()).await.unwrap();
    assert_eq!(state.user_of(&token).await.unwrap().as_deref(), Some("z@example.com"));
}
