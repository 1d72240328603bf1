//! Where the state is kept.

use super::token::TokenHash;
use super::{Grant, Workspace};
use crate::Task;
use crate::error::StoreError;

/// Keeps the plane's state. What the plane knows it reads here, so that several planes may share a store.
pub trait Store: Send + Sync {
    /// Begins a transaction: a step that happens as a whole or not at all. Nobody else sees a part of it.
    fn begin(&self) -> Task<'_, Result<Box<dyn Transaction>, StoreError>>;
}

/// A step under way. Dropped before [`Transaction::commit`], it has not happened.
pub trait Transaction: Send {
    /// Makes it durable.
    fn commit(self: Box<Self>) -> Task<'static, Result<(), StoreError>>;

    /// The e-mail addresses of all users, the first user first.
    fn users(&mut self) -> Task<'_, Result<Vec<String>, StoreError>>;
    /// Adds a user, or moves one to another place in the order.
    fn put_user<'a>(&'a mut self, email: &'a str, position: usize) -> Task<'a, Result<(), StoreError>>;

    /// The user that a token belongs to.
    fn token_owner(&mut self, token: TokenHash) -> Task<'_, Result<Option<String>, StoreError>>;
    /// Adds a token of a user.
    fn put_token<'a>(&'a mut self, token: TokenHash, user: &'a str) -> Task<'a, Result<(), StoreError>>;
    /// Removes a token.
    fn remove_token(&mut self, token: TokenHash) -> Task<'_, Result<(), StoreError>>;

    /// Every workspace, by id.
    fn workspaces(&mut self) -> Task<'_, Result<Vec<Workspace>, StoreError>>;
    /// The workspace with that id.
    fn workspace(&mut self, id: u64) -> Task<'_, Result<Option<Workspace>, StoreError>>;
    /// Adds a workspace, or replaces the one with its id.
    fn put_workspace<'a>(&'a mut self, workspace: &'a Workspace) -> Task<'a, Result<(), StoreError>>;

    /// Every grant that has not been removed.
    fn grants(&mut self) -> Task<'_, Result<Vec<Grant>, StoreError>>;
    /// Those for one workspace.
    fn grants_for(&mut self, workspace: u64) -> Task<'_, Result<Vec<Grant>, StoreError>>;
    /// Whether the grant with that serial number has not been removed.
    fn holds_grant(&mut self, serial: u64) -> Task<'_, Result<bool, StoreError>>;
    /// Adds a grant.
    fn put_grant<'a>(&'a mut self, grant: &'a Grant) -> Task<'a, Result<(), StoreError>>;
    /// Removes grants by their serial numbers.
    fn remove_grants<'a>(&'a mut self, serials: &'a [u64]) -> Task<'a, Result<(), StoreError>>;

    /// A secret that was kept under a name, such as a private key in OpenSSH's format.
    fn key<'a>(&'a mut self, name: &'a str) -> Task<'a, Result<Option<String>, StoreError>>;
    /// Keeps a secret.
    fn put_key<'a>(&'a mut self, name: &'a str, key: &'a str) -> Task<'a, Result<(), StoreError>>;
}
