//! Servers with names of one's own: servers.toml, the operator's and the user's.

mod config;
mod places;
mod policy;
mod power;
mod profile;
mod reader;
mod server;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;

use crate::error::Result;

pub use config::Config;
pub use places::Places;
pub use policy::Policy;
pub use power::Power;
pub use server::{AuthMethod, Server};

/// A servers.toml that explains itself and names no server yet.
pub const STARTER: &str = include_str!("starter.toml");

/// The servers that servers.toml names. The files are read when one is first asked for.
#[derive(Debug)]
pub struct Servers {
    places: Places,
    config: OnceCell<Config>,
}

impl Servers {
    /// Those of these files; no I/O.
    pub fn new(places: Places) -> Servers {
        Servers { places, config: OnceCell::new() }
    }

    /// Where the files are.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// What they say.
    pub fn config(&self) -> Result<&Config> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let config = self.places.load()?;
        Ok(self.config.get_or_init(|| config))
    }
}
